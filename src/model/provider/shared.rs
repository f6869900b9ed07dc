//! How this machine uses a session that other machines share.

use std::time::Duration;

use crate::model::Account;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedSettings {
    pub role: FleetRole,
    /// Whether this machine stores a copy of the access token.
    pub cache: bool,
    /// The longest time for which the copy is returned without a request to the store.
    pub cache_max_age: Option<Duration>,
    /// Whether a refreshed session may be stored on this machine until the shared store has it.
    pub pending: bool,
}

/// The accounts of a provider whose sessions other machines share, if not all of them do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedAccounts {
    pub names: Vec<Account>,
    pub settings: SharedSettings,
}

impl SharedAccounts {
    pub fn settings_of(&self, account: &Account) -> Option<Box<SharedSettings>> {
        self.names.contains(account).then(|| Box::new(self.settings.clone()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FleetRole {
    /// Reads and refreshes one record.
    #[serde(skip)]
    Simple,
    /// Reads the record without the refresh token, and never refreshes.
    Reader,
    /// Refreshes, and then writes the record for the readers.
    Refresher,
}

impl FleetRole {
    /// As in `config.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Reader => "reader",
            Self::Refresher => "refresher",
        }
    }
}
