//! Every error that the service answers with: its status, its code, its message. Never repeats what was sent.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why a request is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    InvalidRequest(&'static str),
    InvalidEmail,
    AuthorizationPending,
    ExpiredToken,
    InvalidCode,
    InvalidUsername,
    NotForPrefetch,
    Unauthorized,
    InvalidToken,
    SessionRevoked,
    SessionExpired,
    ApiKeyExpired,
    ApiKeyRevoked,
    JwtRequired,
    UsernameRequired,
    Forbidden(&'static str),
    NotFound,
    MethodNotAllowed,
    UsernameTaken,
    UsernameAlreadySet,
    SlugTaken,
    TokenLimitReached,
    PayloadTooLarge,
    TooManyAttempts,
    RateLimited,
    Internal,
}

impl Refusal {
    /// The status, the code and the message.
    #[rustfmt::skip]
    pub(crate) fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::InvalidRequest(reason) => (400, "INVALID_REQUEST", reason),
            Self::InvalidEmail => (400, "INVALID_EMAIL", "this is not an email address that can be used here"),
            Self::AuthorizationPending => (400, "AUTHORIZATION_PENDING", "the login has not been confirmed yet"),
            Self::ExpiredToken => (400, "EXPIRED_TOKEN", "the device code is unknown, used or expired"),
            Self::InvalidCode => (400, "INVALID_CODE", "the code is wrong, used or expired"),
            Self::InvalidUsername => (400, "INVALID_USERNAME", "3 to 39 of a-z, 0-9 and -, the first a letter"),
            Self::NotForPrefetch => (400, "NOT_FOR_PREFETCH", "a link that works once is not loaded in advance"),
            Self::Unauthorized => (401, "UNAUTHORIZED", "the credential is missing, unknown or expired"),
            Self::InvalidToken => (401, "INVALID_TOKEN", "the refresh token is unknown or was used"),
            Self::SessionRevoked => (401, "SESSION_REVOKED", "the session was revoked"),
            Self::SessionExpired => (401, "SESSION_EXPIRED", "the session is over"),
            Self::ApiKeyExpired => (401, "API_KEY_EXPIRED", "the API key is expired"),
            Self::ApiKeyRevoked => (401, "API_KEY_REVOKED", "the API key was revoked"),
            Self::JwtRequired => (403, "JWT_REQUIRED", "an API token cannot do this: use a session"),
            Self::UsernameRequired => (403, "USERNAME_REQUIRED", "choose a username first"),
            Self::Forbidden(reason) => (403, "FORBIDDEN", reason),
            Self::NotFound => (404, "NOT_FOUND", "there is nothing of that name here"),
            Self::MethodNotAllowed => (405, "METHOD_NOT_ALLOWED", "this path does not answer that method"),
            Self::UsernameTaken => (409, "USERNAME_TAKEN", "somebody else has that username"),
            Self::UsernameAlreadySet => (409, "USERNAME_ALREADY_SET", "a username is chosen once"),
            Self::SlugTaken => (409, "SLUG_TAKEN", "there is a profile of that slug"),
            Self::TokenLimitReached => (409, "TOKEN_LIMIT_REACHED", "a user has ten API tokens at most"),
            Self::PayloadTooLarge => (413, "PAYLOAD_TOO_LARGE", "a request body has at most 256 KiB"),
            Self::TooManyAttempts => (429, "TOO_MANY_ATTEMPTS", "too many wrong codes: start the login again"),
            Self::RateLimited => (429, "RATE_LIMITED", "too many requests: wait a second"),
            Self::Internal => (500, "INTERNAL_ERROR", "the service failed"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code, message) = self.parts();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = Json(json!({"error": {"code": code, "message": message}}));
        let mut response = (status, body).into_response();
        // The console makes a page of it.
        response.extensions_mut().insert(self);
        if self == Self::RateLimited {
            let wait = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, wait);
        }
        response
    }
}

/// Tells the operator, and the client only that the service failed.
fn failed(what: &str, error: &dyn std::error::Error) -> Refusal {
    eprintln!("{what}: {error}");
    Refusal::Internal
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        failed("database", &error)
    }
}

impl From<getrandom::Error> for Refusal {
    fn from(error: getrandom::Error) -> Self {
        failed("random numbers", &error)
    }
}

impl From<jsonwebtoken::errors::Error> for Refusal {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        failed("signing", &error)
    }
}

impl From<askama::Error> for Refusal {
    fn from(error: askama::Error) -> Self {
        failed("template", &error)
    }
}

impl From<PathRejection> for Refusal {
    fn from(_: PathRejection) -> Self {
        Self::NotFound
    }
}

impl From<QueryRejection> for Refusal {
    fn from(_: QueryRejection) -> Self {
        Self::InvalidRequest("the query cannot be read")
    }
}
