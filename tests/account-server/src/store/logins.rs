//! Logins under way: who waits with which device code, and what confirms it.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::clock::Timestamp;
use crate::extract::Device;
use crate::product::Product;
use crate::secret::Digest;

pub(crate) struct Login {
    pub(crate) device_code: Digest,
    pub(crate) email: String,
    pub(crate) product: Product,
    pub(crate) code: Digest,
    pub(crate) wrong_codes: u32,
    /// Who asked.
    pub(crate) device: Device,
    pub(crate) started_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) authorized_at: Option<Timestamp>,
    pub(crate) redeemed_at: Option<Timestamp>,
}

fn read(row: &Row<'_>) -> rusqlite::Result<Login> {
    let device = Device {
        user_agent: row.get("user_agent")?,
        address: row.get("ip_address")?,
        id: None,
        name: row.get("device_name")?,
    };
    Ok(Login {
        device_code: row.get("device_code")?,
        email: row.get("email")?,
        product: row.get("product")?,
        code: row.get("code")?,
        wrong_codes: row.get("wrong_codes")?,
        device,
        started_at: row.get("started_at")?,
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

/// A login that begins.
pub(crate) struct NewLogin<'a> {
    pub(crate) device_code: Digest,
    pub(crate) email: &'a str,
    pub(crate) product: Product,
    pub(crate) proofs: Proofs,
    pub(crate) device: &'a Device,
    pub(crate) started_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

pub(crate) fn insert(db: &Connection, login: &NewLogin<'_>) -> rusqlite::Result<()> {
    let NewLogin { device_code, email, product, proofs, device, started_at, expires_at } = login;
    db.execute(
        "INSERT INTO logins (device_code, email, product, link, code, user_agent, ip_address, device_name,
                             started_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            device_code,
            email,
            product,
            proofs.link,
            proofs.code,
            device.user_agent,
            device.address,
            device.name,
            started_at,
            expires_at
        ],
    )?;
    Ok(())
}

pub(crate) fn of_device_code(
    db: &Connection,
    device_code: Digest,
) -> rusqlite::Result<Option<Login>> {
    db.query_row("SELECT * FROM logins WHERE device_code = ?1", [device_code], read).optional()
}

pub(crate) fn of_link(db: &Connection, link: Digest) -> rusqlite::Result<Option<Login>> {
    db.query_row("SELECT * FROM logins WHERE link = ?1", [link], read).optional()
}

/// The former link and code are worth nothing any more.
pub(crate) fn replace_proofs(
    db: &Connection,
    login: &Login,
    proofs: &Proofs,
) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE logins SET link = ?2, code = ?3 WHERE device_code = ?1",
        params![login.device_code, proofs.link, proofs.code],
    )?;
    Ok(())
}

pub(crate) fn count_wrong_code(db: &Connection, login: &Login) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE logins SET wrong_codes = wrong_codes + 1 WHERE device_code = ?1",
        [login.device_code],
    )?;
    Ok(())
}

/// How many wrong codes were typed for logins of the address that were begun since then.
pub(crate) fn wrong_codes(db: &Connection, email: &str, since: Timestamp) -> rusqlite::Result<u32> {
    let sql =
        "SELECT coalesce(sum(wrong_codes), 0) FROM logins WHERE email = ?1 AND started_at >= ?2";
    db.query_row(sql, params![email, since], |row| row.get(0))
}

pub(crate) fn authorize(db: &Connection, login: &Login, now: Timestamp) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE logins SET authorized_at = ?2 WHERE device_code = ?1",
        params![login.device_code, now],
    )?;
    Ok(())
}

pub(crate) fn redeem(db: &Connection, login: &Login, now: Timestamp) -> rusqlite::Result<()> {
    db.execute(
        "UPDATE logins SET redeemed_at = ?2 WHERE device_code = ?1",
        params![login.device_code, now],
    )?;
    Ok(())
}
