//! What a login by OAuth 2 needs to know of a service: where it is, who asks, for what.

use serde::{Deserialize, Serialize};

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
    pub page_wants_secret: bool,
    /// Whether its login by a code is for other kinds of programs, and none of ours unless it is asked for.
    pub codes_are_for_others: bool,
    /// What is asked for.
    pub scopes: Vec<Text>,
    /// Further parameters of the page that one logs in on.
    pub parameters: Vec<(Text, Text)>,
    /// Who logs in.
    pub grant: Grant,
    /// The port that the browser comes back to, for services that want to know it beforehand; any, otherwise.
    pub redirect_port: Option<u16>,
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
    /// These, and the others where these have none.
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

    /// Whether a description of the service would add nothing that the login needs.
    pub fn is_complete(&self, grant: Grant) -> bool {
        let can_start = self.authorization.is_some() || self.device_authorization.is_some();
        self.token.is_some() && (can_start || grant == Grant::ClientCredentials)
    }
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// A person.
    #[default]
    Person,
    /// The program itself, with its secret (RFC 6749, 4.4): nothing is refreshed, it asks again.
    ClientCredentials,
}
