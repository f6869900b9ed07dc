//! The name of one of several logins with a provider. It becomes part of file names, and can be nothing else in them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use crate::error::{Error, Result, sanitize};

/// A name of letters, digits, `.`, `_`, `@` and `-`, which begins with a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Account(Cow<'static, str>);

/// No name is longer: it is part of a file name.
const MOST: usize = 100;

impl Account {
    /// The login of a provider that has one only; mycli's is shared with `my`.
    pub const DEFAULT: Self = Self(Cow::Borrowed("default"));

    /// Reads a name.
    pub fn parse(name: &str) -> Result<Self> {
        let is_one = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'@' | b'-'))
            && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
            && name.len() <= MOST;
        if is_one {
            return Ok(Self(name.to_owned().into()));
        }
        Err(Error::invalid(format!(
            "`{}` cannot be an account's name: letters, digits, . _ @ and -, the first a letter or a digit",
            sanitize(name)
        )))
    }

    /// Whether it is the one that a provider has before any other.
    pub fn is_default(&self) -> bool {
        *self == Self::DEFAULT
    }
}

impl TryFrom<String> for Account {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::parse(&name)
    }
}

impl Deref for Account {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    #[test]
    fn a_name_is_never_a_path() {
        for name in ["work", "me@acme.dev", "team-a_2", "0"] {
            assert_eq!(&*Account::parse(name).unwrap(), name);
        }
        for name in [
            "",
            ".",
            "..",
            ".hidden",
            "-x",
            "a/b",
            "a\\b",
            "a b",
            "a\n",
            "ä",
            "a:b",
            &"x".repeat(101),
        ] {
            assert!(Account::parse(name).is_err(), "{name:?}");
        }
    }
}
