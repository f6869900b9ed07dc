//! Sessions: one a device, with the refresh token that counts and the one it replaced.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use crate::clock::Timestamp;
use crate::extract::Device;
use crate::secret::Digest;

pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) refresh_token: Digest,
    pub(crate) replaced_token: Option<Digest>,
    pub(crate) replaced_at: Option<Timestamp>,
    pub(crate) expires_at: Timestamp,
    pub(crate) revoked_at: Option<Timestamp>,
}

fn read(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get("id")?,
        user_id: row.get("user_id")?,
        refresh_token: row.get("refresh_token")?,
        replaced_token: row.get("replaced_token")?,
        replaced_at: row.get("replaced_at")?,
        expires_at: row.get("expires_at")?,
        revoked_at: row.get("revoked_at")?,
    })
}

/// A session as its user sees it.
#[derive(Serialize)]
pub(crate) struct Listed {
    id: String,
    user_agent: Option<String>,
    ip_address: Option<String>,
    device_id: Option<String>,
    device_name: Option<String>,
    last_used_at: Timestamp,
    expires_at: Timestamp,
    created_at: Timestamp,
}

fn read_listed(row: &Row<'_>) -> rusqlite::Result<Listed> {
    Ok(Listed {
        id: row.get("id")?,
        user_agent: row.get("user_agent")?,
        ip_address: row.get("ip_address")?,
        device_id: row.get("device_id")?,
        device_name: row.get("device_name")?,
        last_used_at: row.get("last_used_at")?,
        expires_at: row.get("expires_at")?,
        created_at: row.get("created_at")?,
    })
}

/// A session that begins.
pub(crate) struct New<'a> {
    pub(crate) id: &'a str,
    pub(crate) user_id: &'a str,
    pub(crate) device: &'a Device,
    pub(crate) refresh_token: Digest,
    pub(crate) expires_at: Timestamp,
}

pub(crate) fn insert(db: &Connection, new: &New<'_>, now: Timestamp) -> rusqlite::Result<()> {
    let New { id, user_id, device, refresh_token, expires_at } = new;
    db.execute(
        "INSERT INTO sessions (id, user_id, user_agent, ip_address, device_id, device_name,
             refresh_token, expires_at, last_used_at, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)",
        params![
            id,
            user_id,
            device.user_agent,
            device.address,
            device.id,
            device.name,
            refresh_token,
            expires_at,
            now
        ],
    )?;
    Ok(())
}

pub(crate) fn find(db: &Connection, id: &str) -> rusqlite::Result<Option<Session>> {
    db.query_row("SELECT * FROM sessions WHERE id = ?1", [id], read).optional()
}

/// The sessions that a user could still refresh, the latest used first.
pub(crate) fn of_user(
    db: &Connection,
    user_id: &str,
    now: Timestamp,
) -> rusqlite::Result<Vec<Listed>> {
    let mut statement = db.prepare(
        "SELECT * FROM sessions WHERE user_id = ?1 AND revoked_at IS NULL AND expires_at > ?2
         ORDER BY last_used_at DESC, id",
    )?;
    let rows = statement.query_map(params![user_id, now], read_listed)?;
    rows.collect()
}

/// `next` counts from now on, and what counted until now is the one that it replaced.
pub(crate) fn rotate(
    db: &Connection,
    session: &Session,
    next: Digest,
    expires_at: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE sessions SET replaced_token = refresh_token, replaced_at = ?4, refresh_token = ?2,
             expires_at = ?3, last_used_at = ?4
         WHERE id = ?1",
        params![session.id, next, expires_at, now],
    )?;
    Ok(())
}

/// Ends one session of the user; whether there was one to end.
pub(crate) fn revoke(
    db: &Connection,
    user_id: &str,
    id: &str,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let ended = db.execute(
        "UPDATE sessions SET revoked_at = ?3
         WHERE id = ?2 AND user_id = ?1 AND revoked_at IS NULL AND expires_at > ?3",
        params![user_id, id, now],
    )?;
    Ok(ended > 0)
}

/// Ends all sessions of the user but the one named; how many there were.
pub(crate) fn revoke_others(
    db: &Connection,
    user_id: &str,
    kept: Option<&str>,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    db.execute(
        "UPDATE sessions SET revoked_at = ?3
         WHERE user_id = ?1 AND id IS NOT ?2 AND revoked_at IS NULL AND expires_at > ?3",
        params![user_id, kept, now],
    )
}

/// Ends the session that the user had on the device. Another user's stays: anybody may send any device id.
pub(crate) fn revoke_device(
    db: &Connection,
    user_id: &str,
    device_id: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE sessions SET revoked_at = ?3
         WHERE user_id = ?1 AND device_id = ?2 AND revoked_at IS NULL",
        params![user_id, device_id, now],
    )?;
    Ok(())
}
