//! Users: an address, and a username once one is chosen.

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use crate::clock::Timestamp;

pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) username: Option<String>,
}

pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User { id: row.get("id")?, email: row.get("email")?, username: row.get("username")? })
}

pub(crate) fn find(db: &Connection, id: &str) -> rusqlite::Result<Option<User>> {
    db.query_row("SELECT * FROM users WHERE id = ?1", [id], read).optional()
}

/// The user of that address, made where there was none.
pub(crate) fn of_email(db: &Connection, email: &str, now: Timestamp) -> rusqlite::Result<User> {
    db.execute(
        "INSERT INTO users (id, email, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        params![Uuid::new_v4().to_string(), email, now],
    )?;
    db.query_row("SELECT * FROM users WHERE email = ?1", [email], read)
}

pub(crate) fn set_username(db: &Connection, id: &str, username: &str) -> rusqlite::Result<()> {
    db.execute("UPDATE users SET username = ?2 WHERE id = ?1", [id, username])?;
    Ok(())
}

pub(crate) fn has_username(db: &Connection, username: &str) -> rusqlite::Result<bool> {
    db.query_row("SELECT EXISTS (SELECT 1 FROM users WHERE username = ?1)", [username], |row| {
        row.get(0)
    })
}
