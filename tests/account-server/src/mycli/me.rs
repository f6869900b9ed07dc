//! The caller's account, and usernames: chosen once, and nobody else's.

use axum::Json;
use axum::extract::State;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::caller::Caller;
use crate::extract::{Named, Sent};
use crate::refusal::Refusal;
use crate::service::Shared;
use crate::store::users::{self, User};

#[derive(Serialize)]
pub(crate) struct Account {
    id: String,
    email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    needs_username: bool,
}

fn account_of(db: &Connection, caller: &Caller) -> Result<User, Refusal> {
    users::find(db, &caller.user_id)?.ok_or(Refusal::Unauthorized)
}

pub(crate) async fn show(
    State(service): State<Shared>,
    caller: Caller,
) -> Result<Json<Account>, Refusal> {
    let user = service.database.transaction(|db| account_of(db, &caller))?;
    Ok(Json(Account {
        needs_username: user.username.is_none(),
        id: user.id,
        email: user.email,
        username: user.username,
    }))
}

/// `^[a-z][a-z0-9-]*$`, 3 to 39 of them.
fn is_username(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (3..=39).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(allowed)
}

#[derive(Deserialize)]
pub(crate) struct Chosen {
    username: String,
}

pub(crate) async fn choose_username(
    State(service): State<Shared>,
    caller: Caller,
    Sent(sent): Sent<Chosen>,
) -> Result<Json<Value>, Refusal> {
    let username = sent.username;
    if !is_username(&username) {
        return Err(Refusal::InvalidUsername);
    }
    service.database.transaction(|db| {
        if account_of(db, &caller)?.username.is_some() {
            return Err(Refusal::UsernameAlreadySet);
        }
        if users::has_username(db, &username)? {
            return Err(Refusal::UsernameTaken);
        }
        Ok(users::set_username(db, &caller.user_id, &username)?)
    })?;
    Ok(Json(json!({"username": username})))
}

pub(crate) async fn available(
    State(service): State<Shared>,
    Named(name): Named,
) -> Result<Json<Value>, Refusal> {
    if !is_username(&name) {
        return Ok(Json(json!({"available": false, "reason": "invalid"})));
    }
    let taken = service.database.transaction(|db| Ok(users::has_username(db, &name)?))?;
    if taken {
        return Ok(Json(json!({"available": false, "reason": "taken"})));
    }
    Ok(Json(json!({"available": true})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_begins_with_a_letter_and_has_3_to_39_characters() {
        for good in ["ada", "a-1", "a--", &"a".repeat(39)] {
            assert!(is_username(good), "{good:?} is a username");
        }
        for bad in ["", "ab", "1ab", "-ab", "Ada", "a_b", "a b", "äda", &"a".repeat(40)] {
            assert!(!is_username(bad), "{bad:?} is no username");
        }
    }
}
