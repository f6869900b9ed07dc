//! The request of a tool: each protocol decodes its input to an [`Operation`].

use super::{LegacyUrl, Secret, Target, Timestamp};
use crate::error::{Error, Result};

#[derive(Debug)]
pub enum Operation {
    Get(CredentialRequest),
    Store(StoreRequest),
    /// Remove a credential, or report that the service rejected it.
    Erase(EraseRequest),
    /// Remove what version 0.1.0 stored for a URL that is an error today; return the error if there is nothing.
    EraseLegacy(LegacyUrl, EraseRequest, Error),
    /// List the stored credentials without secrets.
    List,
    /// List the hosts for which `get` returns a credential to this tool now.
    ListServable(ToolTraits),
    Capabilities,
    /// An operation that the protocol requires this program to ignore.
    Nothing,
}

impl Operation {
    #[must_use]
    pub fn from_tool(mut self, name: Option<&'static str>) -> Self {
        match &mut self {
            Self::Get(request)
            | Self::Store(StoreRequest { request, .. })
            | Self::Erase(EraseRequest { request, .. })
            | Self::EraseLegacy(_, EraseRequest { request, .. }, _) => request.tool.name = name,
            Self::ListServable(tool) => tool.name = name,
            Self::List | Self::Capabilities | Self::Nothing => {}
        }
        self
    }

    /// The operation that erases the credentials for a target, which the tool wrote as `url`.
    pub fn erase(
        target: Result<Target>,
        url: &str,
        request: CredentialRequest,
        secret: Option<Secret>,
    ) -> Result<Self> {
        match target {
            Ok(target) => {
                let request = CredentialRequest { target: Some(target), ..request };
                Ok(Self::Erase(EraseRequest { request, secret }))
            }
            Err(error) => match LegacyUrl::parse(url) {
                Some(legacy) => {
                    Ok(Self::EraseLegacy(legacy, EraseRequest { request, secret }, error))
                }
                None => Err(error),
            },
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialRequest {
    /// Where the tool will send the credential; `None` for the token of a provider.
    pub target: Option<Target>,
    /// `None` for the owner of the target, or the default provider.
    pub provider: Option<String>,
    /// `None` for the account that the user name, a pattern or the user selects.
    pub account: Option<String>,
    /// Overrides the API's base URL.
    pub api_url: Option<String>,
    /// Restricts what is found to this user name, or selects the account of this name.
    pub username: Option<String>,
    /// How long the token has to be valid still.
    pub min_validity: time::Duration,
    pub token: TokenKind,
    pub tool: ToolTraits,
    pub rejection: Rejection,
    /// Whether the attempts also list what has no credential for the target.
    pub explain: bool,
}

impl CredentialRequest {
    pub fn new(tool: ToolTraits) -> Self {
        Self { tool, ..Self::default() }
    }

    pub fn for_target(target: Target, tool: ToolTraits) -> Self {
        Self { target: Some(target), ..Self::new(tool) }
    }

    /// The same request for the other scheme of a loopback host, if the tool does not name the scheme.
    pub fn for_other_scheme(&self) -> Option<Self> {
        let target = self.target.as_ref().filter(|_| self.tool.ignores_scheme)?;
        let origin =
            Some(&target.origin).filter(|origin| origin.is_loopback())?.with_other_scheme();
        let target = Target { origin, path: target.path.clone() };
        Some(Self { target: Some(target), explain: false, ..self.clone() })
    }
}

/// Which token of a session is requested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenKind {
    #[default]
    Access,
    /// The ID token; an error if there is none.
    Id,
    /// The ID token if the session has one, unless configured otherwise: Kubernetes checks that its audience is this program.
    Kubernetes,
}

/// What a tool can send, and how it asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent properties of a protocol")]
pub struct ToolTraits {
    /// The protocol: it matches its own credentials. `None` (the JSON protocol and the commands) stores for every tool.
    pub name: Option<&'static str>,
    pub auth_form: AuthForm,
    /// Whether only a credential for the exact path matches (git's `useHttpPath`), and not one for the whole host.
    pub exact_path: bool,
    /// Whether the response must name every URL prefix that the credential is for.
    pub needs_prefixes: bool,
    /// Whether the response can have a secret of several lines, such as a key in JSON.
    pub carries_lines: bool,
    /// Whether the tool names a loopback host without its scheme, so that a credential for either scheme matches.
    pub ignores_scheme: bool,
}

impl ToolTraits {
    pub const fn new(auth_form: AuthForm) -> Self {
        Self {
            name: None,
            auth_form,
            exact_path: false,
            needs_prefixes: false,
            carries_lines: false,
            ignores_scheme: false,
        }
    }
}

/// The forms in which a tool can send a credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthForm {
    /// In a header of any name. Not a value of `Authorization` that git or cargo stored.
    #[default]
    AnyHeader,
    /// As a password or a Bearer token: a provider with a header of its own cannot be served.
    PasswordOrBearer,
    /// As [`AuthForm::PasswordOrBearer`], or a token that was stored with its scheme (git 2.46).
    Authorization,
    /// As the whole value of `Authorization` (cargo). Matches only a credential that was stored in this form, and vice versa.
    WholeValue,
}

impl AuthForm {
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
    /// With this request, which quotes a 401 (go). Has effect for the default provider, whose token the tool received.
    Reported,
    /// By a second request from the same process for a credential that has not expired.
    ByRepetition,
}

/// A credential to store for the target of the request, or as the token of its provider.
#[derive(Debug)]
pub struct StoreRequest {
    pub request: CredentialRequest,
    pub secret: Secret,
    /// Before the secret in `Authorization`: empty if the secret is the whole value, `None` for a password or a token.
    pub scheme: Option<String>,
    pub refresh_token: Option<Secret>,
    pub expires_at: Option<Timestamp>,
    pub occasion: Occasion,
}

/// When a tool stores. A stored copy of a session's token would precede the session even after it has expired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Occasion {
    /// A person passes a secret: a token of a session is an error.
    #[default]
    Explicit,
    /// At a login, which may use a token from `get` (docker, pip): a token of a session is not stored.
    Login,
    /// After each use (git). The secret may be a token from `get` that another process has refreshed since: nothing is
    /// stored for a host where `get` returns a provider's token.
    Use,
}

impl StoreRequest {
    /// The request of a person to store a password, or a provider's token without an expiry.
    pub fn new(request: CredentialRequest, secret: Secret) -> Self {
        Self {
            request,
            secret,
            scheme: None,
            refresh_token: None,
            expires_at: None,
            occasion: Occasion::Explicit,
        }
    }
}

#[derive(Debug)]
pub struct EraseRequest {
    pub request: CredentialRequest,
    /// Erase only entries with this secret.
    pub secret: Option<Secret>,
}
