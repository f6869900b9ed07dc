//! The sources that were searched for a credential, with their results. The text is for people; decisions use the values.

use std::fmt;

use super::{Account, Source, Warning};
use crate::error::sanitize;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub subject: Subject,
    pub outcome: Outcome,
}

impl Attempt {
    pub fn new(subject: Subject, outcome: Outcome) -> Self {
        Self { subject, outcome }
    }
}

/// The attempts and warnings of a search so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    pub attempts: Vec<Attempt>,
    pub warnings: Vec<Warning>,
}

impl Trail {
    pub fn add(&mut self, subject: Subject, outcome: Outcome) {
        self.attempts.push(Attempt::new(subject, outcome));
    }

    /// Why the keyring was not searched, if the person has one or may have one.
    pub fn keyring_out_of_reach(&self) -> Option<&OffReason> {
        self.attempts.iter().find_map(|attempt| match &attempt.outcome {
            Outcome::Unavailable(StoreFailure::Off(reason))
                if *reason == OffReason::Disabled || reason.variable().is_some() =>
            {
                Some(reason)
            }
            _ => None,
        })
    }
}

/// `Display` is the text for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Subject {
    #[error("{0}")]
    Variable(String),
    #[error("{}", .0.name())]
    Session(Source),
    #[error("stored login in the {}", .0.name())]
    UrlCredential(Source),
    /// A URL credential's file that cannot be read.
    #[error("stored login")]
    UrlCredentialFile,
    /// The directory of the URL credentials.
    #[error("stored logins")]
    UrlCredentials,
    #[error("account {0}")]
    Account(Account),
    /// The identity of the job, by its source.
    #[error("identity of {0}")]
    Identity(&'static str),
    #[error("{0}")]
    Provider(String),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Outcome {
    #[error("found")]
    Found,
    #[error("not set")]
    NotSet,
    #[error("no entry")]
    NoEntry,
    #[error("ended")]
    Expired,
    /// The variable is set, and the origin is not a configured host of its provider.
    #[error("withheld: {origin} is no host of {provider}")]
    Withheld { origin: String, provider: String },
    /// The provider owns only these hosts.
    #[error("hosts: {}", sanitize(.0))]
    OtherHosts(String),
    #[error("{0}")]
    Chosen(ChosenBy),
    /// Why the source of an identity is not present.
    #[error("{}", sanitize(.0))]
    Absent(String),
    #[error("claims, not verified: {0}")]
    Identified(String),
    /// The source is present and failed; the error has the reason.
    #[error("failed")]
    NotAccepted,
    /// Why the settings of a provider are wrong.
    #[error("{0}")]
    Misconfigured(String),
    #[error("{0}")]
    Unavailable(StoreFailure),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChosenBy {
    #[error("asked for")]
    Request,
    #[error("--account")]
    Option,
    #[error("MY_ACCOUNT")]
    Variable,
    #[error("the user name")]
    Username,
    /// A pattern of `[accounts]`.
    #[error("[accounts] {}", sanitize(.0))]
    Pattern(String),
    #[error("in use")]
    InUse,
}

/// Why a store did not answer. Never contains a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFailure {
    /// The store does not exist here: another store may take the credential.
    #[error("{0}")]
    Off(#[from] OffReason),
    #[error("locked")]
    Locked,
    #[error("did not answer in time")]
    TimedOut,
    /// The tool's protocol cannot carry the secret.
    #[error("the value contains a line break or NUL")]
    NotOneLine,
    /// The store exists and cannot be used.
    #[error("{0}")]
    Failed(String),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OffReason {
    #[error("no session bus")]
    NoSessionBus,
    /// No process listens on the bus that the environment names.
    #[error("no session bus")]
    UnreachableBus { variable: &'static str },
    /// Another user listens there, or can replace the socket.
    #[error("the session bus may belong to another user")]
    ForeignBus { variable: &'static str },
    #[error("no secret service")]
    NoSecretService,
    #[error("the session bus is not a local socket")]
    RemoteBus,
    #[error("no keyring on this system")]
    NoKeyring,
    #[error("turned off by MY_NO_KEYRING")]
    Disabled,
    #[error("the home belongs to another user")]
    ForeignHome,
    /// Larger than `CRED_MAX_CREDENTIAL_BLOB_SIZE`. It is not split: `my`, which reads the same item, would not find it.
    #[error("larger than {max} bytes, the limit of the Credential Manager")]
    TooLarge { max: usize },
    /// This kind of credential is not stored in the keyring.
    #[error("not used for this")]
    NotUsed,
    /// Why the home directory cannot be used.
    #[error("{0}")]
    NoHome(String),
}

impl OffReason {
    /// Whether a keyring of this user may exist, which another process reaches.
    pub fn may_pass(&self) -> bool {
        !matches!(self, Self::NoKeyring | Self::TooLarge { .. } | Self::NotUsed | Self::NoHome(_))
    }

    /// The variable that names a bus that cannot be used: the person expects a keyring.
    pub fn variable(&self) -> Option<&'static str> {
        match self {
            Self::UnreachableBus { variable } | Self::ForeignBus { variable } => Some(variable),
            Self::RemoteBus => Some("DBUS_SESSION_BUS_ADDRESS"),
            _ => None,
        }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.subject, self.outcome)
    }
}

/// `MY_API_TOKEN (not set), keyring (no session bus)`.
pub fn attempts_line(attempts: &[Attempt]) -> String {
    attempts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
