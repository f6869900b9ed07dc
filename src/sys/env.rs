//! The process environment, read in this one place; tests pass a fixed one.

use std::collections::HashMap;
use std::ffi::OsString;

/// Where variables come from.
pub enum Environment {
    /// The process.
    Process,
    /// These and no others.
    Fixed(HashMap<String, OsString>),
}

impl Environment {
    /// The variable, if it has a value that is not blank.
    pub fn get(&self, name: &str) -> Option<OsString> {
        #[expect(clippy::disallowed_methods, reason = "this is the one place")]
        let value = match self {
            Self::Process => std::env::var_os(name),
            Self::Fixed(variables) => variables.get(name).cloned(),
        };
        value.filter(|value| !value.as_encoded_bytes().trim_ascii().is_empty())
    }

    /// The variable as text; one that is not UTF-8 counts as it can be shown.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.to_string_lossy().into_owned())
    }
}
