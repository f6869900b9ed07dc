//! What a login by OAuth 2 has to know of a service.

use std::path::PathBuf;

use super::Text;

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
    pub client_secret: Option<SecretLocation>,
    /// Whether the client secret is sent in the body of a request, and not in a header (RFC 6749, 2.3.1).
    pub secret_in_body: bool,
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
}

/// The endpoints of a service, each an absolute URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    pub authorization: Option<Text>,
    pub token: Option<Text>,
    /// RFC 8628.
    pub device_authorization: Option<Text>,
    /// RFC 7009.
    pub revocation: Option<Text>,
    pub userinfo: Option<Text>,
}

/// Where the client secret is. It is read when it is needed, and not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretLocation {
    /// An environment variable.
    Variable(String),
    /// A file that belongs to the user.
    File(PathBuf),
}

/// Who logs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    #[default]
    Person,
    /// The program itself, with its secret (RFC 6749, 4.4): it requests a new token instead of a refresh.
    ClientCredentials,
}
