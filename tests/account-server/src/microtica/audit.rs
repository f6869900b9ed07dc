//! The audit log of a project: which key did what, and who changed its keys. Never holds a key, and nothing is taken out.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use rusqlite::{Connection, params};

use super::caller;
use super::keys::{self, Key};
use crate::clock::Timestamp;
use crate::refusal::Refusal;
use crate::service::{Service, Shared};

/// A line of the log.
pub(crate) struct Entry {
    pub(crate) id: i64,
    /// The name of a key, or the address of a person.
    pub(crate) actor: String,
    /// The beginning of the key; nothing where it was a person.
    pub(crate) prefix: Option<String>,
    pub(crate) action: String,
    pub(crate) at: Timestamp,
}

/// Who does something.
#[derive(Clone, Copy)]
pub(crate) enum Actor<'a> {
    Key(&'a Key),
    Person(&'a str),
}

pub(crate) fn write(
    db: &Connection,
    project: &str,
    actor: Actor<'_>,
    action: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let (actor, prefix) = match actor {
        Actor::Key(key) => (key.name.as_str(), Some(key.prefix.as_str())),
        Actor::Person(email) => (email, None),
    };
    db.execute(
        "INSERT INTO microtica_audit (project_id, actor, prefix, action, at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![project, actor, prefix, action, now],
    )?;
    Ok(())
}

/// The newest lines of the project, those before the line `before` where there is one.
pub(crate) fn read(
    db: &Connection,
    project: &str,
    before: Option<i64>,
    most: u32,
) -> rusqlite::Result<Vec<Entry>> {
    let mut statement = db.prepare(
        "SELECT * FROM microtica_audit WHERE project_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
    )?;
    let rows = statement.query_map(params![project, before.unwrap_or(i64::MAX), most], |row| {
        Ok(Entry {
            id: row.get("id")?,
            actor: row.get("actor")?,
            prefix: row.get("prefix")?,
            action: row.get("action")?,
            at: row.get("at")?,
        })
    })?;
    rows.collect()
}

/// Writes down what the key of a request did, be it allowed or not. A key that is unknown has no project to write it in.
pub(crate) async fn note(State(service): State<Shared>, request: Request, next: Next) -> Response {
    let key = caller::key(&service, request.headers());
    let action = action(request.uri().path());
    let response = next.run(request).await;
    let Ok(Some(key)) = key else { return response };
    let refusal = response.extensions().get::<Refusal>().copied();
    // A call that is answered though it cannot be written down would be one that nobody hears of.
    match note_call(&service, &key, action, refusal) {
        Ok(()) => response,
        Err(refusal) => axum::response::IntoResponse::into_response(refusal),
    }
}

fn action(path: &str) -> &'static str {
    match path {
        "/api/v1/whoami" => "asked who it is",
        "/api/v1/projects" => "listed the projects",
        _ => "listed the environments",
    }
}

fn note_call(
    service: &Service,
    key: &Key,
    action: &str,
    refusal: Option<Refusal>,
) -> Result<(), Refusal> {
    let now = service.now();
    let action = match refusal {
        Some(refusal) => format!("{action}; refused: {}", refusal.parts().2),
        None => action.to_owned(),
    };
    service.database.transaction(|db| {
        if key.check_active(now).is_ok() {
            keys::note_use(db, key, now)?;
        }
        Ok(write(db, &key.project_id, Actor::Key(key), &action, now)?)
    })
}
