//! What a tool requests, in the words of this program: each protocol decodes its input to an [`Operation`].

use super::{LegacyUrl, Secret, Target, Timestamp};
use crate::error::{Error, Result};

/// What a tool requests.
#[derive(Debug)]
pub enum Operation {
    Get(CredentialRequest),
    Store(StoreRequest),
    /// Remove a credential, or report that it was rejected.
    Erase(EraseRequest),
    /// Remove what version 0.1.0 stored for a URL that is refused today; the error if there is nothing.
    EraseLegacy(LegacyUrl, Error),
    /// What is stored, without a secret.
    List {
        /// Only what `get` would return now, host by host, for a tool that then gets each.
        servable: bool,
    },
    /// What this program supports.
    Capabilities,
    /// An operation that this tool's protocol says to ignore.
    Nothing,
}

impl Operation {
    /// To erase what is stored for a target, which the tool wrote as `url`.
    pub fn erase(
        target: Result<Target>,
        url: &str,
        request: CredentialRequest,
        secret: Option<Secret>,
    ) -> Result<Self> {
        let error = match target {
            Ok(target) => {
                let request = CredentialRequest { target: Some(target), ..request };
                return Ok(Self::Erase(EraseRequest { request, secret }));
            }
            Err(error) => error,
        };
        match LegacyUrl::parse(url) {
            Some(legacy) => Ok(Self::EraseLegacy(legacy, error)),
            None => Err(error),
        }
    }
}

/// Which credential is requested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialRequest {
    /// Where the tool will send it.
    pub target: Option<Target>,
    /// The provider, by name.
    pub provider: Option<String>,
    /// The account of the provider, by name.
    pub account: Option<String>,
    /// The API's base URL, where the caller names another one.
    pub api_url: Option<String>,
    pub username: Option<String>,
    /// For how long the credential should stay valid.
    pub min_validity: time::Duration,
    pub tool: ToolTraits,
    /// How the tool reports that the last credential was rejected.
    pub rejection: Rejection,
}

/// What a tool's protocol can and cannot do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToolTraits {
    pub auth_form: AuthForm,
    /// Whether only a credential for the exact path of the target matches (git's `useHttpPath`), and not one that is
    /// stored for its whole host.
    pub exact_path: bool,
    /// Whether the tool has to be told every URL prefix that the credential is for.
    pub needs_prefixes: bool,
}

/// In which form a tool can send a credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthForm {
    /// In a header of any name. Only what was stored for another tool's header is withheld.
    #[default]
    AnyHeader,
    /// As a password or a Bearer token: a provider with a header of its own cannot be served.
    PasswordOrBearer,
    /// As [`AuthForm::PasswordOrBearer`], or a token that was stored with its scheme for the `Authorization` header
    /// (git 2.46).
    Authorization,
    /// As the whole value of `Authorization`. Of stored credentials only such a value matches, and no other tool
    /// receives it (cargo).
    WholeValue,
}

impl AuthForm {
    /// Whether the tool can be told the name of the header.
    pub fn has_header_name(self) -> bool {
        matches!(self, Self::AnyHeader | Self::WholeValue)
    }
}

/// How a tool reports that the last credential was rejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rejection {
    /// Not with a request.
    #[default]
    NotReported,
    /// With this request, after a 401. Where the tool sends the default provider's token unasked, it was that token.
    Reported,
    /// By a second request from the same process for a credential that has not expired.
    ByRepetition,
}

/// A credential to store.
#[derive(Debug)]
pub struct StoreRequest {
    /// For what.
    pub request: CredentialRequest,
    pub secret: Secret,
    /// The scheme before the secret in an `Authorization` header, empty where the secret is the whole value; `None` for
    /// a password or a provider's token.
    pub scheme: Option<String>,
    pub refresh_token: Option<Secret>,
    pub expires_at: Option<Timestamp>,
    /// Whether the tool stores what it has just received from `get`, as git does: on a provider's hosts that changes
    /// nothing.
    pub automatic: bool,
}

impl StoreRequest {
    /// A password or a provider's token without an expiry, which a person wants to store.
    pub fn new(request: CredentialRequest, secret: Secret) -> Self {
        Self {
            request,
            secret,
            scheme: None,
            refresh_token: None,
            expires_at: None,
            automatic: false,
        }
    }
}

/// A credential to erase.
#[derive(Debug)]
pub struct EraseRequest {
    /// Which.
    pub request: CredentialRequest,
    /// Erase only entries that equal it.
    pub secret: Option<Secret>,
}
