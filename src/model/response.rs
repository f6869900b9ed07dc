//! What the program answers: each protocol encodes a [`Response`] to its tool's form.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use zeroize::Zeroizing;

use super::{Attempt, Header, Kind, Secret, Source, StoreFailure, Target, Timestamp};
use crate::error::{Error, Result};

/// The answer to an [`Operation`](super::Operation).
#[derive(Debug)]
pub enum Response {
    Found(Box<Resolved>),
    Stored(StoredAt),
    /// Whether anything was erased.
    Erased(bool),
    Listed(Vec<ListEntry>),
    Capabilities(Capabilities),
    /// There was nothing to do.
    Nothing,
}

/// A credential, and how it was found.
#[derive(Debug)]
pub struct Resolved {
    pub credential: Credential,
    pub source: Source,
    /// Every subject that was looked at, in order.
    pub attempts: Vec<Attempt>,
    /// What the person should know.
    pub warnings: Vec<Warning>,
}

/// A credential, ready to be encoded.
#[derive(Debug)]
pub struct Credential {
    /// The provider; `None` for a credential that is stored for a URL of no provider.
    pub provider: Option<String>,
    /// Which of the provider's accounts, where it is not the default one.
    pub account: Option<String>,
    pub kind: Kind,
    pub username: String,
    /// The token or password.
    pub secret: Secret,
    /// How a request carries the secret; `None` for a stored user name and password.
    pub header: Option<Header>,
    /// Where the secret may be sent: the target of the request, as far as the credential is valid there; for a tool
    /// that names no target and needs the prefixes, each that the provider's configuration names.
    pub prefixes: Vec<Target>,
    /// When the tool must treat it as expired.
    pub expires_at: Option<Timestamp>,
    /// git's `oauth_refresh_token` of a stored credential. Never a session's.
    pub refresh_token: Option<Secret>,
}

impl Credential {
    /// Name and value of the HTTP header for the credential; a stored user name and password as in RFC 7617, where the
    /// user name ends at the first colon: a user name with a colon is an error.
    pub fn request_header(&self) -> Result<(&str, Secret)> {
        if let Some(header) = &self.header {
            return Ok((&header.name, header.value(&self.secret)));
        }
        if self.username.contains(':') {
            return Err(self.colon_error());
        }
        let pair = Zeroizing::new(format!("{}:{}", self.username, self.secret.expose_secret()));
        let basic = Header::authorization("Basic");
        Ok(("Authorization", basic.value(&Secret::new(BASE64.encode(pair.as_bytes())))))
    }

    fn colon_error(&self) -> Error {
        let target = self.prefixes.first().map(ToString::to_string).unwrap_or_default();
        let message = format!(
            "the user name stored for {target} has a colon, which Basic authentication cannot carry"
        );
        Error::invalid_state(message).with_hint("store the login again under a name without one")
    }
}

/// Where a credential was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAt {
    /// Keyring or file.
    pub source: Source,
    /// The item or the path, for people.
    pub location: String,
}

/// One credential that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEntry {
    /// The URL of a stored credential, or of a host that can be served.
    pub url: Option<String>,
    /// The provider of a session.
    pub provider: Option<String>,
    /// Its account, where it is not the default one.
    pub account: Option<String>,
    pub username: String,
    pub kind: Kind,
    pub source: Source,
    pub expires_at: Option<Timestamp>,
}

/// What this program supports here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The names of the protocols.
    pub protocols: Vec<&'static str>,
    /// Each store, and why it does not work here (`None`: it works).
    pub stores: Vec<(Source, Option<String>)>,
}

/// What a person should know although the operation succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A private file was readable by others; its mode was repaired.
    ModeRepaired(PathBuf),
    /// A store exists and did not answer, and another one did.
    StoreFailed { source: Source, failure: StoreFailure },
    /// A refresh failed and the token has not expired. `provider` is the provider's title.
    NotRefreshed { provider: String, reason: String },
    /// The store rejected the new session; the other one has it.
    SavedElsewhere { store: Source, cause: StoreFailure, location: String },
    /// No store took the new session.
    NotSaved(StoreFailure),
    /// An older copy of the session could not be removed from a store.
    CopyLeft { store: Source, cause: StoreFailure },
    /// A new account is not the one in use; the command puts it in use.
    AccountNotInUse { command: String },
    /// The account in use was removed.
    DefaultAccountInUse { provider: String },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ModeRepaired(path) => {
                write!(f, "{} was readable by others; its mode is 0600 now", path.display())
            }
            Self::StoreFailed { source, failure } => write!(f, "{}: {failure}", source.name()),
            Self::NotRefreshed { provider, reason } => {
                write!(f, "the session with {provider} could not be refreshed: {reason}")
            }
            Self::SavedElsewhere { store, cause, location } => {
                write!(
                    f,
                    "the {} did not take the session ({cause}); it is in {location}",
                    store.name()
                )
            }
            Self::NotSaved(cause) => {
                write!(
                    f,
                    "the new session could not be saved ({cause}); a new login will be needed"
                )
            }
            Self::CopyLeft { store, cause } => {
                write!(f, "an older copy of the session is left in the {}: {cause}", store.name())
            }
            Self::AccountNotInUse { command } => write!(f, "`{command}` puts it in use"),
            Self::DefaultAccountInUse { provider } => {
                write!(f, "the account in use of {provider} is `default` now")
            }
        }
    }
}
