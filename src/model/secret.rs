//! A string that is never shown: tokens, passwords, codes. It has no `Display` and no `Serialize`, its `Debug` is
//! redacted, and it is wiped from memory when it is dropped.

use std::fmt;

use zeroize::Zeroizing;

/// A secret. [`Secret::expose_secret`] is the one way out, and occurs only in encoders, stores, the HTTP client and
/// the environment of a child.
///
/// It cannot be printed:
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

impl Secret {
    /// Takes the string over; the caller keeps no copy.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(Zeroizing::new(secret.into()))
    }

    /// The secret itself.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a character in it would end a line or a header.
    pub fn has_control_character(&self) -> bool {
        // A token is ASCII, and long.
        if self.0.is_ascii() {
            return self.0.bytes().any(|byte| byte.is_ascii_control());
        }
        self.0.chars().any(char::is_control)
    }

    /// Whether the last word of it, behind `Bearer` perhaps, is a JWT.
    pub fn ends_in_jwt(&self) -> bool {
        self.0.rsplit_once(' ').map_or_else(|| self.is_jwt(), |(_, last)| Self::new(last).is_jwt())
    }

    /// Whether this has the form of a JWT: three parts in base64url, of which the first begins an object.
    pub fn is_jwt(&self) -> bool {
        let base64url =
            |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let mut parts = self.0.split('.');
        // `eyJ` is `{"` in base64.
        parts.next().is_some_and(|head| head.starts_with("eyJ") && base64url(head))
            && parts.next().is_some_and(|claims| claims.starts_with("eyJ") && base64url(claims))
            && parts.next().is_some_and(base64url)
            && parts.next().is_none()
    }
}

/// In what is read, so that no field of it is a plain string.
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
    fn a_jwt_is_told_from_an_api_token_by_its_form() {
        assert!(Secret::new("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln").is_jwt());
        for other in ["", "myc_0123", "eyJ.eyJ", "a.b.c", "eyJx.eyJx.x.x", "eyJx.eyJ x.x"] {
            assert!(!Secret::new(other).is_jwt(), "`{other}` is no JWT");
        }
        let header = Secret::new("Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln");
        assert!(header.ends_in_jwt() && !header.is_jwt());
    }
}
