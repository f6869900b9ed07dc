//! The process environment, which only this file reads. Tests pass fixed variables.

use std::collections::HashMap;
use std::ffi::OsString;

pub enum Environment {
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

    /// The variables whose names begin so.
    pub fn with_prefix(&self, prefix: &str) -> Vec<(OsString, OsString)> {
        let is_named = |name: &OsString| name.to_string_lossy().starts_with(prefix);
        match self {
            Self::Process => std::env::vars_os().filter(|(name, _)| is_named(name)).collect(),
            Self::Fixed(variables) => {
                let variables = variables.iter().map(|(name, value)| (name.into(), value.clone()));
                variables.filter(|(name, _)| is_named(name)).collect()
            }
        }
    }

    /// The variable as text; one that is not UTF-8 counts as it can be shown.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.to_string_lossy().into_owned())
    }
}
