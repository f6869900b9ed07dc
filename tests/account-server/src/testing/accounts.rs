//! Ready accounts for tests: sessions and tokens without the walk through the mail, and a clock that jumps.

use std::fmt;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::extract::{Device, Sent};
use crate::mycli::api_tokens::{self, NewToken, Wanted};
use crate::mycli::{email, sessions};
use crate::refusal::Refusal;
use crate::service::{Service, Shared};
use crate::store::catalog::{self, Item};
use crate::store::{profiles, users};

/// A session that somebody has.
#[derive(Clone, Serialize)]
pub struct Session {
    /// The access token.
    pub access_token: String,
    /// The refresh token.
    pub refresh_token: String,
    /// Seconds that the access token lives.
    pub expires_in: i64,
    /// The session.
    pub session_id: String,
    /// Its user.
    pub user_id: String,
}

impl fmt::Debug for Session {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Session")
            .field("session_id", &self.session_id)
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
pub(crate) struct Person {
    email: String,
    username: Option<String>,
}

pub(crate) async fn session(
    State(service): State<Shared>,
    device: Device,
    Sent(Person { email, username }): Sent<Person>,
) -> Result<Json<Session>, Refusal> {
    open_session(&service, &email, username.as_deref(), &device).map(Json)
}

/// A session of that address, as a login would give it.
pub(crate) fn open_session(
    service: &Service,
    email: &str,
    username: Option<&str>,
    device: &Device,
) -> Result<Session, Refusal> {
    let email = email::normalize(email)?;
    let now = service.now();
    service.database.transaction(|db| {
        let user = users::of_email(db, &email, now)?;
        if let Some(username) = username.filter(|name| user.username.as_deref() != Some(*name)) {
            name(db, &user.id, username)?;
        }
        let opened = sessions::open(service, db, &user.id, device, now)?;
        Ok(Session {
            access_token: opened.pair.access_token,
            refresh_token: opened.pair.refresh_token,
            expires_in: service.access_seconds(),
            session_id: opened.id,
            user_id: user.id,
        })
    })
}

fn name(db: &rusqlite::Connection, user_id: &str, username: &str) -> Result<(), Refusal> {
    if users::has_username(db, username)? {
        return Err(Refusal::UsernameTaken);
    }
    Ok(users::set_username(db, user_id, username)?)
}

#[derive(Deserialize)]
pub(crate) struct TokenWanted {
    email: String,
    #[serde(flatten)]
    wanted: Wanted,
}

pub(crate) async fn api_token(
    State(service): State<Shared>,
    Sent(TokenWanted { email, wanted }): Sent<TokenWanted>,
) -> Result<(StatusCode, Json<NewToken>), Refusal> {
    let user = user_of(&service, &email)?;
    let created = api_tokens::make(&service, &user, wanted)?;
    Ok((StatusCode::CREATED, Json(created)))
}

pub(crate) fn user_of(service: &Service, email: &str) -> Result<String, Refusal> {
    let email = email::normalize(email)?;
    let now = service.now();
    service.database.transaction(|db| Ok(users::of_email(db, &email, now)?.id))
}

#[derive(Deserialize)]
pub(crate) struct Denied {
    access_token: String,
}

pub(crate) async fn revoke_access(
    State(service): State<Shared>,
    Sent(Denied { access_token }): Sent<Denied>,
) -> Json<Value> {
    service.controls.deny(&access_token);
    Json(json!({"revoked": true}))
}

#[derive(Deserialize)]
pub(crate) struct Jump {
    seconds: u64,
}

pub(crate) async fn advance(
    State(service): State<Shared>,
    Sent(Jump { seconds }): Sent<Jump>,
) -> Json<Value> {
    service.clock.advance(Duration::from_secs(seconds));
    Json(json!({"now": service.now()}))
}

#[derive(Deserialize)]
pub(crate) struct Added {
    email: String,
    profile: Option<String>,
    #[serde(flatten)]
    item: Item,
}

pub(crate) async fn add_to_catalog(
    State(service): State<Shared>,
    Sent(added): Sent<Added>,
) -> Result<Json<Item>, Refusal> {
    let user = user_of(&service, &added.email)?;
    service.database.transaction(|db| {
        let profile = match &added.profile {
            Some(slug) => {
                let profile = profiles::of_slug(db, &user, slug)?;
                Some(profile.ok_or(Refusal::NotFound)?.id)
            }
            None => None,
        };
        Ok(catalog::insert(db, &user, profile.as_deref(), &added.item)?)
    })?;
    Ok(Json(added.item))
}
