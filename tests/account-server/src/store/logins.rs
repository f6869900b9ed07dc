//! Logins under way: who waits with which device code, and what confirms it.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::clock::Timestamp;
use crate::secret::Digest;

pub(crate) struct Login {
    pub(crate) device_code: Digest,
    pub(crate) email: String,
    pub(crate) code: Digest,
    pub(crate) wrong_codes: u32,
    pub(crate) expires_at: Timestamp,
    pub(crate) authorized_at: Option<Timestamp>,
    pub(crate) redeemed_at: Option<Timestamp>,
}

fn read(row: &Row<'_>) -> rusqlite::Result<Login> {
    Ok(Login {
        device_code: row.get("device_code")?,
        email: row.get("email")?,
        code: row.get("code")?,
        wrong_codes: row.get("wrong_codes")?,
        expires_at: row.get("expires_at")?,
        authorized_at: row.get("authorized_at")?,
        redeemed_at: row.get("redeemed_at")?,
    })
}

/// What confirms a login: the link's token or the six digits.
pub(crate) struct Proofs {
    pub(crate) link: Digest,
    pub(crate) code: Digest,
}

pub(crate) fn insert(
    db: &Connection,
    device_code: Digest,
    email: &str,
    proofs: &Proofs,
    expires_at: Timestamp,
) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO logins (device_code, email, link, code, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![device_code, email, proofs.link, proofs.code, expires_at],
    )?;
    Ok(())
}

pub(crate) fn of_device_code(db: &Connection, device_code: Digest) -> rusqlite::Result<Option<Login>> {
    db.query_row("SELECT * FROM logins WHERE device_code = ?1", [device_code], read).optional()
}

pub(crate) fn of_link(db: &Connection, link: Digest) -> rusqlite::Result<Option<Login>> {
    db.query_row("SELECT * FROM logins WHERE link = ?1", [link], read).optional()
}

/// The former link and code are worth nothing any more.
pub(crate) fn replace_proofs(db: &Connection, login: &Login, proofs: &Proofs) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE logins SET link = ?2, code = ?3 WHERE device_code = ?1",
        params![login.device_code, proofs.link, proofs.code],
    )?;
    Ok(())
}

pub(crate) fn count_wrong_code(db: &Connection, login: &Login) -> rusqlite::Result<()> {
    db.execute("UPDATE logins SET wrong_codes = wrong_codes + 1 WHERE device_code = ?1", [login.device_code])?;
    Ok(())
}

pub(crate) fn authorize(db: &Connection, login: &Login, now: Timestamp) -> rusqlite::Result<()> {
    db.execute("UPDATE logins SET authorized_at = ?2 WHERE device_code = ?1", params![login.device_code, now])?;
    Ok(())
}

pub(crate) fn redeem(db: &Connection, login: &Login, now: Timestamp) -> rusqlite::Result<()> {
    db.execute("UPDATE logins SET redeemed_at = ?2 WHERE device_code = ?1", params![login.device_code, now])?;
    Ok(())
}
