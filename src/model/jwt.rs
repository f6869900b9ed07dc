//! Three claims of a JWT. Nothing is verified: the service does that, and this program only compares its own tokens.

use super::Secret;

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

/// The lifetime of a token in seconds, by its own claims.
pub fn lifetime(token: &Secret) -> Option<u64> {
    let Claims { iat, exp, .. } = claims(token);
    Some(u64::try_from(exp?.saturating_sub(iat?)).unwrap_or(0))
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
