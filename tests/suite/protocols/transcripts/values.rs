//! The values of the placeholders in a transcript.

use std::collections::BTreeMap;

use my_credential_helper::protocols;
use serde_json::Value;

/// The value of each placeholder: `${access_token}`.
pub(super) struct Values(BTreeMap<&'static str, String>);

impl Values {
    /// The values for every transcript.
    pub(super) fn new() -> Self {
        // `["${adapters}"]` is every protocol, so that a new one changes no other transcript.
        let names: Vec<_> = protocols::ALL.iter().map(|tool| tool.name).collect();
        Self(
            [("adapters", names.join("\",\"")), ("version", env!("CARGO_PKG_VERSION").to_owned())]
                .into(),
        )
    }

    /// The values where no real service is involved.
    pub(super) fn examples() -> Self {
        let mut values = Self::new();
        for (name, value) in [
            ("home", "/home/me"),
            ("port", "3000"),
            ("access_token", "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjE3MDAwMDAwMDB9.c2ln"),
            ("refreshed_token", "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjE3MDAwMDA5MDB9.c2ln"),
            ("refresh_token", "eyJhbGciOiJIUzI1NiJ9.eyJ0eXBlIjoicmVmcmVzaCJ9.c2ln"),
            ("api_token", "myc_0123456789abcdef0123456789abcdef01234567"),
            ("expires_at", "2030-01-01T00:00:00Z"),
            ("expires_at_unix", "1893456000"),
            ("refreshed_expires_at", "2030-01-01T00:15:00Z"),
            ("refreshed_expires_at_unix", "1893456900"),
        ] {
            values.set(name, value);
        }
        values
    }

    pub(super) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.insert(name, value.into());
    }

    /// A value of the transcript with its placeholders replaced.
    pub(super) fn read<T: serde::de::DeserializeOwned>(&self, value: &Value) -> T {
        serde_json::from_str(&self.fill(&value.to_string()))
            .unwrap_or_else(|error| panic!("{error}: {value}"))
    }

    pub(super) fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("${{{name}}}"), value)
        })
    }
}
