//! Tokens in a response, as both kinds of services issue them.

use serde_json::Value;

use super::error::{HttpError, Result};
use crate::model::{Secret, json, jwt};

/// Whether a token has only visible ASCII characters, as RFC 6749 (A.12) allows it but for the blank: others end a header or
/// a line of another protocol, or are commands to a terminal.
pub(super) fn is_usable(token: &Secret) -> bool {
    !token.is_empty() && token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic())
}

pub(super) fn usable(token: Secret) -> Result<Secret> {
    is_usable(&token).then_some(token).ok_or_else(unusable)
}

pub(super) fn unusable() -> HttpError {
    HttpError::Malformed("the response has no usable token".to_owned())
}

/// The lifetime of an access token in seconds: `expires_in`, else its own. Services write 0 where they name none, as
/// golang.org/x/oauth2 reads it.
pub(super) fn lifetime(token: &Secret, expires_in: &Value, max: u64) -> Option<u64> {
    let own = || jwt::lifetime(token).map(|seconds| seconds.clamp(1, max));
    json::number(expires_in, 0..=max).filter(|seconds| *seconds > 0).or_else(own)
}
