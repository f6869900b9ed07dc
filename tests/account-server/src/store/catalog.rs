//! Catalogs: what a user, or one of a user's profiles, has to run.

use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) slug: String,
    pub(crate) name: String,
}

fn read(row: &Row<'_>) -> rusqlite::Result<Item> {
    Ok(Item { slug: row.get("slug")?, name: row.get("name")? })
}

pub(crate) fn insert(
    db: &Connection,
    user_id: &str,
    profile_id: Option<&str>,
    item: &Item,
) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO catalog_items (user_id, profile_id, slug, name) VALUES (?1, ?2, ?3, ?4)",
        params![user_id, profile_id, item.slug, item.name],
    )?;
    Ok(())
}

/// The items of a profile, or without one of the user's own catalog.
pub(crate) fn items(
    db: &Connection,
    user_id: &str,
    profile_id: Option<&str>,
) -> rusqlite::Result<Vec<Item>> {
    let mut statement = db
        .prepare("SELECT slug, name FROM catalog_items WHERE user_id = ?1 AND profile_id IS ?2 ORDER BY slug, rowid")?;
    let rows = statement.query_map(params![user_id, profile_id], read)?;
    rows.collect()
}
