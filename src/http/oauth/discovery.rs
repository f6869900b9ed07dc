//! The metadata of a service (OpenID Connect Discovery, RFC 8414). It is stored for a day, so that a refresh is one
//! request and does not fail if the metadata cannot be requested. It contains no secret.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::http::client::{Client, Network};
use crate::http::error::{self, HttpError};
use crate::model::{Endpoints, Provider, Target};
use crate::sys::atomic_file;
use crate::sys::clock;

/// How long a stored description is used without a request, in seconds.
const MAX_AGE: i64 = 24 * 3600;

/// The part of a description that is read and stored.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    #[serde(flatten)]
    pub(super) endpoints: Endpoints,
    #[serde(default, rename = "authorization_response_iss_parameter_supported")]
    pub(super) sends_issuer: bool,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    /// When this program received it, in seconds since 1970.
    #[serde(default)]
    fetched_at: i64,
}

impl Metadata {
    /// Whether a client secret must not go into a header.
    pub(super) fn requires_secret_in_body(&self) -> bool {
        let accepts =
            |method: &str| lists(self.token_endpoint_auth_methods_supported.as_deref(), method);
        accepts("client_secret_post") && !accepts("client_secret_basic")
    }

    /// Whether the service lists the challenge of PKCE that this program sends.
    pub(super) fn supports_pkce(&self) -> bool {
        lists(self.code_challenge_methods_supported.as_deref(), "S256")
    }

    /// Rejects the description of another issuer (RFC 8414, 3.3), and endpoints that a token must not go to.
    fn check(self, issuer: &str) -> Result<Self> {
        let untrusted = |what: String| {
            Err(Error::new(ErrorCode::Rejected, format!("cannot use the issuer {issuer}: {what}")))
        };
        // People and services disagree about a slash at the end.
        if self.issuer.trim_end_matches('/') != issuer.trim_end_matches('/') {
            return untrusted(format!(
                "its discovery document is for the issuer `{}`",
                sanitize(&self.issuer)
            ));
        }
        let is_local = Target::parse(issuer)?.origin.is_loopback();
        for url in self.endpoints.urls() {
            let origin = Target::parse(url)?.origin;
            // A service elsewhere must not send requests to this machine.
            if !origin.is_safe() || origin.is_loopback() && !is_local {
                return untrusted(format!(
                    "its discovery document has the unsafe endpoint `{}`",
                    sanitize(url)
                ));
            }
        }
        Ok(self)
    }
}

fn lists(names: Option<&[String]>, name: &str) -> bool {
    names.unwrap_or_default().iter().any(|listed| listed == name)
}

/// Which description of a service is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Description {
    /// The stored metadata for a day, then that of the service; if the request fails, the old metadata.
    Stored,
    Current,
}

pub(super) fn metadata(
    network: Network<'_>,
    provider: &Provider,
    issuer: &str,
    description: Description,
) -> Result<Metadata> {
    let stored = match description {
        Description::Stored => load(network, provider).and_then(|it| it.check(issuer).ok()),
        Description::Current => None,
    };
    let age = |stored: &Metadata| clock::now().unix().saturating_sub(stored.fetched_at);
    match stored {
        Some(stored) if (0..MAX_AGE).contains(&age(&stored)) => Ok(stored),
        Some(stored) => Ok(request(network, provider, issuer).unwrap_or(stored)),
        None => request(network, provider, issuer),
    }
}

fn request(network: Network<'_>, provider: &Provider, issuer: &str) -> Result<Metadata> {
    let failed = |error: &HttpError| error::failed(issuer, "read the discovery document", error);
    let (mut found, mut first): (Option<Metadata>, _) = (None, None);
    for url in addresses(issuer)? {
        let response = Client::new(network, provider, &url)?.get::<Metadata>(None);
        match (&mut found, response) {
            (None, Ok(metadata)) => found = Some(metadata.check(issuer)?),
            (None, Err(error)) if error.is_decision() => first = first.or(Some(error)),
            (None, Err(error)) => return Err(failed(&error)),
            (Some(found), response) => {
                let other = response.ok().and_then(|other| other.check(issuer).ok());
                let others = other.map(|other| other.endpoints).unwrap_or_default();
                found.endpoints = found.endpoints.clone().or(others);
            }
        }
        // OpenID Connect Discovery does not define these two: django-oauth-toolkit lists the first one only by RFC 8414.
        if found.as_ref().is_some_and(|Metadata { endpoints, .. }| {
            endpoints.revocation.is_some() && endpoints.device_authorization.is_some()
        }) {
            break;
        }
    }
    if let Some(found) = found {
        let metadata = Metadata { fetched_at: clock::now().unix(), ..found };
        save(network, provider, &metadata);
        return Ok(metadata);
    }
    let error =
        first.map_or_else(|| Error::invalid_state("no discovery document"), |error| failed(&error));
    Err(error
        .with_hint(format!("set its endpoints in [providers.{}] of config.toml", provider.name)))
}

/// The endpoints of a service that describes itself. An error if it cannot be reached, or describes another issuer.
pub fn discover(
    network: Network<'_>,
    provider: &Provider,
    issuer: &str,
) -> Result<Option<Endpoints>> {
    for url in addresses(issuer)? {
        match Client::new(network, provider, &url)?.get::<Metadata>(None) {
            Ok(metadata) => return Ok(Some(metadata.check(issuer)?.endpoints)),
            Err(HttpError::Service(_) | HttpError::Malformed(_)) => {}
            Err(error) => return Err(error::failed(issuer, "read the discovery document", &error)),
        }
    }
    Ok(None)
}

/// The suffix is behind the issuer in OpenID Connect, and between host and path in RFC 8414.
fn addresses(issuer: &str) -> Result<[String; 2]> {
    let target = Target::parse(issuer)?;
    let path = target.path.as_str();
    let between = if path.is_empty() { String::new() } else { format!("/{path}") };
    Ok([
        format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')),
        format!("{}/.well-known/oauth-authorization-server{between}", target.origin),
    ])
}

fn file(provider: &Provider) -> String {
    format!(".my/sessions/{}.metadata.json", provider.name)
}

fn load(network: Network<'_>, provider: &Provider) -> Option<Metadata> {
    let contents =
        atomic_file::read(&network.context.paths.in_home(&file(provider)).ok()?).ok()??;
    serde_json::from_str(contents.text.expose_secret()).ok()
}

/// Where the description cannot be stored, the next refresh requests it again.
fn save(network: Network<'_>, provider: &Provider, metadata: &Metadata) {
    if let (Ok(path), Ok(text)) =
        (network.context.paths.in_home(&file(provider)), serde_json::to_string(metadata))
    {
        let _ = atomic_file::write(&path, &text);
    }
}

#[cfg(test)]
mod tests {
    use super::{Metadata, addresses};

    fn check(description: &str) -> Result<Metadata, String> {
        let found: Metadata = serde_json::from_str(description).unwrap();
        found.check("https://login.acme.dev/a").map_err(|error| error.message)
    }

    #[test]
    fn metadata_of_another_issuer_is_rejected() {
        assert!(check(r#"{"issuer":"https://login.acme.dev/a/"}"#).is_ok());
        for (description, part) in [
            (
                r#"{"issuer":"https://evil.dev"}"#,
                "its discovery document is for the issuer `https://evil.dev`",
            ),
            (
                r#"{"issuer":"https://login.acme.dev/a","token_endpoint":"http://login.acme.dev/t"}"#,
                "has the unsafe endpoint",
            ),
            (
                r#"{"issuer":"https://login.acme.dev/a","token_endpoint":"http://127.0.0.1/t"}"#,
                "has the unsafe endpoint",
            ),
        ] {
            assert!(
                check(description).err().is_some_and(|error| error.contains(part)),
                "{description}"
            );
        }
    }

    #[test]
    fn both_well_known_paths_are_tried() {
        assert_eq!(
            addresses("https://login.acme.dev/a/").unwrap(),
            [
                "https://login.acme.dev/a/.well-known/openid-configuration",
                "https://login.acme.dev/.well-known/oauth-authorization-server/a"
            ]
        );
    }
}
