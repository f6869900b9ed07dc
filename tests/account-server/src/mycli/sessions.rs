//! Sessions: how one begins, and how its user sees and ends them. Never rotates one: `refresh` does.

use axum::Json;
use axum::extract::State;
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::caller::Caller;
use crate::clock::Timestamp;
use crate::extract::{Asked, Device, Named};
use crate::refusal::Refusal;
use crate::secret::Digest;
use crate::service::{Pair, Service, Shared};
use crate::store::sessions;

/// A session that has just begun.
pub(crate) struct Opened {
    pub(crate) id: String,
    pub(crate) pair: Pair,
}

/// Begins a session; the one that the user had on that device ends.
pub(crate) fn open(
    service: &Service,
    db: &Connection,
    user_id: &str,
    device: &Device,
    now: Timestamp,
) -> Result<Opened, Refusal> {
    if let Some(device_id) = &device.id {
        sessions::revoke_device(db, user_id, device_id, now)?;
    }
    let id = Uuid::new_v4().to_string();
    let pair = service.pair(user_id, &id, now)?;
    let new = sessions::New {
        id: &id,
        user_id,
        device,
        refresh_token: Digest::of(&pair.refresh_token),
        expires_at: service.session_end(now),
    };
    sessions::insert(db, &new, now)?;
    Ok(Opened { id, pair })
}

pub(crate) async fn list(
    State(service): State<Shared>,
    caller: Caller,
) -> Result<Json<Value>, Refusal> {
    let now = service.now();
    let sessions =
        service.database.transaction(|db| Ok(sessions::of_user(db, &caller.user_id, now)?))?;
    Ok(Json(json!({"sessions": sessions})))
}

pub(crate) async fn revoke(
    State(service): State<Shared>,
    caller: Caller,
    Named(id): Named,
) -> Result<Json<Value>, Refusal> {
    let now = service.now();
    let revoked =
        service.database.transaction(|db| Ok(sessions::revoke(db, &caller.user_id, &id, now)?))?;
    revoked.then(|| Json(json!({"revoked": true}))).ok_or(Refusal::NotFound)
}

#[derive(Deserialize)]
pub(crate) struct KeptSession {
    current_session_id: Option<String>,
}

pub(crate) async fn revoke_others(
    State(service): State<Shared>,
    caller: Caller,
    Asked(kept): Asked<KeptSession>,
) -> Result<Json<Value>, Refusal> {
    let now = service.now();
    let kept = kept.current_session_id.as_deref();
    let revoked_count = service
        .database
        .transaction(|db| Ok(sessions::revoke_others(db, &caller.user_id, kept, now)?))?;
    Ok(Json(json!({"revoked_count": revoked_count})))
}
