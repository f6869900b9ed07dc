//! API tokens: shown once, kept as a digest, ten a user.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::caller::{API_TOKEN_PREFIX, SessionUser};
use crate::clock::Timestamp;
use crate::extract::{Named, Sent};
use crate::refusal::Refusal;
use crate::secret::{self, Digest};
use crate::service::{Service, Shared};
use crate::store::{api_tokens, profiles};

const A_USER: u32 = 10;
const LONGEST_NAME: usize = 100;

/// What a token is to be.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) expires_in: Option<String>,
    pub(crate) profile_id: Option<String>,
}

/// A token, the only time that it is shown.
#[derive(Serialize)]
pub struct NewToken {
    /// The token: `myc_` and 40 hex digits.
    pub token: String,
    /// Its identifier, by which it is deleted.
    pub id: String,
    name: String,
    token_prefix: String,
    profile_id: Option<String>,
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
}

pub(crate) async fn create(
    State(service): State<Shared>,
    SessionUser(user_id): SessionUser,
    Sent(wanted): Sent<Wanted>,
) -> Result<(StatusCode, Json<NewToken>), Refusal> {
    let created = make(&service, &user_id, wanted)?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// Makes a token, where the user may have one more.
pub(crate) fn make(service: &Service, user_id: &str, wanted: Wanted) -> Result<NewToken, Refusal> {
    let Wanted { name, expires_in, profile_id } = wanted;
    let now = service.now();
    let created = NewToken {
        name: checked_name(name)?,
        expires_at: expires_in.map(|span| expiry(&span, now)).transpose()?,
        profile_id,
        ..blank(now)?
    };
    service.database.transaction(|db| {
        check_limits(db, user_id, created.profile_id.as_deref())?;
        insert(db, user_id, &created)
    })?;
    Ok(created)
}

/// A token with a new secret, without a name and without an end.
fn blank(now: Timestamp) -> Result<NewToken, Refusal> {
    let token = format!("{API_TOKEN_PREFIX}{}", secret::random_hex::<20>()?);
    Ok(NewToken {
        token_prefix: format!("{}...", &token[..12]),
        token,
        id: Uuid::new_v4().to_string(),
        name: String::new(),
        profile_id: None,
        expires_at: None,
        created_at: now,
    })
}

fn checked_name(name: String) -> Result<String, Refusal> {
    if name.trim().is_empty() || name.chars().count() > LONGEST_NAME {
        let reason = "a name has 1 to 100 characters";
        return Err(Refusal::InvalidRequest(reason));
    }
    Ok(name)
}

/// `90d`, `12h`, `1y`: the moment that is that far away.
fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, Refusal> {
    span(text)
        .and_then(|span| now.checked_after(span))
        .ok_or(Refusal::InvalidRequest("expires_in is a number with d, h or y"))
}

fn span(text: &str) -> Option<Duration> {
    const HOUR: u64 = 60 * 60;
    let unit = match text.chars().last()? {
        'h' => HOUR,
        'd' => 24 * HOUR,
        'y' => 365 * 24 * HOUR,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    // `parse` would take a sign.
    let number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let count = number.then(|| digits.parse::<u64>().ok())??;
    let seconds = count.checked_mul(unit).filter(|seconds| *seconds > 0)?;
    Some(Duration::from_secs(seconds))
}

fn check_limits(db: &Connection, user_id: &str, profile: Option<&str>) -> Result<(), Refusal> {
    if let Some(profile) = profile
        && !profiles::belongs_to(db, user_id, profile)?
    {
        return Err(Refusal::InvalidRequest("there is no such profile"));
    }
    if api_tokens::count(db, user_id)? >= A_USER {
        return Err(Refusal::TokenLimitReached);
    }
    Ok(())
}

fn insert(db: &Connection, user_id: &str, created: &NewToken) -> Result<(), Refusal> {
    let new = api_tokens::New {
        id: &created.id,
        user_id,
        name: &created.name,
        token: Digest::of(&created.token),
        token_prefix: &created.token_prefix,
        profile_id: created.profile_id.as_deref(),
        expires_at: created.expires_at,
    };
    Ok(api_tokens::insert(db, &new, created.created_at)?)
}

pub(crate) async fn list(
    State(service): State<Shared>,
    SessionUser(user_id): SessionUser,
) -> Result<Json<Value>, Refusal> {
    let tokens = service.database.transaction(|db| Ok(api_tokens::of_user(db, &user_id)?))?;
    Ok(Json(json!({"tokens": tokens})))
}

pub(crate) async fn delete(
    State(service): State<Shared>,
    SessionUser(user_id): SessionUser,
    Named(id): Named,
) -> Result<Json<Value>, Refusal> {
    let deleted = service.database.transaction(|db| Ok(api_tokens::delete(db, &user_id, &id)?))?;
    deleted.then(|| Json(json!({"status": "deleted"}))).ok_or(Refusal::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_with_a_unit() {
        let hours = |count: u64| Some(Duration::from_secs(count * 3600));
        assert_eq!(span("12h"), hours(12));
        assert_eq!(span("90d"), hours(90 * 24));
        assert_eq!(span("1y"), hours(365 * 24));
    }

    #[test]
    fn anything_else_is_no_span() {
        let beyond = format!("{}y", u64::MAX);
        for text in
            ["", "d", "0d", "-1d", "+1d", "1", "1w", "1.5d", "1 d", "1D", "٣d", "1é", &beyond]
        {
            assert_eq!(span(text), None, "{text:?} is no span");
        }
    }
}
