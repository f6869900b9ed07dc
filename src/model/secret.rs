//! A string that is never shown: a token, a password, a code.

use std::fmt;

use serde::{Serialize as _, Serializer};
use zeroize::Zeroizing;

/// A secret, which is wiped from memory when it is dropped. [`Secret::expose_secret`] is the one way out, and occurs
/// only in encoders, stores, the HTTP client and the environment of a child. `Debug` is redacted. It cannot be printed:
///
/// ```compile_fail
/// let secret = my_credential_helper::model::Secret::new("hunter2");
/// println!("{secret}");
/// ```
///
/// nor serialised by accident:
///
/// ```compile_fail
/// let secret = my_credential_helper::model::Secret::new("hunter2");
/// serde_json::to_string(&secret).unwrap();
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl std::hash::Hash for Secret {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.expose_secret().hash(state);
    }
}

impl Secret {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(Zeroizing::new(secret.into()))
    }

    /// From a text of a person or a CI system: without a byte order mark, and the blanks and line breaks around it.
    pub fn trimmed(text: &str) -> Self {
        Self::new(text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}'))
    }

    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    /// For `serialize_with`: a file of this program has the secret.
    pub fn serialize<S: Serializer>(
        secret: &Option<Self>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Self::expose_secret).serialize(serializer)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a character in it would end a line or a header.
    pub fn has_control_character(&self) -> bool {
        // A token is ASCII, and long: bytes are faster than characters.
        if self.0.is_ascii() {
            return self.0.bytes().any(|byte| byte.is_ascii_control());
        }
        self.0.chars().any(char::is_control)
    }

    /// Whether it is the token, possibly after a scheme: `Bearer TOKEN`.
    pub fn is_token(&self, token: &Self) -> bool {
        self.0.rsplit(' ').next() == Some(token.expose_secret())
    }

    /// Whether it has the form of a JWT: three parts in base64url, and the first two are JSON objects.
    pub fn is_jwt(&self) -> bool {
        let is_base64url =
            |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        // `eyJ` is `{"` in base64.
        let is_object = |part: &str| part.starts_with("eyJ") && is_base64url(part);
        let mut parts = self.0.split('.');
        parts.next().is_some_and(is_object)
            && parts.next().is_some_and(is_object)
            && parts.next().is_some_and(is_base64url)
            && parts.next().is_none()
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl From<Zeroizing<String>> for Secret {
    fn from(secret: Zeroizing<String>) -> Self {
        Self(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_output_has_no_secret() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some([secret])");
    }

    #[test]
    fn a_jwt_is_recognized_by_its_form() {
        assert!(Secret::new("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln").is_jwt());
        for other in ["", "myc_0123", "eyJ.eyJ", "a.b.c", "eyJx.eyJx.x.x", "eyJx.eyJ x.x"] {
            assert!(!Secret::new(other).is_jwt(), "`{other}` is no JWT");
        }
    }

    #[test]
    fn a_token_may_have_a_scheme() {
        let token = Secret::new("abc");
        assert!(Secret::new("abc").is_token(&token) && Secret::new("Bearer abc").is_token(&token));
        assert!(!Secret::new("abcd").is_token(&token) && !Secret::new("abc x").is_token(&token));
    }
}
