//! The three claims of a JWT that matter here. Nothing is verified: the service does that, and we only compare our own
//! tokens with each other.

use crate::model::Secret;

/// What is read of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub struct Claims {
    /// Whose it is.
    #[serde(default)]
    pub sub: Option<String>,
    /// When it was issued, in seconds since 1970, by the service's clock.
    #[serde(default, deserialize_with = "whole")]
    pub iat: Option<i64>,
    /// When it ends.
    #[serde(default, deserialize_with = "whole")]
    pub exp: Option<i64>,
}

/// The claims of a token; empty where it is no JWT.
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
fn whole<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let number = <Option<f64> as serde::Deserialize>::deserialize(deserializer)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast saturates, and a time that far off is as good as any"
    )]
    Ok(number.map(|number| number as i64))
}

#[cfg(test)]
mod tests {
    use super::{Claims, Secret, claims};

    #[test]
    fn claims_are_read_without_a_key_and_rubbish_has_none() {
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
