//! A token in an environment variable. It precedes every stored credential, and is never refreshed.

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

/// Reads the variable; `None` if it is blank. The error for an invalid or expired token names the variable.
pub fn read(environment: &Environment, name: &str, now: Timestamp) -> Result<Option<Variable>> {
    let Some(value) = environment.get(name) else { return Ok(None) };
    let invalid = |why: &str| {
        Error::invalid(format!("{name} {why}"))
            .with_hint(format!("set it to a valid token, or run `unset {name}`"))
    };
    let value = value.into_string().map_err(|_| invalid("is not UTF-8"))?;
    let token = token(&value).map_err(invalid)?;
    if token.is_empty() {
        return Ok(None);
    }
    let kind = if token.is_jwt() { Kind::Session } else { Kind::ApiToken };
    let expires_at = jwt::claims(&token).exp.map(Timestamp::from_unix);
    if let Some(expiry) = expires_at.filter(|expiry| *expiry <= now) {
        let message = format!("the token in {name} expired at {}", expiry.to_whole_seconds());
        return Err(Error::new(ErrorCode::SessionExpired, message).with_hint(format!(
            "set {name} to a valid token, or run `unset {name}` to use your session"
        )));
    }
    Ok(Some(Variable { token, kind, expires_at }))
}

/// The token in a text of a person or a CI system, trimmed. The error does not repeat the text.
pub fn token(text: &str) -> Result<Secret, &'static str> {
    let trimmed = Secret::trimmed(text);
    let token = trimmed.expose_secret();
    let is_quote = |c: char| matches!(c, '"' | '\'' | '`');
    let is_quoted = token.starts_with(is_quote) || token.ends_with(is_quote);
    if token.contains(char::is_control) {
        Err("contains a control character")
    } else if is_quoted {
        Err("is in quotes, which are not part of a token")
    } else if token.split([' ', ':', '=']).next().is_some_and(is_scheme) {
        Err("begins with the scheme of a header, which is not part of a token")
    } else if is_placeholder(token) {
        Err("is a placeholder that was not replaced by a token")
    } else if token.contains(char::is_whitespace) {
        Err("contains a blank")
    } else if !token.is_ascii() {
        Err("contains a character that is not ASCII")
    } else {
        Ok(trimmed)
    }
}

/// A reference that was not expanded (`$NAME`, `$(NAME)`, `%NAME%`, `{{ name }}`, `<name>`), or the mask of a log.
fn is_placeholder(token: &str) -> bool {
    let is_within =
        |begin, end| token.len() > 1 && token.starts_with(begin) && token.ends_with(end);
    token.starts_with('$')
        || is_within('%', '%')
        || is_within('<', '>')
        || is_within('[', ']')
        || is_within('{', '}')
        || token.bytes().all(|byte| byte == b'*') && !token.is_empty()
}

fn is_scheme(word: &str) -> bool {
    ["authorization", "bearer", "basic", "token"].iter().any(|it| word.eq_ignore_ascii_case(it))
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
    fn blanks_line_breaks_and_a_byte_order_mark_are_dropped() {
        for blank in ["", " \n", "\u{feff}", "\u{a0}\r\n"] {
            assert_eq!(token(blank), Ok(None), "{blank:?}");
        }
        for value in [
            "myc_1\n",
            "myc_1\r\n",
            "myc_1\n\n",
            " myc_1\t",
            "\u{feff}myc_1",
            "\u{a0}myc_1",
            " \u{feff} myc_1\u{feff}\n",
        ] {
            assert_eq!(token(value), Ok(Some("myc_1".to_owned())), "{value:?}");
        }
    }

    #[test]
    fn an_error_for_a_value_that_is_not_a_token_names_the_variable() {
        for (value, reason) in [
            ("myc\t1", "contains a control character"),
            ("myc_1\nmyc_2", "contains a control character"),
            ("a\u{7f}", "contains a control character"),
            ("\"myc_1\"", "is in quotes"),
            ("'myc_1'\n", "is in quotes"),
            ("\"myc_1", "is in quotes"),
            ("'", "is in quotes"),
            ("Bearer myc_1", "begins with the scheme of a header"),
            ("bearer  myc_1", "begins with the scheme of a header"),
            ("Authorization: Bearer myc_1", "begins with the scheme of a header"),
            ("token myc_1", "begins with the scheme of a header"),
            ("bearer:myc_1", "begins with the scheme of a header"),
            ("token=myc_1", "begins with the scheme of a header"),
            // `Bearer $NAME` of a variable that is not set.
            ("Bearer ", "begins with the scheme of a header"),
            ("Authorization: ", "begins with the scheme of a header"),
            ("$MYC_TOKEN", "is a placeholder"),
            ("${MYC_TOKEN}", "is a placeholder"),
            ("$(MYC_TOKEN)", "is a placeholder"),
            ("%MYC_TOKEN%", "is a placeholder"),
            ("{{myc_token}}", "is a placeholder"),
            ("<myc_token>", "is a placeholder"),
            ("[MASKED]", "is a placeholder"),
            ("***", "is a placeholder"),
            ("myc_1 # ci", "contains a blank"),
            ("myc_\u{200b}1", "contains a character that is not ASCII"),
            ("\u{201c}myc_1\u{201d}", "contains a character that is not ASCII"),
        ] {
            let error = token(value).unwrap_err();
            assert!(error.starts_with(&format!("T {reason}")), "{value:?}: {error}");
            assert!(!error.contains("myc_"), "{error}");
        }
        for value in ["Bearer-1", "1|aB$c%", "a=b:c"] {
            assert_eq!(token(value), Ok(Some(value.to_owned())));
        }
    }

    #[test]
    fn an_expired_jwt_is_an_error() {
        // exp 1700000900
        let jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDA5MDB9.c2ln";
        assert_eq!(token(jwt), Err("the token in T expired at 2023-11-14T22:28:20Z".to_owned()));
    }
}
