//! The API of mycli: login by magic link, sessions, the account. One function for each route.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::{Client, Method, Wrapped, segment};
use super::error::{HttpError, Result};
use super::issued::{is_usable, lifetime};
use crate::model::{Secret, Session, Timestamp, json};
use crate::sys::clock;

/// The longest lifetime of an access token, in seconds.
const MAX_LIFETIME: u64 = 24 * 3600;

/// The lifetime of an access token if the response has no valid one.
const DEFAULT_LIFETIME: u64 = 60;

/// The codes that this program decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    AuthorizationPending,
    ExpiredToken,
    InvalidCode,
    InvalidEmail,
    InvalidRequest,
    InvalidToken,
    InvalidUsername,
    SessionExpired,
    SessionRevoked,
    TokenLimitReached,
    TooManyAttempts,
    UsernameAlreadySet,
    UsernameRequired,
    UsernameTaken,
}

/// A login that waits for the link or the code of its mail.
#[derive(Deserialize)]
pub struct PendingLogin {
    pub device_code: Secret,
    /// Seconds until link and code expire.
    #[serde(deserialize_with = "json::bounded::<_, 1, 3600>")]
    pub expires_in: u64,
    /// Seconds between two polls.
    #[serde(default = "default_interval", deserialize_with = "json::bounded::<_, 1, 60>")]
    pub interval: u64,
}

fn default_interval() -> u64 {
    5
}

pub enum Poll {
    Pending,
    /// Link and code have expired.
    Expired,
    Done(Box<NewSession>),
}

/// A session as the service issues it at login.
#[derive(Deserialize)]
pub struct NewSession {
    #[serde(deserialize_with = "token")]
    access_token: Secret,
    #[serde(deserialize_with = "token")]
    refresh_token: Secret,
    #[serde(default)]
    expires_in: Value,
    /// Whether the account has no user name yet.
    #[serde(default)]
    pub needs_username: bool,
    /// Before the request was sent.
    #[serde(skip, default = "clock::now")]
    requested: Timestamp,
}

impl NewSession {
    pub fn into_session(self, now: Timestamp) -> Session {
        let Self { access_token, refresh_token, expires_in, requested, needs_username: _ } = self;
        Session {
            expires_at: expiry(&access_token, &expires_in, requested),
            access_token,
            refresh_token: Some(refresh_token),
            id_token: None,
            logged_in_at: now,
            last_refreshed_at: now,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Me {
    pub id: String,
    pub email: String,
    pub username: Option<String>,
    #[serde(default)]
    pub needs_username: bool,
}

pub fn start_login(client: &Client, email: &str) -> Result<PendingLogin> {
    client.call(Method::POST, "/v1/auth/device/start", None, &[], &[("email", email)])
}

pub fn poll_login(client: &Client, device_code: &Secret) -> Result<Poll> {
    let (secrets, requested) = ([("device_code", device_code)], clock::now());
    match client.call(Method::POST, "/v1/auth/device/token", None, &secrets, &[]) {
        Ok(session) => Ok(Poll::Done(Box::new(NewSession { requested, ..session }))),
        Err(error) => match error.code() {
            Some(Code::AuthorizationPending) => Ok(Poll::Pending),
            Some(Code::ExpiredToken) => Ok(Poll::Expired),
            _ => Err(error),
        },
    }
}

pub fn verify_code(client: &Client, device_code: &Secret, code: &Secret) -> Result<()> {
    let secrets = [("device_code", device_code), ("code", code)];
    client.call::<Value>(Method::POST, "/v1/auth/verify-code", None, &secrets, &[]).map(drop)
}

pub fn resend(client: &Client, device_code: &Secret, email: &str) -> Result<()> {
    let (secrets, texts) = ([("device_code", device_code)], [("email", email)]);
    client.call::<Value>(Method::POST, "/v1/auth/device/resend", None, &secrets, &texts).map(drop)
}

/// Spends a refresh token, which is valid once.
pub fn refresh(
    client: &Client,
    session: &Session,
    spent: &Secret,
    requested: Timestamp,
) -> Result<Session> {
    #[derive(Deserialize)]
    struct Refreshed {
        #[serde(deserialize_with = "token")]
        access_token: Secret,
        refresh_token: Option<Secret>,
        #[serde(default)]
        expires_in: Value,
    }
    let secrets = [("refresh_token", spent)];
    let Refreshed { access_token, refresh_token, expires_in } =
        client.call(Method::POST, "/v1/auth/refresh", None, &secrets, &[])?;
    let refresh_token = refresh_token.filter(|token| !token.is_empty());
    Ok(Session {
        expires_at: expiry(&access_token, &expires_in, requested),
        access_token,
        refresh_token: refresh_token.or_else(|| Some(spent.clone())),
        id_token: None,
        logged_in_at: session.logged_in_at,
        last_refreshed_at: requested,
    })
}

/// Whether complete responses of the service arrive. A proxy that requires a login sends its own responses.
pub fn is_reachable(client: &Client) -> bool {
    match client.text("/health") {
        Ok(body) => body.trim_ascii() == b"ok",
        Err(error) => error.is_decision(),
    }
}

/// Whether a rejected refresh ends the session.
pub fn ends_session(error: &HttpError) -> bool {
    use Code::{InvalidToken, SessionExpired, SessionRevoked};
    error.status() == Some(401)
        && matches!(error.code(), Some(InvalidToken | SessionRevoked | SessionExpired))
}

pub fn logout(client: &Client, access_token: &Secret, refresh_token: &Secret) -> Result<()> {
    let (path, secrets) = ("/v1/auth/logout", [("refresh_token", refresh_token)]);
    client.call::<Value>(Method::POST, path, Some(access_token), &secrets, &[]).map(drop)
}

pub fn me(client: &Client, token: &Secret) -> Result<Me> {
    client.call(Method::GET, "/v1/me", Some(token), &[], &[])
}

pub fn set_username(client: &Client, token: &Secret, username: &str) -> Result<()> {
    let texts = [("username", username)];
    client.call::<Value>(Method::PATCH, "/v1/me/username", Some(token), &[], &texts).map(drop)
}

/// An API token, without its secret. Times are RFC 3339.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiToken {
    pub id: String,
    pub name: String,
    pub token_prefix: String,
    /// The profile whose catalog the token may read.
    pub profile_id: Option<String>,
    pub last_used_at: Option<String>,
    pub expires_at: Option<String>,
    pub created_at: String,
}

/// An API token with its secret, which the service shows once.
#[derive(Deserialize)]
pub struct NewApiToken {
    #[serde(deserialize_with = "token")]
    pub token: Secret,
    #[serde(flatten)]
    pub description: ApiToken,
}

/// `expires_in` is a number with `d`, `h` or `y`.
pub fn create_token(
    client: &Client,
    token: &Secret,
    name: &str,
    expires_in: Option<&str>,
    profile_id: Option<&str>,
) -> Result<NewApiToken> {
    let options = [("expires_in", expires_in), ("profile_id", profile_id)];
    let options = options.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let texts: Vec<_> = options.chain([("name", name)]).collect();
    client.call(Method::POST, "/v1/tokens", Some(token), &[], &texts)
}

pub fn tokens(client: &Client, token: &Secret) -> Result<Vec<ApiToken>> {
    client.list("/v1/tokens", token)
}

pub fn revoke_token(client: &Client, token: &Secret, id: &str) -> Result<()> {
    let path = format!("/v1/tokens/{}", segment(id));
    client.call::<Value>(Method::DELETE, &path, Some(token), &[], &[]).map(drop)
}

#[derive(Deserialize)]
pub struct Profile {
    pub id: String,
    pub slug: String,
}

/// The route of one profile returns 500 for an unknown slug.
pub fn profiles(client: &Client, token: &Secret) -> Result<Vec<Profile>> {
    client.list("/v1/profiles", token)
}

/// A session, as the account lists it. Times are RFC 3339.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountSession {
    pub id: String,
    pub user_agent: Option<String>,
    pub ip_address: Option<String>,
    pub device_id: Option<String>,
    pub device_name: Option<String>,
    pub last_used_at: Option<String>,
    pub expires_at: Option<String>,
    pub created_at: Option<String>,
}

pub fn sessions(client: &Client, token: &Secret) -> Result<Vec<AccountSession>> {
    client.list("/v1/sessions", token)
}

pub fn revoke_session(client: &Client, token: &Secret, id: &str) -> Result<()> {
    let path = format!("/v1/sessions/{}", segment(id));
    client.call::<Value>(Method::DELETE, &path, Some(token), &[], &[]).map(drop)
}

/// Revokes every other session; returns how many there were.
pub fn revoke_other_sessions(client: &Client, token: &Secret, current: &str) -> Result<u64> {
    let path = format!("/v1/sessions?current_session_id={}", segment(current));
    let Wrapped { value } = client.call(Method::DELETE, &path, Some(token), &[], &[])?;
    let no_count = || HttpError::Malformed("the response has no count".to_owned());
    json::number(&value, 0..=1_000_000_000).ok_or_else(no_count)
}

fn token<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    let token = Secret::deserialize(deserializer)?;
    if is_usable(&token) { Ok(token) } else { Err(serde::de::Error::custom("no usable token")) }
}

fn expiry(access_token: &Secret, expires_in: &Value, requested: Timestamp) -> Timestamp {
    let seconds = lifetime(access_token, expires_in, MAX_LIFETIME).unwrap_or(DEFAULT_LIFETIME);
    requested.plus_seconds(seconds)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Secret, Timestamp, Value, expiry};

    #[test]
    fn a_lifetime_is_between_a_second_and_a_day() {
        let received = Timestamp::from_unix(1_700_000_000);
        // iat 1700000000, exp 1700000900
        let jwt = Secret::new(
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDA5MDB9.c2ln",
        );
        for (sent, seconds) in [
            (json!(900), 900),
            (json!(1), 1),
            (json!(0), 900),
            (json!(-1), 900),
            (json!(1e18), 86_400),
            (json!(u64::MAX), 86_400),
            (json!("300"), 300),
            (json!("soon"), 900),
            (Value::Null, 900),
        ] {
            assert_eq!(expiry(&jwt, &sent, received).unix() - received.unix(), seconds, "{sent}");
        }
    }
}
