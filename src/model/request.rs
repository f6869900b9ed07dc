//! What a tool asks for and what it is told, in our own words: the adapters translate every protocol into a
//! [`Operation`], and a [`Response`] back.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use zeroize::Zeroizing;

use crate::error::{Attempt, Error, Result};
use crate::model::credential::Kind;
use crate::model::origin::Target;
use crate::model::provider::Header;
use crate::model::secret::Secret;
use crate::model::timestamp::Timestamp;

/// What a tool asks for.
pub enum Operation {
    /// A credential.
    Get(CredentialRequest),
    /// To keep a credential.
    Store(StoreRequest),
    /// To forget a credential, or to be told that it was refused.
    Erase(EraseRequest),
    /// What is kept, without a secret.
    List {
        /// Only what `get` would answer now, host by host, for a tool that goes on to get each.
        servable: bool,
    },
    /// What this program can do.
    Capabilities,
    /// Something that this tool's protocol says to pass over.
    Nothing,
}

/// Which credential is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialRequest {
    /// Where it will be sent.
    pub target: Option<Target>,
    /// Whether only a login stored for the very path of `target` will do (git's `useHttpPath`), or one for its whole
    /// host as well.
    pub exact_path: bool,
    /// The provider by name.
    pub provider: Option<String>,
    /// The account of the provider by name.
    pub account: Option<String>,
    /// The API's base URL, where the caller names another one.
    pub api_url: Option<String>,
    /// The user name that the tool has in mind.
    pub username: Option<String>,
    /// For how long it should stay valid.
    pub min_validity: time::Duration,
    /// What the tool's protocol can carry.
    pub carries: AuthForm,
    /// Whether the tool has to be told every place that the provider names.
    pub names_places: bool,
    /// How the tool says that the place refused what it was given.
    pub refused: Rejection,
}

/// What a tool's protocol can carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthForm {
    /// A header of any name: nothing is kept from it but what was stored for another tool's header.
    #[default]
    AnyHeader,
    /// A secret that goes out as a password or a Bearer token, which keeps a provider away that has a header of its own.
    PasswordOrBearer,
    /// The same, or a token that somebody stored for an `Authorization` header, with its scheme (git 2.46).
    Authorization,
    /// The whole value of `Authorization`. Of what is stored only such a value will do, and no other tool is given it
    /// (cargo).
    WholeValue,
}

impl AuthForm {
    /// Whether it can be told in which header the secret goes.
    pub fn names_its_header(self) -> bool {
        matches!(self, Self::AnyHeader | Self::WholeValue)
    }
}

/// How a tool says that the place refused what it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rejection {
    /// Not by asking.
    #[default]
    Unsaid,
    /// By this very question, after a 401. Where the tool sends the default provider's token unasked, it was that token.
    Said,
    /// By asking again, from the same process, for what should still live.
    ByAskingAgain,
}

/// A credential to be kept.
pub struct StoreRequest {
    /// For what.
    pub ask: CredentialRequest,
    /// The secret.
    pub secret: Secret,
    /// The word before it in an `Authorization` header, empty where the secret is the whole value; `None` for a password
    /// or a provider's token.
    pub scheme: Option<String>,
    /// The token that renews it.
    pub refresh_token: Option<Secret>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Whether the tool stores what it has just been given, unasked, as git does: on a provider's own hosts that
    /// changes nothing.
    pub by_habit: bool,
}

impl StoreRequest {
    /// A password or a provider's token, meant to be kept, that says of no end.
    pub fn new(ask: CredentialRequest, secret: Secret) -> Self {
        Self { ask, secret, scheme: None, refresh_token: None, expires_at: None, by_habit: false }
    }
}

/// A credential to be forgotten.
pub struct EraseRequest {
    /// Which.
    pub ask: CredentialRequest,
    /// Only entries that equal it.
    pub secret: Option<Secret>,
}

/// What a tool is told.
pub enum Response {
    /// The credential.
    Found(Box<Resolved>),
    /// It is kept.
    Stored(StoredAt),
    /// Whether anything was erased.
    Erased(bool),
    /// What is kept.
    Listed(Vec<ListEntry>),
    /// What this program can do.
    Capabilities(Capabilities),
    /// Nothing was to be done.
    Nothing,
}

/// Where a credential is or was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An environment variable.
    Environment,
    /// The keyring of the operating system.
    Keyring,
    /// A file below the home directory.
    File,
}

impl Source {
    /// `env`, `keyring` or `file`, as the JSON protocol says.
    pub fn name(self) -> &'static str {
        match self {
            Self::Environment => "env",
            Self::Keyring => "keyring",
            Self::File => "file",
        }
    }

    /// The other of the two places that can be written.
    #[must_use]
    pub fn other(self) -> Self {
        if self == Self::Keyring { Self::File } else { Self::Keyring }
    }
}

/// A credential, ready to be encoded.
pub struct Resolved {
    /// The provider; `None` for a login stored for a URL of nobody's.
    pub provider: Option<String>,
    /// Which of the provider's accounts, where it is not the default one.
    pub account: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// The user name to go with it.
    pub username: String,
    /// The token or password.
    pub secret: Secret,
    /// How a request carries it; `None` for a stored user name and password.
    pub header: Option<Header>,
    /// Where it may go: the place that was asked for, as far as the credential reaches; for a tool that asked for no
    /// place and wants to know, every one that the provider names.
    pub places: Vec<Target>,
    /// When it ends, already early enough.
    pub expires_at: Option<Timestamp>,
    /// git's `oauth_refresh_token` of a stored login. Never a session's: that is ours alone.
    pub refresh_token: Option<Secret>,
    /// Where it was.
    pub source: Source,
    /// Every place that was asked.
    pub tried: Vec<Attempt>,
    /// What the person should know: a refresh that failed, a mode that was repaired.
    pub notes: Vec<String>,
}

impl Resolved {
    /// The header of an HTTP request that carries it, a stored user name and password in the way of RFC 7617, where the
    /// user name ends at the first colon: one that has a colon is an error.
    pub fn request_header(&self) -> Result<(&str, Secret)> {
        if let Some(header) = &self.header {
            return Ok((&header.name, header.value(&self.secret)));
        }
        if self.username.contains(':') {
            return Err(self.has_colon());
        }
        let pair = Zeroizing::new(format!("{}:{}", self.username, self.secret.expose_secret()));
        let basic = Header::authorization("Basic");
        Ok(("Authorization", basic.value(&Secret::new(BASE64.encode(pair.as_bytes())))))
    }

    fn has_colon(&self) -> Error {
        let place = self.places.first().map(ToString::to_string).unwrap_or_default();
        let message = format!(
            "the user name stored for {place} has a colon, which Basic authentication cannot carry"
        );
        Error::invalid_state(message).with_hint("store the login again under a name without one")
    }
}

/// Where a credential went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAt {
    /// Keyring or file.
    pub source: Source,
    /// The item or the path, for people.
    pub location: String,
}

/// One credential that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListEntry {
    /// The URL of a stored login, or of a host that can be served.
    pub url: Option<String>,
    /// The provider of a session.
    pub provider: Option<String>,
    /// Its account, where it is not the default one.
    pub account: Option<String>,
    /// The user name.
    pub username: String,
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub source: Source,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// What this program can do here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Each store by name, and why it does not work here (`None`: it does).
    pub stores: Vec<(Source, Option<String>)>,
}
