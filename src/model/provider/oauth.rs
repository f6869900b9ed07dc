//! An OAuth 2 service: endpoints, registration, scopes and grant.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Text;
use crate::error::{Error, sanitize};

/// A service that speaks OAuth 2, and how this program is registered there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OAuth {
    /// Where the service publishes its metadata (RFC 8414, OpenID Connect Discovery).
    pub issuer: Option<Text>,
    /// Precede the endpoints of the metadata.
    pub endpoints: Endpoints,
    /// The registration of this program; each user or company makes one.
    pub client_id: Option<Text>,
    /// Where such a registration is made, for a hint.
    pub registration: Option<Text>,
    /// Where a person revokes the authorization of this program, for a hint.
    pub grants_page: Option<Text>,
    pub client_secret: Option<SecretLocation>,
    /// Whether the client secret is in the body, not in a header (RFC 6749, 2.3.1); `None` if the metadata decides.
    pub secret_in_body: Option<bool>,
    /// Whether the authorization code flow requires the client secret.
    pub code_flow_needs_secret: bool,
    /// Whether the device code flow needs another kind of registration: it is used only on request.
    pub device_flow_on_request_only: bool,
    pub scopes: Vec<Text>,
    /// Additional parameters of the authorization request.
    pub parameters: Vec<(Text, Text)>,
    pub grant: Grant,
    /// The port of the redirect URI, for services that compare it; any port otherwise.
    pub redirect_port: Option<u16>,
    pub kubernetes_token: KubernetesToken,
}

impl OAuth {
    pub fn grants_page(&self) -> Option<String> {
        let issuer = self.issuer.as_deref().unwrap_or_default().trim_end_matches('/');
        let page = self.grants_page.as_deref().filter(|page| !page.is_empty());
        page.map(|page| page.replace("<the issuer>", issuer))
    }

    /// The error for a configured client secret that is missing; `None` if none is configured.
    pub fn missing_secret(&self, provider: &str) -> Option<Error> {
        let location = self.client_secret.as_ref()?;
        let hint = match location {
            SecretLocation::Variable(name) => format!("set {name} to the client secret"),
            SecretLocation::File(_) => "write the client secret into the file".to_owned(),
        };
        let message = format!("{provider} needs a client secret, and {}", location.missing());
        Some(Error::invalid(message).with_hint(hint))
    }
}

/// The endpoints of a service, each an absolute URL, named as in its description (RFC 8414, 2; RFC 8628, 4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    #[serde(rename = "authorization_endpoint")]
    pub authorization: Option<Text>,
    #[serde(rename = "token_endpoint")]
    pub token: Option<Text>,
    #[serde(rename = "device_authorization_endpoint")]
    pub device_authorization: Option<Text>,
    #[serde(rename = "revocation_endpoint")]
    pub revocation: Option<Text>,
    #[serde(rename = "userinfo_endpoint")]
    pub userinfo: Option<Text>,
}

impl Endpoints {
    /// These endpoints, and those of `others` where these have none.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            authorization: self.authorization.or(others.authorization),
            token: self.token.or(others.token),
            device_authorization: self.device_authorization.or(others.device_authorization),
            revocation: self.revocation.or(others.revocation),
            userinfo: self.userinfo.or(others.userinfo),
        }
    }

    pub fn urls(&self) -> impl Iterator<Item = &Text> {
        let Self { authorization, token, device_authorization, revocation, userinfo } = self;
        [authorization, token, device_authorization, revocation, userinfo].into_iter().flatten()
    }

    /// Whether the login needs no other endpoint.
    pub fn is_complete(&self, grant: Grant) -> bool {
        let can_start = self.authorization.is_some() || self.device_authorization.is_some();
        self.token.is_some() && (can_start || grant == Grant::ClientCredentials)
    }
}

/// Where the client secret is. It is read when it is needed, and not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretLocation {
    Variable(String),
    /// A file that belongs to the user.
    File(PathBuf),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KubernetesToken {
    /// The ID token, if the session has one: its audience is this program, as the API server requires.
    #[default]
    Id,
    Access,
}

impl SecretLocation {
    /// That there is no secret.
    pub fn missing(&self) -> String {
        match self {
            Self::Variable(name) => format!("{name} is not set"),
            Self::File(path) => {
                format!("{} is missing or empty", sanitize(&path.to_string_lossy()))
            }
        }
    }
}

/// How the client secret is sent, by the names of RFC 7591, 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthMethod {
    ClientSecretBasic,
    ClientSecretPost,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    #[default]
    Person,
    /// The program itself, with its secret (RFC 6749, 4.4): it requests a new token instead of a refresh.
    ClientCredentials,
}
