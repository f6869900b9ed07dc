//! Token responses and errors. An invalid field of a response must not lose a refresh token.

use std::fmt::Display;
use std::time::Duration;

use oauth2::basic::BasicTokenType;
use oauth2::{
    AccessToken, CsrfToken, ErrorResponseType, HttpResponse, RefreshToken, RequestTokenError,
    Scope, StandardErrorResponse,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::http::error::{HttpError, Result, ServiceError};
use crate::http::issued::{self, lifetime};
use crate::model::json::{number, reason};
use crate::model::{IdToken, Secret, Session, Timestamp, jwt};

/// The longest token, in bytes: no header carries a longer one.
const MAX_TOKEN: usize = 16 * 1024;

/// The lifetime of an access token that names none and can be renewed. Without a refresh token its expiry is unknown.
const DEFAULT_LIFETIME: u64 = 3600;

/// The longest lifetime of an access token, in seconds.
const MAX_LIFETIME: u64 = 366 * 24 * 3600;

/// The tokens that a service issues for a login or a refresh token.
#[derive(Debug, Deserialize, Serialize)]
pub struct TokenResponse {
    access_token: AccessToken,
    #[serde(default)]
    refresh_token: Option<RefreshToken>,
    #[serde(default)]
    expires_in: Value,
    #[serde(default, skip_serializing, deserialize_with = "text")]
    id_token: Option<Secret>,
    #[serde(default, rename = "token_type")]
    named_type: Option<String>,
    #[serde(skip, default = "bearer")]
    token_type: BasicTokenType,
}

/// A secret; `None` for anything but a string.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(Secret::new(text)),
        _ => None,
    })
}

fn bearer() -> BasicTokenType {
    BasicTokenType::Bearer
}

impl oauth2::TokenResponse for TokenResponse {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        number(&self.expires_in, 1..=MAX_LIFETIME).map(Duration::from_secs)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

impl TokenResponse {
    /// Whether an ID token has the nonce that was sent (OpenID Connect Core, 3.1.3.7). An encrypted one cannot be read.
    pub(super) fn is_for(&self, nonce: &CsrfToken) -> bool {
        let id_token = self.id_token.as_ref().filter(|token| token.is_jwt());
        id_token.is_none_or(|token| jwt::nonce(token).as_ref() == Some(nonce.secret()))
    }

    /// The session, with the time before the request was sent: the lifetime began before the response came.
    pub fn into_session(self, requested: Timestamp) -> Result<Session> {
        let access_token = usable(self.access_token.into_secret())?;
        // RFC 8693, 2.2.1: `N_A` for a token that is not an access token.
        let is_usable =
            |named: &str| ["bearer", "n_a"].iter().any(|it| named.eq_ignore_ascii_case(it));
        if self.named_type.is_some_and(|named| !is_usable(&named)) {
            return Err(HttpError::Malformed("the token is not a Bearer token".to_owned()));
        }
        let refresh_token =
            self.refresh_token.map(RefreshToken::into_secret).filter(|token| !token.is_empty());
        let refresh_token = refresh_token.map(usable).transpose()?;
        let lifetime = lifetime(&access_token, &self.expires_in, MAX_LIFETIME)
            .or(refresh_token.as_ref().map(|_| DEFAULT_LIFETIME));
        Ok(Session {
            expires_at: lifetime
                .map_or(Timestamp::NEVER, |seconds| requested.plus_seconds(seconds)),
            access_token,
            refresh_token,
            id_token: self.id_token.and_then(|token| id_token(token, requested)),
            logged_in_at: requested,
            last_refreshed_at: requested,
        })
    }
}

/// The ID token; `None` if it cannot be used, so that the session is not lost.
fn id_token(token: Secret, requested: Timestamp) -> Option<IdToken> {
    if token.expose_secret().len() > MAX_TOKEN {
        return None;
    }
    // `None` if the token is not a JWT, or lacks one of the two required claims.
    let lifetime = jwt::lifetime(&token)?.min(MAX_LIFETIME);
    Some(IdToken { token, expires_at: requested.plus_seconds(lifetime) })
}

fn usable(token: String) -> Result<Secret> {
    let token = Secret::new(token);
    let length = token.expose_secret().len();
    if length > MAX_TOKEN {
        let message = format!("the token has {length} bytes, which is too long for an HTTP header");
        return Err(HttpError::Malformed(message));
    }
    issued::usable(token)
}

/// With numbers that the library decodes: it accepts only whole ones, and panics if a sum of intervals overflows.
pub(super) fn with_bounded_numbers(response: HttpResponse) -> HttpResponse {
    let Ok(mut body) = serde_json::from_slice::<Value>(response.body()) else { return response };
    if let Some(fields) = body.as_object_mut() {
        for (name, range, default) in [("expires_in", 1..=3600, 900), ("interval", 1..=60, 5)] {
            let field = fields.entry(name).or_insert(Value::Null);
            *field = number(field, range).unwrap_or(default).into();
        }
    }
    HttpResponse::new(body.to_string().into_bytes())
}

/// The response for an error with which the library decides whether the poll continues; else the error.
pub(super) fn for_the_library(error: HttpError) -> Result<HttpResponse> {
    match error {
        HttpError::Service(ServiceError {
            status: 400..=428 | 430..=499, code, message, ..
        }) if !code.is_empty() => Ok(error_response(&code, &message)),
        error => Err(error),
    }
}

pub(super) fn error_response(code: &str, message: &str) -> HttpResponse {
    let body = json!({ "error": code, "error_description": message }).to_string();
    let mut response = HttpResponse::new(body.into_bytes());
    *response.status_mut() = oauth2::http::StatusCode::BAD_REQUEST;
    response
}

/// The error of a request of the library. A response that cannot be decoded may contain a token, and is dropped.
pub(super) fn failure<T: ErrorResponseType + AsRef<str> + Display + 'static>(
    error: RequestTokenError<HttpError, StandardErrorResponse<T>>,
) -> HttpError {
    match error {
        RequestTokenError::Request(error) => error,
        RequestTokenError::ServerResponse(response) => {
            let code = response.error().as_ref().to_owned();
            let message = response.error_description().cloned().unwrap_or_default();
            ServiceError { status: 400, code, message, retry_after: None }.into()
        }
        RequestTokenError::Parse(error, _) => {
            HttpError::Malformed(format!("the response {}", reason(error.inner())))
        }
        RequestTokenError::Other(_) => {
            HttpError::Malformed("the response cannot be decoded".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use oauth2::HttpResponse;

    use super::{Timestamp, TokenResponse};

    fn session(body: &str) -> Result<crate::model::Session, String> {
        let issued: TokenResponse =
            serde_json::from_str(body).map_err(|error| error.to_string())?;
        issued.into_session(Timestamp::from_unix(1_700_000_000)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_wrong_lifetime_costs_no_refresh_token() {
        for (lifetime, seconds) in [
            ("900", 900),
            ("\"900\"", 900),
            ("0", 3600),
            ("-1", 3600),
            ("\"0\"", 3600),
            ("0.5", 3600),
            ("null", 3600),
            ("1", 1),
            ("1e18", 366 * 86_400),
            ("18446744073709551615", 366 * 86_400),
            ("\"soon\"", 3600),
        ] {
            let body =
                format!(r#"{{"access_token":"a","refresh_token":"r","expires_in":{lifetime}}}"#);
            let session = session(&body).unwrap();
            assert_eq!(session.expires_at.unix() - 1_700_000_000, seconds, "{lifetime}");
            assert!(session.refresh_token.is_some());
        }
    }

    #[test]
    fn a_lone_token_without_a_lifetime_has_no_known_expiry() {
        assert!(
            session(r#"{"access_token":"gho_1","token_type":"bearer","scope":""}"#)
                .unwrap()
                .expires_at
                .is_never()
        );
    }

    #[test]
    fn an_invalid_id_token_costs_no_session() {
        // {"alg":"RS256"} . {"iat":1700000000,"exp":1700000300}
        let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMDMwMH0.c2ln";
        let long = format!("{}.c2ln", "x".repeat(100_000));
        for (sent, expected) in [
            (serde_json::json!(jwt), Some(300)),
            (serde_json::json!("eyJhbGciOiJSUzI1NiJ9.eyJpYXQiOjF9.c2ln"), None),
            (serde_json::json!("opaque"), None),
            (serde_json::json!("eyJ.eyJ.x\r\nX: y"), None),
            (serde_json::json!(long), None),
            (serde_json::json!(7), None),
            (serde_json::json!([jwt]), None),
            (serde_json::Value::Null, None),
        ] {
            let body =
                serde_json::json!({ "access_token": "a", "refresh_token": "r", "id_token": sent });
            let session = session(&body.to_string()).unwrap();
            let lifetime = session.id_token.map(|id| id.expires_at.unix() - 1_700_000_000);
            assert_eq!(lifetime, expected, "{sent}");
        }
    }

    #[test]
    fn an_unusable_token_is_rejected_without_its_text() {
        let long = "x".repeat(100_000);
        for (body, reason) in [
            (
                format!(r#"{{"access_token":"{long}"}}"#),
                "the token has 100000 bytes, which is too long for an HTTP header",
            ),
            (r#"{"access_token":"a b"}"#.to_owned(), "the response has no usable token"),
            (
                r#"{"access_token":"a","token_type":"DPoP"}"#.to_owned(),
                "the token is not a Bearer token",
            ),
        ] {
            assert_eq!(session(&body).err().as_deref(), Some(reason));
        }
    }

    #[test]
    fn numbers_of_a_device_authorization_are_bounded() {
        for (sent, expires_in, interval) in [
            (r#"{"expires_in":18446744073709551615,"interval":18446744073709551615}"#, 3600, 60),
            (r#"{"expires_in":"60","interval":"7"}"#, 60, 7),
            (r#"{"expires_in":0,"interval":0}"#, 1, 1),
            (r#"{"expires_in":-1,"interval":2.5}"#, 1, 2),
            (r#"{"expires_in":1e300,"interval":null}"#, 3600, 5),
            ("{}", 900, 5),
        ] {
            let response = HttpResponse::new(sent.as_bytes().to_vec());
            let bounded = super::with_bounded_numbers(response).into_body();
            let read: serde_json::Value = serde_json::from_slice(&bounded).unwrap();
            assert_eq!(
                (&read["expires_in"], &read["interval"]),
                (&expires_in.into(), &interval.into()),
                "{sent}"
            );
        }
    }
}
