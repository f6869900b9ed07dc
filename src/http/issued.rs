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

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
    use serde_json::{Value, json};

    use super::{is_usable, lifetime};
    use crate::model::Secret;

    #[test]
    fn a_lifetime_is_clamped_whatever_says_it() {
        let of_token = |iat: i64, exp: i64| {
            let part = |value: Value| BASE64.encode(value.to_string());
            let claims = json!({ "iat": iat, "exp": exp });
            Secret::new(format!("{}.{}.c2ln", part(json!({ "alg": "x" })), part(claims)))
        };
        let opaque = Secret::new("x");
        for (token, expires_in, expected) in [
            (&opaque, json!(900), Some(900)),
            (&opaque, json!(u64::MAX), Some(3600)),
            (&opaque, json!(0), None),
            (&of_token(100, 1000), Value::Null, Some(900)),
            (&of_token(0, i64::MAX), Value::Null, Some(3600)),
            (&of_token(1000, 100), json!(0), Some(1)),
        ] {
            assert_eq!(lifetime(token, &expires_in, 3600), expected, "{expires_in}");
        }
    }

    #[test]
    fn a_usable_token_has_only_visible_ascii_characters() {
        assert!(is_usable(&Secret::new("a.b-c_~+/=")));
        for token in ["", "a b", "a\n", "a\u{7f}", "\u{1b}[2J", "ä", "a\u{202e}"] {
            assert!(!is_usable(&Secret::new(token)), "{token:?}");
        }
    }
}
