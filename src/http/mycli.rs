//! The API of mycli: login by magic link, sessions, the account. One function a route; the shapes are the service's.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::http::client::{ApiError, Client, Result, segment, token};
use crate::model::{Secret, Session, Timestamp, jwt};

/// The longest life of an access token that is believed.
const LONGEST_LIFE: i64 = 24 * 60 * 60;

/// The answer to the start of a login.
#[derive(Deserialize)]
pub struct DeviceLogin {
    /// Names this login until it is done.
    pub device_code: Secret,
    /// Seconds until link and code die.
    pub expires_in: u64,
    /// Seconds between two polls.
    #[serde(default = "five")]
    pub interval: u64,
    /// Whether the mail went out.
    #[serde(default)]
    pub email_sent: bool,
}

fn five() -> u64 {
    5
}

/// What a poll brought.
pub enum Poll {
    /// Neither the link was clicked nor the code typed.
    Pending,
    /// Link and code are dead.
    Expired,
    /// Logged in.
    Done(Box<NewSession>),
}

/// A session as the service gives it at login.
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
}

impl NewSession {
    /// The session as it is kept, received `now`.
    pub fn into_session(self, now: Timestamp) -> Session {
        let Self { access_token, refresh_token, expires_in, needs_username: _ } = self;
        Session {
            expires_at: expiry(&access_token, &expires_in, now),
            access_token,
            refresh_token: Some(refresh_token),
            logged_in_at: now,
            last_refreshed_at: now,
        }
    }
}

/// Who somebody is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Me {
    /// The user's id.
    pub id: String,
    /// The email address.
    pub email: String,
    /// The user name, once one is chosen.
    #[serde(default)]
    pub username: Option<String>,
    /// Whether there is none yet.
    #[serde(default)]
    pub needs_username: bool,
}

/// `POST /v1/auth/device/start`
pub fn start_login(client: &Client, email: &str) -> Result<DeviceLogin> {
    client.post("/v1/auth/device/start", None, &json!({ "email": email }))
}

/// `POST /v1/auth/device/token`
pub fn poll_login(client: &Client, device_code: &Secret) -> Result<Poll> {
    match client.post_secrets("/v1/auth/device/token", None, &[("device_code", device_code)], &[]) {
        Ok(session) => Ok(Poll::Done(Box::new(session))),
        Err(error) if error.code() == "AUTHORIZATION_PENDING" => Ok(Poll::Pending),
        Err(error) if error.code() == "EXPIRED_TOKEN" => Ok(Poll::Expired),
        Err(error) => Err(error),
    }
}

/// `POST /v1/auth/verify-code`
pub fn verify_code(client: &Client, device_code: &Secret, code: &Secret) -> Result<()> {
    let secrets = [("device_code", device_code), ("code", code)];
    client.post_secrets::<Value>("/v1/auth/verify-code", None, &secrets, &[]).map(drop)
}

/// `POST /v1/auth/device/resend`
pub fn resend(client: &Client, device_code: &Secret, email: &str) -> Result<()> {
    let (secrets, others) = ([("device_code", device_code)], [("email", email)]);
    client.post_secrets::<Value>("/v1/auth/device/resend", None, &secrets, &others).map(drop)
}

/// `POST /v1/auth/refresh`: redeems a refresh token, which works once. Whatever else is wrong with the answer, a new
/// refresh token in it is kept: the old one is spent.
pub fn refresh(
    client: &Client,
    spent: &Session,
    redeemed: &Secret,
    now: impl Fn() -> Timestamp,
) -> Result<Session> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(deserialize_with = "token")]
        access_token: Secret,
        refresh_token: Option<Secret>,
        #[serde(default)]
        expires_in: Value,
    }
    let Body { access_token, refresh_token, expires_in } =
        client.post_secrets("/v1/auth/refresh", None, &[("refresh_token", redeemed)], &[])?;
    let received = now();
    let refresh_token = refresh_token.filter(|token| !token.is_empty());
    Ok(Session {
        expires_at: expiry(&access_token, &expires_in, received),
        access_token,
        refresh_token: refresh_token.or_else(|| Some(redeemed.clone())),
        logged_in_at: spent.logged_in_at,
        last_refreshed_at: received,
    })
}

/// `GET /health`: whether the service's own answers arrive whole. A proxy that asks for a login answers otherwise.
pub fn is_reachable(client: &Client) -> bool {
    match client.exchange(client.http.get(client.url("/health"))) {
        Ok((200..300, body)) => body.trim_ascii() == b"ok",
        Ok((status, _)) => status < 500,
        Err(_) => false,
    }
}

/// Whether a refused refresh means that the session is dead. These three codes alone do.
pub fn ends_session(error: &ApiError) -> bool {
    matches!(error, ApiError::Service { status: 401, .. })
        && matches!(error.code(), "INVALID_TOKEN" | "SESSION_REVOKED" | "SESSION_EXPIRED")
}

/// `POST /v1/auth/logout`
pub fn logout(client: &Client, access_token: &Secret, refresh_token: &Secret) -> Result<()> {
    let secrets = [("refresh_token", refresh_token)];
    client.post_secrets::<Value>("/v1/auth/logout", Some(access_token), &secrets, &[]).map(drop)
}

/// `GET /v1/me`
pub fn me(client: &Client, token: &Secret) -> Result<Me> {
    client.get("/v1/me", token)
}

/// `PATCH /v1/me/username`
pub fn set_username(client: &Client, token: &Secret, username: &str) -> Result<()> {
    client.patch::<Value>("/v1/me/username", token, &json!({ "username": username })).map(drop)
}

/// An API token, without its secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiToken {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its first characters.
    pub token_prefix: String,
    /// The profile that it was made for.
    #[serde(default)]
    pub profile_id: Option<String>,
    /// When it was last used; RFC 3339.
    #[serde(default)]
    pub last_used_at: Option<String>,
    /// When it ends; RFC 3339.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// When it was made; RFC 3339.
    pub created_at: String,
}

/// An API token, the only time that it is shown.
#[derive(Deserialize)]
pub struct NewApiToken {
    #[serde(deserialize_with = "token")]
    token: Secret,
    /// What may be shown of it.
    #[serde(flatten)]
    pub sanitize: ApiToken,
}

impl NewApiToken {
    /// The token itself.
    pub fn into_parts(self) -> (Secret, ApiToken) {
        (self.token, self.sanitize)
    }
}

/// `POST /v1/tokens`; `expires_in` is a number with `d`, `h` or `y`.
pub fn create_token(
    client: &Client,
    token: &Secret,
    name: &str,
    expires_in: Option<&str>,
    profile_id: Option<&str>,
) -> Result<NewApiToken> {
    let mut body = json!({ "name": name });
    for (field, value) in [("expires_in", expires_in), ("profile_id", profile_id)] {
        if let Some(value) = value {
            body[field] = value.into();
        }
    }
    client.post("/v1/tokens", Some(token), &body)
}

/// `GET /v1/tokens`
pub fn tokens(client: &Client, token: &Secret) -> Result<Vec<ApiToken>> {
    #[derive(Deserialize)]
    struct Body {
        tokens: Vec<ApiToken>,
    }
    client.get::<Body>("/v1/tokens", token).map(|answer| answer.tokens)
}

/// `DELETE /v1/tokens/{id}`
pub fn revoke_token(client: &Client, token: &Secret, id: &str) -> Result<()> {
    client.delete::<Value>(&format!("/v1/tokens/{}", segment(id)), token).map(drop)
}

/// `GET /v1/profiles/{slug}`: the profile's id.
pub fn profile_id(client: &Client, token: &Secret, slug: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Body {
        profile: Profile,
    }
    #[derive(Deserialize)]
    struct Profile {
        id: String,
    }
    client
        .get::<Body>(&format!("/v1/profiles/{}", segment(slug)), token)
        .map(|answer| answer.profile.id)
}

/// A session, as the account sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountSession {
    /// Its id.
    pub id: String,
    /// The program that logged in.
    #[serde(default)]
    pub user_agent: Option<String>,
    /// Where from.
    #[serde(default)]
    pub ip_address: Option<String>,
    /// The device's id.
    #[serde(default)]
    pub device_id: Option<String>,
    /// The device's name.
    #[serde(default)]
    pub device_name: Option<String>,
    /// When it was last used; RFC 3339.
    #[serde(default)]
    pub last_used_at: Option<String>,
    /// When it ends; RFC 3339.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// When it began; RFC 3339.
    #[serde(default)]
    pub created_at: Option<String>,
}

/// `GET /v1/sessions`
pub fn sessions(client: &Client, token: &Secret) -> Result<Vec<AccountSession>> {
    #[derive(Deserialize)]
    struct Body {
        sessions: Vec<AccountSession>,
    }
    client.get::<Body>("/v1/sessions", token).map(|answer| answer.sessions)
}

/// `DELETE /v1/sessions/{id}`
pub fn revoke_session(client: &Client, token: &Secret, id: &str) -> Result<()> {
    client.delete::<Value>(&format!("/v1/sessions/{}", segment(id)), token).map(drop)
}

/// `DELETE /v1/sessions?current_session_id=`: every other session; says how many.
pub fn revoke_other_sessions(client: &Client, token: &Secret, current: &str) -> Result<u64> {
    #[derive(Deserialize)]
    struct Body {
        revoked_count: u64,
    }
    let path = format!("/v1/sessions?current_session_id={}", segment(current));
    client.delete::<Body>(&path, token).map(|answer| answer.revoked_count)
}

/// Receipt plus `expires_in`, held between a second and a day; where the service named none that can be read, the
/// token's own life.
fn expiry(access_token: &Secret, expires_in: &Value, received: Timestamp) -> Timestamp {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast saturates, and the sum is clamped"
    )]
    let told = expires_in.as_f64().map(|seconds| seconds as i64);
    let own = || {
        let claims = jwt::claims(access_token);
        Some(claims.exp?.saturating_sub(claims.iat?))
    };
    let seconds = told.or_else(own).unwrap_or(60).clamp(1, LONGEST_LIFE);
    received.plus(time::Duration::seconds(seconds))
}

#[cfg(test)]
mod tests {
    use super::{Secret, Timestamp, Value, expiry, json};

    #[test]
    fn an_absurd_life_is_held_between_a_second_and_a_day() {
        let received = Timestamp::from_unix(1_700_000_000);
        // iat 1700000000, exp 1700000900
        let jwt = Secret::new(
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDA5MDB9.c2ln",
        );
        for (told, seconds) in [
            (json!(900), 900),
            (json!(0), 1),
            (json!(-1), 1),
            (json!(1e18), 86_400),
            (json!("soon"), 900),
            (Value::Null, 900),
        ] {
            assert_eq!(expiry(&jwt, &told, received).unix() - received.unix(), seconds, "{told}");
        }
    }
}
