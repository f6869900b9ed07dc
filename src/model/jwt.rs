//! The claims of a JWT that this program reads. Nothing is verified: the service does that.

use serde_json::Value;

use super::Secret;
use crate::error::sanitize;

#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub struct Claims {
    pub sub: Option<String>,
    /// In seconds since 1970, by the service's clock.
    #[serde(deserialize_with = "whole_seconds")]
    pub iat: Option<i64>,
    #[serde(deserialize_with = "whole_seconds")]
    pub exp: Option<i64>,
}

/// The claims of a token; empty if it is not a JWT.
pub fn claims(token: &Secret) -> Claims {
    if !token.is_jwt() {
        return Claims::default();
    }
    jsonwebtoken::dangerous::insecure_decode_claims(token.expose_secret()).unwrap_or_default()
}

pub fn lifetime(token: &Secret) -> Option<u64> {
    let Claims { iat, exp, .. } = claims(token);
    Some(u64::try_from(exp?.saturating_sub(iat?)).unwrap_or(0))
}

/// The nonce of an ID token: the login that it belongs to.
pub fn nonce(token: &Secret) -> Option<String> {
    let claims: Value =
        jsonwebtoken::dangerous::insecure_decode_claims(token.expose_secret()).ok()?;
    claims["nonce"].as_str().map(str::to_owned)
}

/// Who an identity token is about, and who it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IdentityClaims {
    pub iss: String,
    pub sub: String,
    pub aud: Vec<String>,
    pub exp: Option<i64>,
}

impl IdentityClaims {
    /// `None` if the token is not a JWT. A claim of another type counts as missing.
    pub fn of(token: &Secret) -> Option<Self> {
        if !token.is_jwt() {
            return None;
        }
        let claims: Value =
            jsonwebtoken::dangerous::insecure_decode_claims(token.expose_secret()).ok()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        // RFC 7519, 4.1.3: one audience, or a list.
        let aud = match &claims["aud"] {
            Value::Array(list) => list.iter().map(text).collect(),
            Value::String(audience) => vec![audience.clone()],
            _ => Vec::new(),
        };
        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
        let exp = claims["exp"].as_f64().map(|number| number as i64);
        Some(Self { iss: text(&claims["iss"]), sub: text(&claims["sub"]), aud, exp })
    }

    /// Who the token is about, at which issuer.
    pub fn owner(&self) -> Option<Secret> {
        let is_known = !self.iss.is_empty() && !self.sub.is_empty();
        is_known.then(|| Secret::new(format!("{}\0{}", self.iss, self.sub)))
    }
}

impl std::fmt::Display for IdentityClaims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (aud, iss, sub) = (self.aud.join(" "), sanitize(&self.iss), sanitize(&self.sub));
        write!(f, "aud {}, iss {iss}, sub {sub}", sanitize(&aud))
    }
}

/// RFC 7519 allows a fraction (`NumericDate`).
fn whole_seconds<'de, D: serde::Deserializer<'de>>(decoder: D) -> Result<Option<i64>, D::Error> {
    let number = <Option<f64> as serde::Deserialize>::deserialize(decoder)?;
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
    Ok(number.map(|number| number as i64))
}

#[cfg(test)]
mod tests {
    use super::{Claims, Secret, claims};

    #[test]
    fn claims_are_read_without_a_key() {
        // {"alg":"HS256","typ":"JWT"} . {"sub":"1","iat":1700000000,"exp":1700000900.5}
        let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDA5MDAuNX0.c2ln";
        assert_eq!(
            claims(&Secret::new(token)),
            Claims {
                sub: Some("1".to_owned()),
                iat: Some(1_700_000_000),
                exp: Some(1_700_000_900)
            }
        );
        for rubbish in ["", "myc_1", "eyJ.eyJ.x", "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOiJ4In0.x"] {
            assert_eq!(claims(&Secret::new(rubbish)), Claims::default(), "{rubbish}");
        }
    }
}
