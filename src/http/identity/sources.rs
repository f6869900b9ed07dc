//! The platforms that issue identity tokens on request. Each request stands below the page that describes it.

use std::time::Instant;

use oauth2::http::{HeaderValue, Request};
use serde_json::Value;

use super::assertion;
use crate::error::{Error, Result};
use crate::http::client::{Client, Network, segment};
use crate::http::error::{HttpError, failed};
use crate::http::issued::is_usable;
use crate::model::{IdentitySource, Provider, Secret, Timestamp};
use crate::sys::process::Launcher;

/// The metadata server of every cloud, as an address: a name would be looked up, and a variable such as
/// `GCE_METADATA_HOST` may be set by a repository.
const METADATA: &str = "http://169.254.169.254";

/// A request for an identity token, and where the token is in the response.
struct TokenRequest<'a> {
    url: String,
    method: &'static str,
    headers: Vec<(&'static str, String)>,
    /// Allows the request.
    secret: Option<(&'static str, &'static str, &'a Secret)>,
    /// The field of the response; `None`: the response is the token.
    field: Option<&'static str>,
    /// A header that every response of the server has.
    proof: Option<(&'static str, &'static str)>,
}

pub(in crate::http) fn request_token(
    network: Network<'_>,
    provider: &Provider,
    deadline: Instant,
    now: Timestamp,
) -> Result<Option<Secret>> {
    let Some(identity) = &provider.identity else { return Ok(None) };
    let (source, audience) = (&identity.source, &*identity.audience);
    let variable = |name: &str| network.context.environment.text(name).unwrap_or_default();
    let plain = |url| TokenRequest {
        url,
        method: "GET",
        headers: Vec::new(),
        secret: None,
        field: None,
        proof: None,
    };
    let names = source.request_variables();
    let secret = Secret::new(names.last().map(|name| variable(name)).unwrap_or_default());
    let request = match source {
        // https://docs.github.com/en/actions/reference/security/oidc#methods-for-requesting-the-oidc-token
        IdentitySource::GitHubActions => TokenRequest {
            url: with_query(&variable(names[0]), &format!("audience={}", segment(audience))),
            secret: Some(("Authorization", "Bearer ", &secret)),
            field: Some("value"),
            ..plain(String::new())
        },
        // https://learn.microsoft.com/en-us/rest/api/azure/devops/distributedtask/oidctoken/create, with the header of
        // https://github.com/Azure/azure-sdk-for-python (azure.identity._credentials.azure_pipelines): without it, the
        // service redirects to a page for people.
        IdentitySource::AzurePipelines { service_connection } => TokenRequest {
            url: with_query(
                &variable(names[0]),
                &format!("api-version=7.1&serviceConnectionId={}", segment(service_connection)),
            ),
            method: "POST",
            headers: vec![
                ("X-TFS-FedAuthRedirect", "Suppress".to_owned()),
                ("Content-Type", "application/json".to_owned()),
            ],
            secret: Some(("Authorization", "Bearer ", &secret)),
            field: Some("oidcToken"),
            ..plain(String::new())
        },
        IdentitySource::Gcp => {
            return metadata(network, source, &gcp(METADATA, audience), audience);
        }
        IdentitySource::Azure => {
            let endpoint = variable("IDENTITY_ENDPOINT");
            let header = Secret::new(variable("IDENTITY_HEADER"));
            return metadata(
                network,
                source,
                &azure(METADATA, &endpoint, &header, audience),
                audience,
            );
        }
        IdentitySource::PrivateKey(key) => {
            return assertion::sign(network.context, provider, key, now).map(Some);
        }
        // https://circleci.com/docs/guides/permissions-authentication/openid-connect-tokens/: the ready variables are for
        // the organisation.
        IdentitySource::CircleCi => {
            let claims = serde_json::json!({ "aud": audience }).to_string();
            let arguments = ["run", "oidc", "get", "--root-issuer", "--claims", &claims];
            return run(network, "circleci", "CIRCLE", &arguments).map(Some);
        }
        // https://buildkite.com/docs/agent/cli/reference/oidc
        IdentitySource::Buildkite => {
            let arguments = ["oidc", "request-token", "--audience", audience];
            return run(network, "buildkite-agent", "BUILDKITE", &arguments).map(Some);
        }
        _ => return Err(Error::invalid_state("the identity token is not requested")),
    };
    let client = Client::for_identity(network, &request.url)
        .map_err(|error| Error { message: format!("{}: {}", names[0], error.message), ..error })?;
    let sent = send(&client.until(deadline), &request);
    sent.map(Some).map_err(|error| not_issued(source, &request.url, &error, audience))
}

/// <https://cloud.google.com/compute/docs/instances/verifying-instance-identity#request_signature>
fn gcp<'a>(server: &str, audience: &str) -> TokenRequest<'a> {
    let path = "computeMetadata/v1/instance/service-accounts/default/identity";
    TokenRequest {
        url: format!("{server}/{path}?audience={}&format=full", segment(audience)),
        method: "GET",
        headers: vec![("Metadata-Flavor", "Google".to_owned())],
        secret: None,
        field: None,
        proof: Some(("Metadata-Flavor", "Google")),
    }
}

/// <https://learn.microsoft.com/en-us/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>; App Service has
/// an endpoint of its own:
/// <https://learn.microsoft.com/en-us/azure/app-service/overview-managed-identity#rest-endpoint-reference>.
fn azure<'a>(server: &str, endpoint: &str, header: &'a Secret, resource: &str) -> TokenRequest<'a> {
    let resource = segment(resource);
    let request = |url, headers, secret| TokenRequest {
        url,
        method: "GET",
        headers,
        secret,
        field: Some("access_token"),
        proof: None,
    };
    if endpoint.is_empty() {
        let path = "metadata/identity/oauth2/token?api-version=2018-02-01";
        let url = format!("{server}/{path}&resource={resource}");
        return request(url, vec![("Metadata", "true".to_owned())], None);
    }
    let url = with_query(endpoint, &format!("api-version=2019-08-01&resource={resource}"));
    request(url, Vec::new(), Some(("X-IDENTITY-HEADER", "", header)))
}

/// A server that cannot be reached does not exist here; a wrong answer is an error.
fn metadata(
    network: Network<'_>,
    source: &IdentitySource,
    request: &TokenRequest<'_>,
    audience: &str,
) -> Result<Option<Secret>> {
    match send(&Client::for_metadata(network, &request.url)?, request) {
        Err(HttpError::NotConnected(_)) => Ok(None),
        sent => sent.map(Some).map_err(|error| not_issued(source, &request.url, &error, audience)),
    }
}

fn send(client: &Client, request: &TokenRequest<'_>) -> Result<Secret, HttpError> {
    let invalid = |what: &str| HttpError::Malformed(format!("the response {what}"));
    let mut built = Request::builder().method(request.method).uri("/");
    for (name, value) in &request.headers {
        built = built.header(*name, value);
    }
    if let Some((name, prefix, secret)) = request.secret {
        let value = zeroize::Zeroizing::new(format!("{prefix}{}", secret.expose_secret()));
        let mut value = HeaderValue::from_str(&value).map_err(|_| unusable())?;
        value.set_sensitive(true);
        built = built.header(name, value);
    }
    let built = built.body(Vec::new()).map_err(|_| unusable())?;
    let secrets: Vec<_> = request.secret.iter().map(|(_, _, secret)| *secret).collect();
    let response = client.exchange(built, &secrets)?;
    if let Some((name, value)) = request.proof
        && response.headers().get(name).is_none_or(|found| found != value)
    {
        return Err(invalid(&format!("has no header `{name}: {value}`")));
    }
    let token = match request.field {
        None => String::from_utf8_lossy(response.body()).trim().to_owned(),
        Some(field) => {
            let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
            body[field].as_str().unwrap_or_default().to_owned()
        }
    };
    usable(token).ok_or_else(|| invalid("has no usable identity token"))
}

fn unusable() -> HttpError {
    HttpError::NotSent(Error::invalid("the request contains a character that HTTP does not allow"))
}

fn usable(token: String) -> Option<Secret> {
    let token = Secret::new(token);
    is_usable(&token).then_some(token)
}

/// The platform's own program. Only the audience is an argument; the variables of the agent allow the request.
fn run(
    network: Network<'_>,
    program: &str,
    agent: &'static str,
    arguments: &[&str],
) -> Result<Secret> {
    let context = network.context;
    let home = context.paths.in_home("").ok();
    let launcher = Launcher::new(&context.environment, home.as_deref());
    let path = launcher.find(program);
    let path = path.ok_or_else(|| Error::invalid_state(format!("{program} is not on PATH")))?;
    let child = launcher.child(&path)?.with_agent(&context.environment, agent).args(arguments);
    let output = child.run()?.ok_or_else(|| {
        Error::new(crate::error::ErrorCode::Rejected, format!("{program} issued no identity token"))
    })?;
    usable(output.trim().to_owned())
        .ok_or_else(|| Error::invalid_state(format!("{program} printed no usable identity token")))
}

/// The URL that the platform gives has a query already.
fn with_query(url: &str, query: &str) -> String {
    let url = url.trim();
    format!("{url}{}{query}", if url.contains('?') { '&' } else { '?' })
}

fn not_issued(source: &IdentitySource, url: &str, error: &HttpError, audience: &str) -> Error {
    let origin = crate::model::Target::parse(url).map(|target| target.origin.to_string());
    let what = format!("get an identity token of {}", source.name());
    failed(&origin.unwrap_or_default(), &what, error).with_hint(source.hint(audience))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::{IdentitySource, METADATA, Network, azure, gcp, metadata};
    use crate::config::{Context, Overrides, Paths};
    use crate::model::Secret;
    use crate::sys::env::Environment;
    use crate::sys::log::StderrLog;

    /// A server on this machine in the place of the metadata server: it sends this response, and returns the request.
    fn served(response: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut request = vec![0; 4096];
            let length = connection.read(&mut request).unwrap();
            connection.write_all(response.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        (url, thread)
    }

    fn request(source: &IdentitySource, server: &str) -> Result<Option<String>, String> {
        let home = tempfile::tempdir().unwrap();
        let (environment, paths) = (Environment::Fixed(HashMap::new()), Paths::at(home.path()));
        let context = Context::new(environment, paths, Overrides::default());
        let network = Network { context: &context, log: StderrLog::default(), descriptions: false };
        let header = Secret::new("");
        let request = match source {
            IdentitySource::Gcp => gcp(server, "https://acme.dev"),
            _ => azure(server, "", &header, "https://acme.dev"),
        };
        let found = metadata(network, source, &request, "https://acme.dev")
            .map_err(|error| error.message)?;
        Ok(found.map(|token| token.expose_secret().to_owned()))
    }

    #[test]
    fn a_metadata_server_must_answer_itself() {
        let google = "HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\nContent-Length: 4\r\n\r\na.b\n";
        let (url, thread) = served(google);
        assert_eq!(request(&IdentitySource::Gcp, &url), Ok(Some("a.b".to_owned())));
        let sent = thread.join().unwrap().to_ascii_lowercase();
        let path = "/computemetadata/v1/instance/service-accounts/default/identity?audience=https%3a%2f%2facme%2edev&format=full ";
        assert!(sent.starts_with(&format!("get {path}")), "{sent}");
        assert!(sent.contains("metadata-flavor: google\r\n"), "{sent}");
        for (source, response, reason) in [
            (
                IdentitySource::Gcp,
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na.b",
                "has no header `Metadata-Flavor: Google`",
            ),
            (
                IdentitySource::Gcp,
                "HTTP/1.1 302 Found\r\nLocation: http://evil.dev/\r\nContent-Length: 0\r\n\r\n",
                "status 302",
            ),
            (
                IdentitySource::Azure,
                "HTTP/1.1 307 Moved\r\nLocation: http://evil.dev/\r\nContent-Length: 0\r\n\r\n",
                "status 307",
            ),
            (
                IdentitySource::Azure,
                "HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{\"access_token\":1}",
                "has no usable identity token",
            ),
        ] {
            let (url, thread) = served(response);
            let error = request(&source, &url).unwrap_err();
            assert!(error.contains(reason), "{reason}: {error}");
            let sent = thread.join().unwrap();
            let is_marked = sent.to_ascii_lowercase().contains("metadata: true\r\n");
            assert_eq!(is_marked, source == IdentitySource::Azure, "{sent}");
        }
    }

    #[test]
    fn without_a_metadata_server_there_is_no_identity() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        assert_eq!(request(&IdentitySource::Gcp, &url), Ok(None));
        assert_eq!(request(&IdentitySource::Azure, &url), Ok(None));
    }

    #[test]
    fn metadata_is_requested_from_a_literal_address() {
        let header = Secret::new("");
        for request in [gcp(METADATA, "a"), azure(METADATA, "", &header, "a")] {
            assert!(request.url.starts_with("http://169.254.169.254/"), "{}", request.url);
            assert!(request.secret.is_none());
        }
        for host in ["http://10.0.0.1", "http://metadata.google.internal", "https://evil.dev"] {
            let error = request(&IdentitySource::Gcp, host).unwrap_err();
            assert!(error.contains("is not a metadata server"), "{error}");
        }
    }
}
