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
        expires_at: expires_in
            .filter(|span| !span.is_empty())
            .map(|span| expiry(&span, now))
            .transpose()?,
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
    if name.is_empty() || name.len() > LONGEST_NAME {
        let reason = "a name has 1 to 100 bytes";
        return Err(Refusal::InvalidRequest(reason));
    }
    Ok(name)
}

/// `90d`, `12h`, `1y`: the moment that is that far away, which may be in the past.
fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, Refusal> {
    let hours =
        hours(text).ok_or(Refusal::InvalidRequest("expires_in is a number with d, h or y"))?;
    // Go's `time.Duration` has 64 bits, and wraps.
    let nanoseconds = hours.wrapping_mul(3_600_000_000_000);
    let span = Duration::from_nanos(nanoseconds.unsigned_abs());
    Ok(if nanoseconds < 0 { now.before(span) } else { now.after(span) })
}

/// As the live service, which reads the number with Go's `Sscanf("%d")`: a sign, digits, and anything behind them.
fn hours(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let hours = match unit {
        'h' => 1,
        'd' => 24,
        'y' => 365 * 24,
        _ => return None,
    };
    let number = text[..text.len() - unit.len_utf8()].trim_start();
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    let count: i64 = digits[..length].parse().ok()?;
    Some(if number.starts_with('-') { -count } else { count }.saturating_mul(hours))
}

fn check_limits(db: &Connection, user_id: &str, profile: Option<&str>) -> Result<(), Refusal> {
    if let Some(profile) = profile
        && !profiles::belongs_to(db, user_id, profile)?
    {
        return Err(Refusal::NotFound);
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
    fn a_span_is_a_number_with_a_unit_and_anything_between() {
        for (text, expected) in [
            ("12h", 12),
            ("90d", 90 * 24),
            ("1y", 365 * 24),
            ("0d", 0),
            ("-1d", -24),
            ("+1d", 24),
            ("1.5d", 24),
            (" 1 d", 24),
            ("99999y", 99_999 * 365 * 24),
        ] {
            assert_eq!(hours(text), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_no_span() {
        let beyond = format!("{}y", u64::MAX);
        for text in ["", "d", "-d", "1", "1w", "1D", "٣d", "1é", "--1d", &beyond] {
            assert_eq!(hours(text), None, "{text:?} is no span");
        }
    }
}
