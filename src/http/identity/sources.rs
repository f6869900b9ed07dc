//! The platforms that issue identity tokens on request. Each request stands below the page that describes it.

use oauth2::http::{HeaderValue, Request};
use serde_json::Value;
use zeroize::Zeroizing;

use super::assertion;
use crate::error::{Error, Result};
use crate::http::client::{Client, Network, segment};
use crate::http::error::{HttpError, failed};
use crate::http::issued::is_usable;
use crate::model::jwt::IdentityClaims;
use crate::model::{Identity, IdentitySource, Provider, Secret, Target, Timestamp};
use crate::sys::process::Launcher;

/// As an address: a name would be looked up, and a repository may set a variable such as `GCE_METADATA_HOST`.
const METADATA: &str = "http://169.254.169.254";

/// A request for an identity token, and where the token is in the response.
#[derive(Default)]
struct TokenRequest {
    url: String,
    is_post: bool,
    headers: &'static [(&'static str, &'static str)],
    /// Name and value of the header that allows the request, and the secret in it.
    permission: Option<(&'static str, Secret, Secret)>,
    /// The field of the response; `None`: the response is the token.
    field: Option<&'static str>,
    /// A header that every response of the server has.
    proof: Option<(&'static str, &'static str)>,
}

pub(in crate::http) fn request_token(
    network: Network<'_>,
    provider: &Provider,
    now: Timestamp,
) -> Result<Option<Secret>> {
    let Some(identity) = &provider.identity else { return Ok(None) };
    let (source, audience) = (&identity.source, &*identity.audience);
    match source {
        IdentitySource::PrivateKey(key) => {
            assertion::sign(network.context, provider, key, now).map(Some)
        }
        // https://circleci.com/docs/guides/permissions-authentication/openid-connect-tokens/: the ready variables are for
        // the organisation.
        IdentitySource::CircleCi => {
            let claims = serde_json::json!({ "aud": audience }).to_string();
            let arguments = ["run", "oidc", "get", "--root-issuer", "--claims", &claims];
            run(network, "circleci", "CIRCLE", &arguments).map(Some)
        }
        // https://buildkite.com/docs/agent/cli/reference/oidc
        IdentitySource::Buildkite => {
            let arguments = ["oidc", "request-token", "--audience", audience];
            run(network, "buildkite-agent", "BUILDKITE", &arguments).map(Some)
        }
        _ => {
            let variable = |name: &str| network.context.environment.text(name).unwrap_or_default();
            let request = request(source, audience, METADATA, &variable);
            send(network, identity, &request)
        }
    }
}

fn request(
    source: &IdentitySource,
    audience: &str,
    metadata: &str,
    variable: &dyn Fn(&str) -> String,
) -> TokenRequest {
    let encoded = segment(audience);
    let [url, token] = match source.request_variables() {
        [url, token] => [variable(url), variable(token)],
        _ => [String::new(), String::new()],
    };
    let bearer = || {
        let value = Secret::new(format!("Bearer {token}"));
        Some(("Authorization", value, Secret::new(token.clone())))
    };
    match source {
        // https://docs.github.com/en/actions/reference/security/oidc#methods-for-requesting-the-oidc-token
        IdentitySource::GitHubActions => TokenRequest {
            url: with_query(&url, &format!("audience={encoded}")),
            permission: bearer(),
            field: Some("value"),
            ..TokenRequest::default()
        },
        // https://learn.microsoft.com/en-us/rest/api/azure/devops/distributedtask/oidctoken/create, with the header of
        // https://github.com/Azure/azure-sdk-for-python (azure.identity._credentials.azure_pipelines): without it, the
        // service redirects to a page for people.
        IdentitySource::AzurePipelines { service_connection } => {
            let connection = segment(service_connection);
            let query = format!("api-version=7.1&serviceConnectionId={connection}");
            TokenRequest {
                url: with_query(&url, &query),
                is_post: true,
                headers: &[
                    ("X-TFS-FedAuthRedirect", "Suppress"),
                    ("Content-Type", "application/json"),
                ],
                permission: bearer(),
                field: Some("oidcToken"),
                ..TokenRequest::default()
            }
        }
        IdentitySource::Gcp => google(&encoded, metadata),
        _ => azure(&encoded, metadata, variable),
    }
}

/// <https://cloud.google.com/compute/docs/instances/verifying-instance-identity#request_signature>
fn google(audience: &str, metadata: &str) -> TokenRequest {
    const FLAVOR: (&str, &str) = ("Metadata-Flavor", "Google");
    let path = "computeMetadata/v1/instance/service-accounts/default/identity";
    let url = format!("{metadata}/{path}?audience={audience}&format=full");
    TokenRequest { url, headers: &[FLAVOR], proof: Some(FLAVOR), ..TokenRequest::default() }
}

/// <https://learn.microsoft.com/en-us/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>; App Service has
/// an endpoint of its own:
/// <https://learn.microsoft.com/en-us/azure/app-service/overview-managed-identity#rest-endpoint-reference>.
fn azure(resource: &str, metadata: &str, variable: &dyn Fn(&str) -> String) -> TokenRequest {
    let field = Some("access_token");
    let endpoint = variable("IDENTITY_ENDPOINT");
    if endpoint.is_empty() {
        let path = "metadata/identity/oauth2/token?api-version=2018-02-01";
        let url = format!("{metadata}/{path}&resource={resource}");
        return TokenRequest {
            url,
            headers: &[("Metadata", "true")],
            field,
            ..TokenRequest::default()
        };
    }
    let url = with_query(&endpoint, &format!("api-version=2019-08-01&resource={resource}"));
    let header = Secret::new(variable("IDENTITY_HEADER"));
    let permission = Some(("X-IDENTITY-HEADER", header.clone(), header));
    TokenRequest { url, permission, field, ..TokenRequest::default() }
}

/// A metadata server that cannot be reached does not exist here; a wrong answer is an error.
fn send(
    network: Network<'_>,
    identity: &Identity,
    request: &TokenRequest,
) -> Result<Option<Secret>> {
    let (source, url) = (&identity.source, &request.url);
    let client = if source.is_metadata() {
        Client::for_metadata(network, url)?
    } else {
        let variable = source.request_variables().first().unwrap_or(&"");
        Client::for_identity(network, url).map_err(|error| error.about(variable))?
    };
    match exchange(&client, request) {
        Err(HttpError::NotConnected(_)) if source.is_metadata() => Ok(None),
        Err(error) => {
            let origin = Target::parse(url).map(|target| target.origin.to_string());
            let what = format!("get an identity token of {}", source.name());
            let failed = failed(&origin.unwrap_or_default(), &what, &error);
            Err(failed.with_hint(source.hint(&identity.audience)))
        }
        Ok(token) => Ok(Some(token)),
    }
}

fn exchange(client: &Client, request: &TokenRequest) -> Result<Secret, HttpError> {
    let invalid = |what: &str| HttpError::Malformed(format!("the response {what}"));
    let method = if request.is_post { "POST" } else { "GET" };
    let mut built = Request::builder().method(method).uri("/");
    for (name, value) in request.headers {
        built = built.header(*name, *value);
    }
    if let Some((name, value, _)) = &request.permission {
        let value = HeaderValue::from_str(value.expose_secret());
        let mut value = value.map_err(|_| unusable())?;
        value.set_sensitive(true);
        built = built.header(*name, value);
    }
    let built = built.body(Vec::new()).map_err(|_| unusable())?;
    let secrets: Vec<_> = request.permission.iter().map(|(_, _, secret)| secret).collect();
    let (parts, body) = client.exchange(built, &secrets)?.into_parts();
    let body = Zeroizing::new(body);
    if let Some((name, value)) = request.proof
        && parts.headers.get(name).is_none_or(|found| found != value)
    {
        return Err(invalid(&format!("has no header `{name}: {value}`")));
    }
    let token = match request.field {
        None => String::from_utf8_lossy(&body).trim().to_owned(),
        Some(field) => {
            let mut body: Value = serde_json::from_slice(&body).unwrap_or_default();
            match body.get_mut(field).map(Value::take) {
                Some(Value::String(token)) => token,
                _ => String::new(),
            }
        }
    };
    let token = usable(token).ok_or_else(|| invalid("has no usable identity token"))?;
    // They are shown.
    let claims = IdentityClaims::of(&token).map(|claims| claims.to_string()).unwrap_or_default();
    if secrets.iter().any(|secret| claims.contains(secret.expose_secret())) {
        return Err(invalid("repeats the token of the request"));
    }
    Ok(token)
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::{Identity, IdentitySource, METADATA, Network, request, send};
    use crate::config::{Context, Overrides, Paths};
    use crate::model::Exchange;
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

    fn requested(source: &IdentitySource, server: &str) -> Result<Option<String>, String> {
        let home = tempfile::tempdir().unwrap();
        let (environment, paths) = (Environment::Fixed(HashMap::new()), Paths::at(home.path()));
        let context = Context::new(environment, paths, Overrides::default());
        let network = Network {
            context: &context,
            log: StderrLog::default(),
            descriptions: false,
            deadline: None,
        };
        let identity = Identity {
            source: source.clone(),
            audience: "https://acme.dev".into(),
            exchange: Exchange::None,
            resource: None,
            scope: None,
            parameters: Vec::new(),
        };
        let request = request(source, &identity.audience, server, &|_| String::new());
        let found = send(network, &identity, &request).map_err(|it| it.message)?;
        Ok(found.map(|token| token.expose_secret().to_owned()))
    }

    #[test]
    fn a_metadata_server_must_answer_itself() {
        let google = "HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\nContent-Length: 4\r\n\r\na.b\n";
        let (url, thread) = served(google);
        assert_eq!(requested(&IdentitySource::Gcp, &url), Ok(Some("a.b".to_owned())));
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
            let error = requested(&source, &url).unwrap_err();
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
        assert_eq!(requested(&IdentitySource::Gcp, &url), Ok(None));
        assert_eq!(requested(&IdentitySource::Azure, &url), Ok(None));
    }

    #[test]
    fn metadata_is_requested_from_a_literal_address() {
        for source in [IdentitySource::Gcp, IdentitySource::Azure] {
            let request = request(&source, "a", METADATA, &|_| String::new());
            assert!(request.url.starts_with("http://169.254.169.254/"), "{}", request.url);
            assert!(request.permission.is_none());
        }
        for host in ["http://10.0.0.1", "http://metadata.google.internal", "https://evil.dev"] {
            let error = requested(&IdentitySource::Gcp, host).unwrap_err();
            assert!(error.contains("is not a metadata server"), "{error}");
        }
    }
}
