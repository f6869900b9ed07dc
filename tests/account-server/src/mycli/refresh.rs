//! The life of a refresh token: it works once, and for a short grace once more; logging out ends its session.

use axum::Json;
use axum::extract::State;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::caller::Caller;
use crate::clock::Timestamp;
use crate::extract::Sent;
use crate::jwt::Kind;
use crate::refusal::Refusal;
use crate::secret::Digest;
use crate::service::{Service, Shared};
use crate::store::sessions::{self, Session};

#[derive(Deserialize)]
pub(crate) struct Presented {
    refresh_token: String,
}

#[derive(Serialize)]
pub(crate) struct Refreshed {
    access_token: String,
    expires_in: i64,
    refresh_token: String,
    refresh_expires_in: i64,
}

/// The whole rotation is one transaction: it is on the disk before it is answered, and two never cross.
pub(crate) async fn refresh(
    State(service): State<Shared>,
    Sent(sent): Sent<Presented>,
) -> Result<Json<Refreshed>, Refusal> {
    let now = service.now();
    service.database.transaction(|db| {
        let session = session_of(&service, db, &sent.refresh_token)?;
        judge(&service, &session, &sent.refresh_token, now)?;
        let pair = service.pair(&session.user_id, &session.id, now)?;
        let end = service.session_end(now);
        sessions::rotate(db, &session, Digest::of(&pair.refresh_token), end, now)?;
        Ok(Json(Refreshed {
            access_token: pair.access_token,
            expires_in: service.access_seconds(),
            refresh_token: pair.refresh_token,
            refresh_expires_in: now.seconds_until(end),
        }))
    })
}

/// The session that a refresh token was made for, whatever has become of either.
fn session_of(service: &Service, db: &Connection, token: &str) -> Result<Session, Refusal> {
    let claims = service.issuer.read(token, Kind::Refresh);
    let id = claims.and_then(|claims| claims.sid);
    let session = sessions::find(db, &id.ok_or(Refusal::InvalidToken)?)?;
    session.ok_or(Refusal::InvalidToken)
}

/// The token that counts is good, and so is the one that it replaced while the grace lasts. Redeeming either
/// makes the one that counts the replaced one.
fn judge(service: &Service, session: &Session, token: &str, now: Timestamp) -> Result<(), Refusal> {
    let presented = Digest::of(token);
    let counts = session.refresh_token.matches(&presented);
    let replaced = session.replaced_token.is_some_and(|token| token.matches(&presented));
    let in_grace = session
        .replaced_at
        .is_some_and(|moment| now < moment.after(service.settings.refresh_grace));
    match session {
        Session { revoked_at: Some(_), .. } => Err(Refusal::SessionRevoked),
        _ if session.expires_at <= now => Err(Refusal::SessionExpired),
        _ if counts || (replaced && in_grace) => Ok(()),
        _ => Err(Refusal::InvalidToken),
    }
}

/// Ends the session of that refresh token, be the token used or not; a session that is over stays so.
pub(crate) async fn log_out(
    State(service): State<Shared>,
    caller: Caller,
    Sent(sent): Sent<Presented>,
) -> Result<Json<Value>, Refusal> {
    let now = service.now();
    service.database.transaction(|db| {
        let session = session_of(&service, db, &sent.refresh_token)?;
        if session.user_id != caller.user_id {
            return Err(Refusal::InvalidToken);
        }
        sessions::revoke(db, &caller.user_id, &session.id, now)?;
        Ok(Json(json!({"revoked": true})))
    })
}
