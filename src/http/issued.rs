//! Tokens in a response, as both kinds of services issue them.

use serde_json::Value;

use crate::model::{Secret, json, jwt};

/// Whether a token ends neither a header nor a line of another protocol.
pub(super) fn is_usable(token: &Secret) -> bool {
    !token.is_empty() && !token.expose_secret().chars().any(|c| c.is_control() || c == ' ')
}

/// The lifetime of an access token in seconds: `expires_in`, else the token's own; at least a second. Services write 0 where
/// they name no lifetime, and golang.org/x/oauth2 reads it so.
pub(super) fn lifetime(token: &Secret, expires_in: &Value, max: u64) -> Option<u64> {
    let own = || jwt::lifetime(token).map(|seconds| seconds.clamp(1, max));
    json::number(expires_in, 0..=max).filter(|seconds| *seconds > 0).or_else(own)
}
