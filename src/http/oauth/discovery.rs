//! How a service describes itself (OpenID Connect Discovery, RFC 8414), and that description kept for a day, so that a
//! refresh is one request and a service whose description cannot be had is no logout. Nothing in it is secret.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::http::client::{self, ApiError, Client, Network};
use crate::model::{Endpoints, Provider, Target};
use crate::sys::atomic_file;
use crate::sys::clock;

/// How long a description is believed without asking again, in seconds.
const FRESH: i64 = 24 * 3600;

/// What is read of a description, and kept.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    userinfo_endpoint: Option<String>,
    #[serde(default, rename = "authorization_response_iss_parameter_supported")]
    pub(super) names_itself: bool,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Ours: seconds since 1970.
    #[serde(default)]
    fetched_at: i64,
}

impl Metadata {
    /// Whether a client secret must not go into a header.
    pub(super) fn takes_secret_in_body_alone(&self) -> bool {
        let takes = |method: &str| {
            self.token_endpoint_auth_methods_supported
                .as_ref()
                .is_some_and(|methods| methods.iter().any(|m| m == method))
        };
        takes("client_secret_post") && !takes("client_secret_basic")
    }

    /// These endpoints, where the user has not named others.
    pub(super) fn beneath(self, named: Endpoints) -> Endpoints {
        let or = |named: Option<Cow<'static, str>>, found: Option<String>| {
            named.or(found.map(Cow::Owned))
        };
        Endpoints {
            authorization: or(named.authorization, self.authorization_endpoint),
            token: or(named.token, self.token_endpoint),
            device_authorization: or(
                named.device_authorization,
                self.device_authorization_endpoint,
            ),
            revocation: or(named.revocation, self.revocation_endpoint),
            userinfo: or(named.userinfo, self.userinfo_endpoint),
        }
    }

    /// Who describes another issuer, or endpoints that a token must not go to, is not believed (RFC 8414, 3.3).
    fn check(self, issuer: &str) -> Result<Self> {
        let untrusted = |what: String| {
            Err(Error::new(ErrorCode::Rejected, format!("{issuer} cannot be used: {what}")))
        };
        // Whether a slash ends it, people and services disagree.
        if self.issuer.trim_end_matches('/') != issuer.trim_end_matches('/') {
            return untrusted(format!("it describes the issuer `{}`", sanitize(&self.issuer)));
        }
        let is_here = Target::parse(issuer)?.origin.is_loopback();
        for url in [
            &self.authorization_endpoint,
            &self.token_endpoint,
            &self.device_authorization_endpoint,
            &self.revocation_endpoint,
            &self.userinfo_endpoint,
        ]
        .into_iter()
        .flatten()
        {
            let origin = Target::parse(url)?.origin;
            // A service elsewhere has no business on this machine.
            if !origin.is_safe() || origin.is_loopback() && !is_here {
                return untrusted(format!("it names the endpoint `{}`", sanitize(url)));
            }
        }
        Ok(self)
    }
}

/// The description that was kept, or one that is asked for; where that fails, the old one will do.
pub(super) fn known(network: Network<'_>, provider: &Provider, issuer: &str) -> Result<Metadata> {
    let kept = kept(network, provider).and_then(|kept| kept.check(issuer).ok());
    match kept {
        Some(kept) if (0..FRESH).contains(&(clock::now().unix() - kept.fetched_at)) => Ok(kept),
        Some(kept) => Ok(discover(network, provider, issuer).unwrap_or(kept)),
        None => discover(network, provider, issuer),
    }
}

/// Asks the service, and keeps what it says.
pub(super) fn discover(
    network: Network<'_>,
    provider: &Provider,
    issuer: &str,
) -> Result<Metadata> {
    let failed =
        |error: &ApiError| client::failed(issuer, "read how the service is described", error);
    let mut refusal = None;
    for url in addresses(issuer)? {
        let client = Client::new(network, provider, &url)?;
        match client.call::<Metadata>(client.http.get(&url), None, &[]) {
            Ok(found) => {
                let found = Metadata { fetched_at: clock::now().unix(), ..found.check(issuer)? };
                keep(network, provider, &found);
                return Ok(found);
            }
            Err(error) if error.is_answer() => refusal = refusal.or(Some(error)),
            Err(error) => return Err(failed(&error)),
        }
    }
    let error =
        refusal.map_or_else(|| Error::invalid_state("no description"), |error| failed(&error));
    Err(error
        .with_hint(format!("name its endpoints in [providers.{}] of config.toml", provider.name)))
}

/// Behind the issuer for OpenID Connect, between host and path for RFC 8414.
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

fn kept(network: Network<'_>, provider: &Provider) -> Option<Metadata> {
    let contents =
        atomic_file::read(&network.context.paths.in_home(&file(provider)).ok()?).ok()??;
    serde_json::from_str(contents.text.expose_secret()).ok()
}

/// Where it cannot be kept, the next refresh asks again.
fn keep(network: Network<'_>, provider: &Provider, found: &Metadata) {
    if let (Ok(path), Ok(text)) =
        (network.context.paths.in_home(&file(provider)), serde_json::to_string(found))
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
    fn a_description_of_somebody_else_is_not_believed() {
        assert!(check(r#"{"issuer":"https://login.acme.dev/a/"}"#).is_ok());
        for (description, part) in [
            (r#"{"issuer":"https://evil.dev"}"#, "it describes the issuer `https://evil.dev`"),
            (
                r#"{"issuer":"https://login.acme.dev/a","token_endpoint":"http://login.acme.dev/t"}"#,
                "it names the endpoint",
            ),
            (
                r#"{"issuer":"https://login.acme.dev/a","token_endpoint":"http://127.0.0.1/t"}"#,
                "it names the endpoint",
            ),
        ] {
            assert!(
                check(description).err().is_some_and(|error| error.contains(part)),
                "{description}"
            );
        }
    }

    #[test]
    fn both_places_are_looked_at() {
        assert_eq!(
            addresses("https://login.acme.dev/a/").unwrap(),
            [
                "https://login.acme.dev/a/.well-known/openid-configuration",
                "https://login.acme.dev/.well-known/oauth-authorization-server/a"
            ]
        );
    }
}
