//! The result of an operation: each protocol encodes a [`Response`] to its tool's form.

use std::path::PathBuf;

use serde::Serialize;

use super::{Attempt, Credential, Kind, OffReason, Source, StoreFailure, Timestamp};

#[derive(Debug)]
pub enum Response {
    Found(Box<Resolved>),
    Stored(StoredAt),
    /// Whether anything was erased.
    Erased(bool),
    Listed(Vec<ListEntry>, Vec<Warning>),
    /// Each store, and the reason if it is not available.
    Capabilities(Vec<(Source, Option<String>)>),
    Nothing,
}

#[derive(Debug)]
pub struct Resolved {
    pub credential: Credential,
    pub source: Source,
    pub attempts: Vec<Attempt>,
    pub warnings: Vec<Warning>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredAt {
    #[serde(rename = "stored_in")]
    pub source: Source,
    /// The item or the path, for people.
    pub location: String,
    #[serde(skip)]
    pub warning: Option<Warning>,
}

impl StoredAt {
    pub fn new(source: Source, location: String) -> Self {
        Self { source, location, warning: None }
    }
}

/// One credential that is stored, or a host for which `get` returns one, as the JSON protocol lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListEntry {
    /// `None` for a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `None` for a URL credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The provider's account, if it is not the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    pub username: String,
    /// The tool that stored a URL credential, which no other tool receives; `None` if it is for every tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    pub kind: Kind,
    pub source: Source,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A problem that did not make the operation fail. `Display` is the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    #[error("{} was readable by other users; changed its mode to 0600", .0.display())]
    ModeRepaired(PathBuf),
    #[error("other users could access {}; its mode is 0700 now", .0.display())]
    DirectoryRepaired(PathBuf),
    /// The store exists and did not answer, and another one did.
    #[error("{}: {failure}", store.name())]
    StoreFailed { store: Source, failure: StoreFailure },
    /// The environment names a keyring that cannot be used.
    #[error("the keyring cannot be used ({variable}: {reason}); the login is in {location}")]
    KeyringNotUsed { variable: &'static str, reason: OffReason, location: String },
    /// A refresh failed and the token has not expired. `provider` is the provider's title.
    #[error("the session with {provider} could not be refreshed: {reason}")]
    NotRefreshed { provider: String, reason: String },
    /// `store` rejected the new session, and the other store has it.
    #[error("could not save the session to the {} ({cause}); saved to {location} instead", store.name())]
    SavedElsewhere { store: Source, cause: StoreFailure, location: String },
    #[error("could not save the new session ({0}); a new login will be required")]
    NotSaved(StoreFailure),
    /// The result of a refresh is stored on this machine. `provider` is the provider's title.
    #[error("the shared store does not have the new session with {provider} yet: {reason}")]
    NotShared { provider: String, reason: String },
    #[error("could not remove an older copy of the session from the {}: {cause}", store.name())]
    CopyLeft { store: Source, cause: StoreFailure },
    /// The new account is not the one in use.
    #[error("run `{command}` to use this account")]
    AccountNotInUse { command: String },
    /// The account in use was removed.
    #[error("the account in use for {provider} is now `default`")]
    DefaultAccountInUse { provider: String },
    /// The settings of a provider are wrong, or the credential of a host cannot be read; the others were listed.
    #[error("{name} is not listed: {reason}")]
    NotListed { name: String, reason: String },
}
