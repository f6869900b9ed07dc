//! API tokens: their digest, and what their user sees of them.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use crate::clock::Timestamp;
use crate::secret::Digest;

/// An API token as its user sees it.
#[derive(Serialize)]
pub(crate) struct Listed {
    id: String,
    name: String,
    token_prefix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
}

fn read_listed(row: &Row<'_>) -> rusqlite::Result<Listed> {
    Ok(Listed {
        id: row.get("id")?,
        name: row.get("name")?,
        token_prefix: row.get("token_prefix")?,
        profile_id: row.get("profile_id")?,
        last_used_at: row.get("last_used_at")?,
        expires_at: row.get("expires_at")?,
        created_at: row.get("created_at")?,
    })
}

/// Whom a token speaks for.
pub(crate) struct Holder {
    pub(crate) token_id: String,
    pub(crate) user_id: String,
    pub(crate) profile_id: Option<String>,
    pub(crate) expires_at: Option<Timestamp>,
}

fn read_holder(row: &Row<'_>) -> rusqlite::Result<Holder> {
    Ok(Holder {
        token_id: row.get("id")?,
        user_id: row.get("user_id")?,
        profile_id: row.get("profile_id")?,
        expires_at: row.get("expires_at")?,
    })
}

/// A token that is made.
pub(crate) struct New<'a> {
    pub(crate) id: &'a str,
    pub(crate) user_id: &'a str,
    pub(crate) name: &'a str,
    pub(crate) token: Digest,
    pub(crate) token_prefix: &'a str,
    pub(crate) profile_id: Option<&'a str>,
    pub(crate) expires_at: Option<Timestamp>,
}

pub(crate) fn insert(db: &Connection, new: &New<'_>, now: Timestamp) -> rusqlite::Result<()> {
    let New { id, user_id, name, token, token_prefix, profile_id, expires_at } = new;
    db.execute(
        "INSERT INTO api_tokens (id, user_id, name, token, token_prefix, profile_id, expires_at, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![id, user_id, name, token, token_prefix, profile_id, expires_at, now],
    )?;
    Ok(())
}

pub(crate) fn count(db: &Connection, user_id: &str) -> rusqlite::Result<u32> {
    db.query_row("SELECT count(*) FROM api_tokens WHERE user_id = ?1", [user_id], |row| row.get(0))
}

pub(crate) fn of_user(db: &Connection, user_id: &str) -> rusqlite::Result<Vec<Listed>> {
    let mut statement =
        db.prepare("SELECT * FROM api_tokens WHERE user_id = ?1 ORDER BY created_at, rowid")?;
    let rows = statement.query_map([user_id], read_listed)?;
    rows.collect()
}

pub(crate) fn holder(db: &Connection, token: Digest) -> rusqlite::Result<Option<Holder>> {
    db.query_row("SELECT * FROM api_tokens WHERE token = ?1", [token], read_holder).optional()
}

pub(crate) fn note_use(db: &Connection, id: &str, now: Timestamp) -> rusqlite::Result<()> {
    db.execute("UPDATE api_tokens SET last_used_at = ?2 WHERE id = ?1", params![id, now])?;
    Ok(())
}

/// Whether the user had such a token.
pub(crate) fn delete(db: &Connection, user_id: &str, id: &str) -> rusqlite::Result<bool> {
    let deleted =
        db.execute("DELETE FROM api_tokens WHERE user_id = ?1 AND id = ?2", [user_id, id])?;
    Ok(deleted > 0)
}
