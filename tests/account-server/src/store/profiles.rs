//! Profiles: what a user keeps apart, each with a catalog of its own.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use crate::clock::Timestamp;

#[derive(Serialize)]
pub(crate) struct Profile {
    pub(crate) id: String,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
}

fn read(row: &Row<'_>) -> rusqlite::Result<Profile> {
    Ok(Profile {
        id: row.get("id")?,
        slug: row.get("slug")?,
        name: row.get("name")?,
        created_at: row.get("created_at")?,
    })
}

pub(crate) fn insert(db: &Connection, user_id: &str, profile: &Profile) -> rusqlite::Result<()> {
    let Profile { id, slug, name, created_at } = profile;
    db.execute(
        "INSERT INTO profiles (id, user_id, slug, name, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![id, user_id, slug, name, created_at],
    )?;
    Ok(())
}

pub(crate) fn of_user(db: &Connection, user_id: &str) -> rusqlite::Result<Vec<Profile>> {
    let mut statement = db.prepare("SELECT * FROM profiles WHERE user_id = ?1 ORDER BY slug")?;
    let rows = statement.query_map([user_id], read)?;
    rows.collect()
}

pub(crate) fn of_slug(
    db: &Connection,
    user_id: &str,
    slug: &str,
) -> rusqlite::Result<Option<Profile>> {
    db.query_row("SELECT * FROM profiles WHERE user_id = ?1 AND slug = ?2", [user_id, slug], read)
        .optional()
}

/// Whether the profile is one of the user's.
pub(crate) fn belongs_to(db: &Connection, user_id: &str, id: &str) -> rusqlite::Result<bool> {
    db.query_row(
        "SELECT EXISTS (SELECT 1 FROM profiles WHERE user_id = ?1 AND id = ?2)",
        [user_id, id],
        |row| row.get(0),
    )
}
