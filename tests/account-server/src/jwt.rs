//! Access and refresh tokens: signed here, read here. Never looks at the clock: who reads a token judges its `exp`.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::hs256;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Access,
    Refresh,
}

/// The claims, exactly as they stand in a token.
#[derive(Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) sub: String,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
}

impl Claims {
    /// An access token names its user alone.
    pub(crate) fn access(user_id: &str, iat: Timestamp, exp: i64) -> Self {
        let sub = user_id.to_owned();
        let iat = iat.seconds();
        Self { sub, kind: Kind::Access, iat, exp, sid: None, jti: None }
    }

    /// A refresh token names its session too, and ends with it.
    pub(crate) fn refresh(user_id: &str, session: &str, iat: Timestamp, end: Timestamp) -> Self {
        Self {
            kind: Kind::Refresh,
            sid: Some(session.to_owned()),
            ..Self::access(user_id, iat, end.seconds())
        }
    }
}

/// Signs tokens and knows its own again.
pub(crate) struct Issuer {
    signing: EncodingKey,
    reading: DecodingKey,
    validation: Validation,
    jti: bool,
}

impl Issuer {
    pub(crate) fn new(key: &[u8], jti: bool) -> Self {
        hs256::install();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        Self {
            signing: EncodingKey::from_secret(key),
            reading: DecodingKey::from_secret(key),
            validation,
            jti,
        }
    }

    pub(crate) fn sign(&self, mut claims: Claims) -> jsonwebtoken::errors::Result<String> {
        claims.jti = self.jti.then(|| Uuid::new_v4().to_string());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)
    }

    /// The claims of a token of that kind that was signed here, be it expired or not.
    pub(crate) fn read(&self, token: &str, kind: Kind) -> Option<Claims> {
        let read = jsonwebtoken::decode::<Claims>(token, &self.reading, &self.validation);
        read.ok().map(|token| token.claims).filter(|claims| claims.kind == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(key: &[u8], jti: bool) -> String {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let claims = Claims::access("user", now, now.seconds() + 900);
        Issuer::new(key, jti).sign(claims).unwrap()
    }

    #[test]
    fn tokens_of_one_second_are_identical_unless_they_carry_a_jti() {
        assert_eq!(token(b"key", false), token(b"key", false));
        assert_ne!(token(b"key", true), token(b"key", true));
    }

    #[test]
    fn a_token_of_another_key_or_kind_is_unknown() {
        let issuer = Issuer::new(b"key", false);
        let own = token(b"key", false);
        assert!(issuer.read(&own, Kind::Access).is_some());
        assert!(issuer.read(&own, Kind::Refresh).is_none());
        assert!(issuer.read(&token(b"other", false), Kind::Access).is_none());
    }

    #[test]
    fn an_unsigned_token_is_unknown() {
        let own = token(b"key", false);
        let (_, rest) = own.split_once('.').unwrap();
        // {"alg":"none"}
        let unsigned = format!("eyJhbGciOiJub25lIn0.{rest}");
        assert!(Issuer::new(b"key", false).read(&unsigned, Kind::Access).is_none());
    }
}
