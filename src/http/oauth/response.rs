//! What comes back from a service: tokens, and refusals. Read so that a slip in one field costs no refresh token.

use std::time::Duration;

use oauth2::basic::{BasicErrorResponse, BasicTokenType};
use oauth2::{
    AccessToken, ErrorResponse, HttpResponse, RefreshToken, RequestTokenError, Scope, TokenResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::sanitize;
use crate::http::client::{ApiError, HIDDEN, Result, without_tokens};
use crate::model::{Secret, Session, Timestamp, jwt};

/// The longest token that is kept: no header carries a longer one.
pub const MOST_TOKEN: usize = 16 * 1024;

/// The life of an access token that names none and can be renewed. One that cannot has no end that is known.
const UNSAID_LIFE: i64 = 3600;

/// The longest life that is believed of one that says it.
const LONGEST_LIFE: i64 = 366 * 24 * 3600;

/// What a service gives for a login or a refresh token.
#[derive(Debug, Deserialize, Serialize)]
pub struct Granted {
    access_token: AccessToken,
    #[serde(default)]
    refresh_token: Option<RefreshToken>,
    /// A number; some write it as a text.
    #[serde(default)]
    expires_in: Value,
    #[serde(default, rename = "token_type")]
    named_type: Option<String>,
    #[serde(skip, default = "bearer")]
    token_type: BasicTokenType,
}

fn bearer() -> BasicTokenType {
    BasicTokenType::Bearer
}

impl TokenResponse for Granted {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        seconds(&self.expires_in)
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

impl Granted {
    /// The session as it is kept, received `now`.
    pub fn into_session(self, now: Timestamp) -> Result<Session> {
        let access_token = usable(self.access_token.into_secret())?;
        if let Some(named) = self.named_type.filter(|named| !named.eq_ignore_ascii_case("bearer")) {
            return Err(ApiError::Absurd(format!(
                "its token is of the type `{}`, and no Bearer token",
                sanitize(&named)
            )));
        }
        let refresh_token =
            self.refresh_token.map(RefreshToken::into_secret).filter(|token| !token.is_empty());
        let refresh_token = refresh_token.map(usable).transpose()?;
        let life =
            life(&access_token, &self.expires_in).or(refresh_token.as_ref().map(|_| UNSAID_LIFE));
        Ok(Session {
            expires_at: life
                .map_or(Timestamp::NEVER, |seconds| now.plus(time::Duration::seconds(seconds))),
            access_token,
            refresh_token,
            logged_in_at: now,
            last_refreshed_at: now,
        })
    }
}

fn usable(token: String) -> Result<Secret> {
    let token = Secret::new(token);
    let text = token.expose_secret();
    if text.len() > MOST_TOKEN {
        return Err(ApiError::Absurd(format!(
            "its token has {} bytes, and no header carries that",
            text.len()
        )));
    }
    if text.is_empty() || text.chars().any(|c| c.is_control() || c == ' ') {
        return Err(ApiError::Absurd("its answer has no usable token".to_owned()));
    }
    Ok(token)
}

/// Seconds, as the service names them; else the token's own life.
fn life(access_token: &Secret, expires_in: &Value) -> Option<i64> {
    let own = || {
        let claims = jwt::claims(access_token);
        Some(claims.exp?.saturating_sub(claims.iat?))
    };
    seconds(expires_in).or_else(own).map(|seconds| seconds.clamp(1, LONGEST_LIFE))
}

fn seconds(expires_in: &Value) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast saturates, and the sum is clamped"
    )]
    let number = expires_in.as_f64().map(|seconds| seconds as i64);
    number.or_else(|| expires_in.as_str()?.trim().parse().ok())
}

/// An answer as the `oauth2` crate wants it. What no service says about a request is told at once: a failure behind a
/// proxy must not be taken for a refusal.
pub(super) fn for_the_library(status: u16, body: &[u8]) -> Result<HttpResponse> {
    let fields = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let is_refusal = fields.get("error").is_some_and(Value::is_string);
    let status = match status {
        // GitHub answers a refusal with 200.
        200..300 if is_refusal && fields.get("access_token").is_none() => 400,
        200..300 => 200,
        400..500 if is_refusal && status != 429 => status,
        status => return Err(refusal(status, body)),
    };
    let mut response = HttpResponse::new(body.to_vec());
    *response.status_mut() = oauth2::http::StatusCode::from_u16(status).unwrap_or_default();
    Ok(response)
}

/// A refusal, with the service's own words where it is one.
pub(super) fn refusal(status: u16, body: &[u8]) -> ApiError {
    #[derive(Default, Deserialize)]
    struct Body {
        error: String,
        #[serde(default)]
        error_description: String,
    }
    let Body { error, error_description } = serde_json::from_slice(body).unwrap_or_default();
    let [code, message] = [error, error_description].map(|text| sanitize(&without_tokens(&text)));
    ApiError::Service { status, code, message, retry_after: None }
}

/// The same without this secret, which some services repeat to be helpful.
pub(super) fn without(error: ApiError, secret: &Secret) -> ApiError {
    match error {
        ApiError::Service { status, code, message, retry_after } if !secret.is_empty() => {
            let [code, message] =
                [code, message].map(|text| text.replace(secret.expose_secret(), HIDDEN));
            ApiError::Service { status, code, message, retry_after }
        }
        other => other,
    }
}

/// Why a request of the library's brought nothing.
pub(super) fn failure(error: RequestTokenError<ApiError, BasicErrorResponse>) -> ApiError {
    match error {
        RequestTokenError::ServerResponse(answer) => {
            fault(answer.error().as_ref(), answer.error_description())
        }
        other => transport(other),
    }
}

pub(super) fn fault(code: &str, description: Option<&String>) -> ApiError {
    let message = description.map_or_else(String::new, |text| sanitize(&without_tokens(text)));
    ApiError::Service {
        status: 400,
        code: sanitize(&without_tokens(code)),
        message,
        retry_after: None,
    }
}

/// The same where it is no refusal. The answer itself may hold a token, and is not repeated.
pub(super) fn transport<T: ErrorResponse + 'static>(
    error: RequestTokenError<ApiError, T>,
) -> ApiError {
    match error {
        RequestTokenError::Request(error) => error,
        RequestTokenError::Parse(error, _) => {
            ApiError::Absurd(format!("its answer {}", crate::model::json::reason(error.inner())))
        }
        _ => ApiError::Absurd("its answer cannot be understood".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Granted, Timestamp};

    fn session(answer: &str) -> Result<crate::model::Session, String> {
        let granted: Granted = serde_json::from_str(answer).map_err(|error| error.to_string())?;
        granted.into_session(Timestamp::from_unix(1_700_000_000)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_slip_in_the_life_costs_no_refresh_token() {
        for (life, seconds) in
            [("900", 900), ("\"900\"", 900), ("-1", 1), ("1e18", 366 * 86_400), ("\"soon\"", 3600)]
        {
            let answer =
                format!(r#"{{"access_token":"a","refresh_token":"r","expires_in":{life}}}"#);
            let session = session(&answer).unwrap();
            assert_eq!(session.expires_at.unix() - 1_700_000_000, seconds, "{life}");
            assert!(session.refresh_token.is_some());
        }
    }

    #[test]
    fn a_token_without_a_life_and_without_a_successor_has_no_known_end() {
        assert!(
            session(r#"{"access_token":"gho_1","token_type":"bearer","scope":""}"#)
                .unwrap()
                .expires_at
                .is_never()
        );
    }

    #[test]
    fn what_no_header_carries_is_refused_without_being_repeated() {
        let long = "x".repeat(100_000);
        for (answer, reason) in [
            (
                format!(r#"{{"access_token":"{long}"}}"#),
                "its token has 100000 bytes, and no header carries that",
            ),
            (r#"{"access_token":"a b"}"#.to_owned(), "its answer has no usable token"),
            (
                r#"{"access_token":"a","token_type":"DPoP"}"#.to_owned(),
                "its token is of the type `DPoP`, and no Bearer token",
            ),
        ] {
            assert_eq!(session(&answer).err().as_deref(), Some(reason));
        }
    }
}
