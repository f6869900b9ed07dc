//! What a login by OAuth 2 needs to know of a service: where it is, who asks, for what.

use super::Text;

/// A service that speaks OAuth 2, and how this program is known there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OAuth {
    /// Where the service describes itself (RFC 8414, OpenID Connect Discovery).
    pub issuer: Option<Text>,
    /// What is named, and beats the description.
    pub endpoints: Endpoints,
    /// How the service knows the program; the user registers it.
    pub client_id: Option<Text>,
    /// Where a registration by hand begins, for whoever has no `client_id` yet.
    pub registration: Option<Text>,
    /// Where the secret that goes with it is, for services that want one.
    pub client_secret: Option<SecretLocation>,
    /// Whether the secret goes into the body of a request, and not into a header (RFC 6749, 2.3.1).
    pub secret_in_body: bool,
    /// Whether a login on its page is for those alone who know the secret.
    pub code_flow_needs_secret: bool,
    /// Whether its login by a code is for other kinds of programs, and none of ours unless it is asked for.
    pub device_flow_on_request_only: bool,
    /// What is asked for.
    pub scopes: Vec<Text>,
    /// Further parameters of the page that one logs in on.
    pub parameters: Vec<(Text, Text)>,
    /// Who logs in.
    pub grant: Grant,
    /// The port that the browser comes back to, for services that want to know it beforehand; any, otherwise.
    pub redirect_port: Option<u16>,
}

/// The endpoints of a service, each an absolute URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// The page that one logs in on.
    pub authorization: Option<Text>,
    /// Where tokens are given.
    pub token: Option<Text>,
    /// Where a login on another device begins (RFC 8628).
    pub device_authorization: Option<Text>,
    /// Where a token is ended (RFC 7009).
    pub revocation: Option<Text>,
    /// Where it is told whose a token is.
    pub userinfo: Option<Text>,
}

/// Where a client secret is. It is read when it is needed and kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretLocation {
    /// In this variable.
    Variable(String),
    /// In this file, which is the user's own.
    File(std::path::PathBuf),
}

/// Who logs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// A person.
    #[default]
    Person,
    /// The program itself, with its secret (RFC 6749, 4.4): nothing is refreshed, it asks again.
    ClientCredentials,
}
