//! The sources that were searched for a credential, each with its result. Decisions compare these values; their text is
//! for people.

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

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An environment variable, by name.
    Variable(String),
    /// A provider's session in a store.
    Session(Source),
    UrlCredential(Source),
    /// A URL credential's file that cannot be read.
    UrlCredentialFile,
    /// The directory of the URL credentials.
    UrlCredentials,
    Account(Account),
    /// The identity of the job, by its source.
    Identity(&'static str),
    /// A provider, by name.
    Provider(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Found,
    NotSet,
    NoEntry,
    Expired,
    /// The variable is set, and the origin is not a configured host of its provider.
    Withheld {
        origin: String,
        provider: String,
    },
    /// The provider owns only these hosts.
    OtherHosts(String),
    Chosen(ChosenBy),
    /// Why the source of an identity is not present.
    Absent(String),
    /// The claims of the identity token, which are not verified.
    Identified(String),
    /// The source is present and failed; the error has the reason.
    NotAccepted,
    /// Why the settings of a provider are wrong.
    Misconfigured(String),
    Unavailable(StoreFailure),
}

/// The setting or the part of the request that selected the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChosenBy {
    Request,
    Option,
    Variable,
    Username,
    /// A pattern of `[accounts]`.
    Pattern(String),
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

/// Why a store does not exist here.
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
    /// More than an item of the Windows Credential Manager can have (`CRED_MAX_CREDENTIAL_BLOB_SIZE`). It is not split:
    /// `my`, which reads the same item, would not find it.
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

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) | Self::Provider(name) => f.write_str(name),
            Self::Session(source) => f.write_str(source.name()),
            Self::UrlCredential(source) => write!(f, "stored login in the {}", source.name()),
            Self::UrlCredentialFile => f.write_str("stored login"),
            Self::UrlCredentials => f.write_str("stored logins"),
            Self::Account(account) => write!(f, "account {account}"),
            Self::Identity(source) => write!(f, "identity of {source}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found => f.write_str("found"),
            Self::NotSet => f.write_str("not set"),
            Self::NoEntry => f.write_str("no entry"),
            Self::Expired => f.write_str("ended"),
            Self::Withheld { origin, provider } => {
                write!(f, "withheld: {origin} is no host of {provider}")
            }
            Self::OtherHosts(hosts) => write!(f, "hosts: {}", sanitize(hosts)),
            Self::Chosen(by) => by.fmt(f),
            Self::Absent(reason) => f.write_str(&sanitize(reason)),
            Self::Identified(claims) => write!(f, "claims, not verified: {claims}"),
            Self::NotAccepted => f.write_str("failed"),
            Self::Misconfigured(reason) => f.write_str(reason),
            Self::Unavailable(failure) => failure.fmt(f),
        }
    }
}

impl fmt::Display for ChosenBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "asked for",
            Self::Option => "--account",
            Self::Variable => "MY_ACCOUNT",
            Self::Username => "the user name",
            Self::Pattern(pattern) => return write!(f, "[accounts] {}", sanitize(pattern)),
            Self::InUse => "in use",
        })
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
