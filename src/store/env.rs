//! A token in an environment variable: read, never written. It beats every other place, and is never refreshed.

use crate::error::{Error, ErrorCode, Result};
use crate::model::{Kind, Secret, Timestamp, jwt};
use crate::sys::env::Environment;

/// A token from a variable.
pub struct Variable {
    /// The token.
    pub token: Secret,
    /// By its form.
    pub kind: Kind,
    /// When it ends, where it says so.
    pub expires_at: Option<Timestamp>,
}

/// Reads the variable. `None` where it is unset or blank; an error, which names the variable, where it cannot be a
/// token or is one that has ended.
pub fn read(environment: &Environment, name: &str, now: Timestamp) -> Result<Option<Variable>> {
    let Some(value) = environment.get(name) else { return Ok(None) };
    let invalid = |why: &str| {
        Error::invalid(format!("{name} {why}")).with_hint(format!("set it anew, or `unset {name}`"))
    };
    let mut token = value.into_string().map_err(|_| invalid("is not UTF-8"))?;
    // `MY_API_TOKEN="$(cat token)"` has none, a file that a CI system reads into a variable often has one.
    let end =
        token.strip_suffix("\r\n").or_else(|| token.strip_suffix('\n')).unwrap_or(&token).len();
    token.truncate(end);
    if token.chars().any(char::is_control) {
        return Err(invalid("contains a control character"));
    }
    let token = Secret::new(token);
    let kind = if token.is_jwt() { Kind::Session } else { Kind::ApiToken };
    let expires_at = jwt::claims(&token).exp.map(Timestamp::from_unix);
    match expires_at {
        Some(end) if end <= now => Err(Error::new(
            ErrorCode::SessionExpired,
            format!("the token in {name} ended at {}", end.to_whole_seconds()),
        )
        .with_hint(format!("set {name} anew, or `unset {name}` to use your login"))),
        _ => Ok(Some(Variable { token, kind, expires_at })),
    }
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
    fn blank_is_unset_and_one_newline_at_the_end_is_dropped() {
        assert_eq!(token(" \n"), Ok(None));
        assert_eq!(token("myc_1\n"), Ok(Some("myc_1".to_owned())));
        assert_eq!(token("myc_1\r\n"), Ok(Some("myc_1".to_owned())));
    }

    #[test]
    fn what_cannot_be_a_token_names_the_variable_and_not_the_value() {
        for value in ["myc_1\n\n", "myc\t1", "a\u{7f}"] {
            assert_eq!(token(value), Err("T contains a control character".to_owned()));
        }
    }

    #[test]
    fn a_jwt_past_its_end_is_told() {
        // exp 1700000900
        let jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDA5MDB9.c2ln";
        assert_eq!(token(jwt), Err("the token in T ended at 2023-11-14T22:28:20Z".to_owned()));
    }
}
