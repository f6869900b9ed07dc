//! A token in an environment variable: read, never written. It precedes every stored credential, and is never refreshed.

use crate::error::{Error, ErrorCode, Result};
use crate::model::{Kind, Secret, Timestamp, jwt};
use crate::sys::env::Environment;

/// A token from a variable.
pub struct Variable {
    pub token: Secret,
    pub kind: Kind,
    /// The `exp` of a JWT.
    pub expires_at: Option<Timestamp>,
}

/// Reads the variable; `None` if it is unset or blank. A value that cannot be a token, or has expired, is an error that
/// names the variable.
pub fn read(environment: &Environment, name: &str, now: Timestamp) -> Result<Option<Variable>> {
    let Some(value) = environment.get(name) else { return Ok(None) };
    let invalid = |why: &str| {
        Error::invalid(format!("{name} {why}")).with_hint(format!("set it anew, or `unset {name}`"))
    };
    let mut token = value.into_string().map_err(|_| invalid("is not UTF-8"))?;
    // A file that a CI system reads into a variable often ends with a newline.
    let trimmed = token.strip_suffix("\r\n").or_else(|| token.strip_suffix('\n'));
    token.truncate(trimmed.unwrap_or(&token).len());
    let token = Secret::new(token);
    if token.has_control_character() {
        return Err(invalid("contains a control character"));
    }
    let kind = if token.is_jwt() { Kind::Session } else { Kind::ApiToken };
    let expires_at = jwt::claims(&token).exp.map(Timestamp::from_unix);
    if let Some(expiry) = expires_at.filter(|expiry| *expiry <= now) {
        let message = format!("the token in {name} ended at {}", expiry.to_whole_seconds());
        return Err(Error::new(ErrorCode::SessionExpired, message)
            .with_hint(format!("set {name} anew, or `unset {name}` to use your login")));
    }
    Ok(Some(Variable { token, kind, expires_at }))
}

#[cfg(test)]
mod tests {
    use super::{Environment, Timestamp, read};

    fn token(value: &str) -> Result<Option<String>, String> {
        let environment = Environment::Fixed([("T".to_owned(), value.into())].into());
        match read(&environment, "T", Timestamp::from_unix(1_700_000_900)) {
            Ok(found) => Ok(found.map(|found| found.token.expose_secret().to_owned())),
            Err(error) => Err(error.message),
        }
    }

    #[test]
    fn a_blank_value_is_unset_and_one_final_newline_is_dropped() {
        assert_eq!(token(" \n"), Ok(None));
        assert_eq!(token("myc_1\n"), Ok(Some("myc_1".to_owned())));
        assert_eq!(token("myc_1\r\n"), Ok(Some("myc_1".to_owned())));
    }

    #[test]
    fn an_invalid_token_is_named_by_its_variable_only() {
        for value in ["myc_1\n\n", "myc\t1", "a\u{7f}"] {
            assert_eq!(token(value), Err("T contains a control character".to_owned()));
        }
    }

    #[test]
    fn an_expired_jwt_is_an_error() {
        // exp 1700000900
        let jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDA5MDB9.c2ln";
        assert_eq!(token(jwt), Err("the token in T ended at 2023-11-14T22:28:20Z".to_owned()));
    }
}
