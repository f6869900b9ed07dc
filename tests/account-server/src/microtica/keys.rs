//! API keys: of one project, with a baseline and stronger roles in some environments. Stored as a digest.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::projects::{self, Environment};
use super::role::Role;
use crate::clock::Timestamp;
use crate::refusal::Refusal;
use crate::secret::{self, Digest};
use crate::service::Service;

const PREFIX: &str = "mic_";

/// A key, without its secret.
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) project_id: String,
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) baseline: Role,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) last_used_at: Option<Timestamp>,
    /// Who made it in the console. A key belongs to its project, and works on when that person has left.
    pub(crate) created_by: Option<String>,
    pub(crate) created_at: Timestamp,
    revoked_at: Option<Timestamp>,
}

/// The roles by which a key is stronger in some environments, by their names.
pub(crate) type Upgrades = BTreeMap<String, Role>;

/// An environment as a key sees it.
#[derive(Serialize)]
pub(crate) struct Seen {
    id: String,
    name: String,
    role: Role,
}

/// Whether a key works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Active,
    Expired,
    Revoked,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl Key {
    pub(crate) fn status(&self, now: Timestamp) -> Status {
        if self.revoked_at.is_some() {
            Status::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            Status::Expired
        } else {
            Status::Active
        }
    }

    /// Refuses a key that was revoked or whose time is over.
    pub(crate) fn check_active(&self, now: Timestamp) -> Result<(), Refusal> {
        match self.status(now) {
            Status::Active => Ok(()),
            Status::Expired => Err(Refusal::ApiKeyExpired),
            Status::Revoked => Err(Refusal::ApiKeyRevoked),
        }
    }

    pub(crate) fn sees_its_project(&self, upgrades: &Upgrades) -> bool {
        self.baseline > Role::None || !upgrades.is_empty()
    }

    /// What the key may do in the environment of that name.
    pub(crate) fn role_in(&self, upgrades: &Upgrades, environment: &str) -> Role {
        upgrades.get(environment).copied().unwrap_or(self.baseline)
    }

    /// The environment with the role that the key has there, where it has one.
    pub(crate) fn look_at(&self, upgrades: &Upgrades, environment: Environment) -> Option<Seen> {
        let Environment { id, name } = environment;
        let role = self.role_in(upgrades, &name);
        (role > Role::None).then_some(Seen { id, name, role })
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Key> {
    Ok(Key {
        id: row.get("id")?,
        project_id: row.get("project_id")?,
        name: row.get("name")?,
        prefix: row.get("prefix")?,
        baseline: row.get("baseline")?,
        expires_at: row.get("expires_at")?,
        last_used_at: row.get("last_used_at")?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
        revoked_at: row.get("revoked_at")?,
    })
}

pub(crate) fn of_secret(db: &Connection, secret: &str) -> rusqlite::Result<Option<Key>> {
    let sql = "SELECT * FROM microtica_keys WHERE key = ?1";
    db.query_row(sql, [Digest::of(secret)], read).optional()
}

/// The keys of a project, the newest first.
pub(crate) fn of_project(db: &Connection, project: &str) -> rusqlite::Result<Vec<Key>> {
    let sql = "SELECT * FROM microtica_keys WHERE project_id = ?1 ORDER BY created_at DESC, id";
    db.prepare(sql)?.query_map([project], read)?.collect()
}

pub(crate) fn find(db: &Connection, project: &str, id: &str) -> rusqlite::Result<Option<Key>> {
    let sql = "SELECT * FROM microtica_keys WHERE project_id = ?1 AND id = ?2";
    db.query_row(sql, [project, id], read).optional()
}

pub(crate) fn note_use(db: &Connection, key: &Key, now: Timestamp) -> rusqlite::Result<()> {
    db.execute("UPDATE microtica_keys SET last_used_at = ?2 WHERE id = ?1", params![key.id, now])?;
    Ok(())
}

pub(crate) fn upgrades(db: &Connection, key: &Key) -> rusqlite::Result<Upgrades> {
    let mut statement = db.prepare(
        "SELECT environment.name, upgrade.role FROM microtica_upgrades AS upgrade
         JOIN microtica_environments AS environment ON environment.id = upgrade.environment_id
         WHERE upgrade.key_id = ?1",
    )?;
    let rows = statement.query_map([&key.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// What a key is to be.
#[derive(Clone, Debug, Deserialize)]
pub struct NewKey {
    /// The id of its project.
    pub project: String,
    /// Its name.
    pub name: String,
    /// When it expires, as RFC 3339.
    pub expires_at: Option<String>,
    /// What it may do in every environment.
    pub baseline: Role,
    /// What more it may do in some, by their names.
    #[serde(default)]
    pub environments: BTreeMap<String, Role>,
}

/// A key, the only time that it is shown.
#[derive(Clone, Serialize)]
pub struct MadeKey {
    /// The key: `mic_` and 40 hex digits.
    pub key: String,
    /// Its first 12 characters.
    pub prefix: String,
    /// Its identifier, by which it is revoked.
    pub id: String,
}

/// Makes a key; `by` is who does it in the console.
pub(crate) fn make(service: &Service, new: &NewKey, by: Option<&str>) -> Result<MadeKey, Refusal> {
    let end = new.expires_at.as_deref().map(str::parse).transpose();
    let end = end.map_err(|_| Refusal::InvalidRequest("expires_at is a time as in RFC 3339"))?;
    let key = format!("{PREFIX}{}", secret::random_hex::<20>()?);
    let made = MadeKey { prefix: key[..12].to_owned(), key, id: Uuid::new_v4().to_string() };
    let now = service.now();
    service.database.transaction(|db| {
        projects::find(db, &new.project)?.ok_or(Refusal::NotFound)?;
        insert(db, new, &made, end, by, now)?;
        for (name, role) in &new.environments {
            upgrade(db, &new.project, &made.id, name, (*role, new.baseline))?;
        }
        Ok(())
    })?;
    Ok(made)
}

fn insert(
    db: &Connection,
    new: &NewKey,
    made: &MadeKey,
    end: Option<Timestamp>,
    by: Option<&str>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let MadeKey { key, prefix, id } = made;
    db.execute(
        "INSERT INTO microtica_keys (id, project_id, name, key, prefix, baseline, expires_at, created_by, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![id, new.project, new.name, Digest::of(key), prefix, new.baseline, end, by, now],
    )?;
    Ok(())
}

/// An upgrade is of an environment of the project, and strictly stronger than what the key could do there before.
pub(crate) fn upgrade(
    db: &Connection,
    project: &str,
    key_id: &str,
    environment: &str,
    (role, before): (Role, Role),
) -> Result<(), Refusal> {
    let environments = projects::environments(db, project)?;
    let environment = environments.iter().find(|known| known.name == environment);
    let environment =
        environment.ok_or(Refusal::InvalidRequest("the project has no such environment"))?;
    if role <= before {
        return Err(Refusal::InvalidRequest("an upgrade is stronger than the baseline"));
    }
    db.execute(
        "INSERT INTO microtica_upgrades (key_id, environment_id, role) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET role = excluded.role",
        params![key_id, environment.id, role],
    )?;
    Ok(())
}

pub(crate) fn revoke(db: &Connection, id: &str, now: Timestamp) -> Result<(), Refusal> {
    let sql = "UPDATE microtica_keys SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1";
    let revoked = db.execute(sql, params![id, now])?;
    (revoked > 0).then_some(()).ok_or(Refusal::NotFound)
}
