//! Detects the software of a host when a person names the host of a login. The requests carry no secret.

use serde::Deserialize;

use super::client::{Client, Method, Network};
use super::{HttpError, failed, oauth};
use crate::error::{Error, Result};
use crate::model::{LoginKind, OAuth, Provider};

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "version")]
    _version: String,
}

/// The `kind` of a provider for the service at `url`, a base URL without a final slash: `forgejo`, `gitea`, `gitlab`,
/// or `oauth` for any other service with a discovery document. An error if the host has neither.
pub fn detect(network: Network<'_>, url: &str) -> Result<&'static str> {
    let oauth = OAuth { issuer: Some(url.to_owned().into()), ..OAuth::default() };
    let login = LoginKind::OAuth(Box::new(oauth));
    let service = Provider::new("login", login, url.to_owned(), String::new());
    let client = Client::new(network, &service, url)?;
    let version = |path: &str| client.call::<Version>(Method::GET, path, None, &[], &[]);
    // Forgejo has the endpoint of Gitea, too (https://forgejo.org/docs/latest/user/api-usage).
    let mut closed = None;
    for (path, kind) in [("/api/forgejo/v1/version", "forgejo"), ("/api/v1/version", "gitea")] {
        match version(path) {
            Ok(_) => return Ok(kind),
            Err(HttpError::Service(error)) if matches!(error.status, 401 | 403) => {
                closed.get_or_insert(kind);
            }
            Err(HttpError::Service(_) | HttpError::Malformed(_)) => {}
            Err(error) => return Err(failed(url, "find out which service is", &error)),
        }
    }
    let described = oauth::discover(network, &service, url)?;
    // With `REQUIRE_SIGNIN_VIEW`, only signed-in users may know the version.
    if let (Some(kind), Some(endpoints)) = (closed, &described)
        && endpoints.token.as_ref().is_some_and(|url| url.ends_with("/login/oauth/access_token"))
    {
        return Ok(kind);
    }
    // The version of GitLab requires a token (https://docs.gitlab.com/api/version).
    let gitlab = version("/api/v4/version");
    match (described.is_some(), gitlab.err().and_then(|error| error.status())) {
        (true, Some(401)) => Ok("gitlab"),
        (true, _) => Ok("oauth"),
        (false, _) => Err(Error::invalid(format!(
            "{url} is not Gitea, Forgejo or GitLab, and has no OpenID Connect discovery document"
        ))
        .with_hint("configure the endpoints of the service in config.toml, see protocol/OAUTH.md")),
    }
}
