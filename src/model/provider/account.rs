//! The name of a provider's account. It becomes part of file names, and cannot be anything else in them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use crate::error::{Error, Result, sanitize};

/// Letters, digits, `.`, `_`, `@` and `-`; the first is a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Account(Cow<'static, str>);

const MAX_LENGTH: usize = 100;

impl Account {
    /// The first account of a provider; mycli's is shared with `my`.
    pub const DEFAULT: Self = Self(Cow::Borrowed("default"));

    pub fn parse(name: &str) -> Result<Self> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'@' | b'-');
        let is_valid = name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
            && name.bytes().all(is_plain)
            && name.len() <= MAX_LENGTH;
        if is_valid {
            return Ok(Self(name.to_owned().into()));
        }
        Err(Error::invalid(format!(
            "`{}` is not a valid account name: use letters, digits, . _ @ and -, and start with a letter or a digit",
            sanitize(name)
        )))
    }

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
