//! Docker's credential protocol (docker-credential-helpers, credentials/).
//!
//! Docker spells one server in many ways: `https://h/v1/`, `h`, `h:443`. The path is ignored. The scheme is http for a
//! loopback address, where a credential for https matches, too. For any other host, the scheme is https unless the server
//! begins with `http://`, where no credential is sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Protocol;
use crate::error::{Error, Result, argument_name};
use crate::model::{
    AuthForm, CredentialRequest, DOCKER_HUB, Framing, Invocation, ListEntry, Occasion, Operation,
    Origin, Resolved, Response, Scheme, Secret, StoreRequest, Target, ToolOutput, ToolTraits,
    UrlPath, json,
};

// Docker compares these sentences byte for byte (docker-credential-helpers, credentials/error.go).
const NOT_FOUND: &str = "credentials not found in native keychain";
const NO_SERVER: &str = "no credentials server URL";
const NO_USERNAME: &str = "no credentials username";

/// The server URL that Docker sends for Docker Hub.
const HUB: &str = "https://index.docker.io/v1/";

const VERSION: &str =
    concat!("docker-credential-my (my-credential-helper) v", env!("CARGO_PKG_VERSION"), "\n");

const TRAITS: ToolTraits = ToolTraits {
    exact_path: true,
    carries_lines: true,
    ignores_scheme: true,
    ..ToolTraits::new(AuthForm::PasswordOrBearer)
};

pub(super) struct Docker;

impl Protocol for Docker {
    const NAME: &'static str = "docker";
    const PROGRAM: Option<&'static str> = Some("docker-credential-my");
    const OPERATIONS: &'static [&'static str] = &["get", "store", "erase", "list", "version"];

    type Parsed<'a> = Call<'a>;

    fn framing(arguments: &[String]) -> Framing {
        match operation(arguments) {
            "get" | "erase" => Framing::Everything,
            "store" => Framing::Object,
            _ => Framing::Nothing,
        }
    }

    fn decode(invocation: &Invocation) -> (Call<'_>, Result<Operation>) {
        let mut call = Call { operation: operation(&invocation.arguments), server: "" };
        let operation = call.decode(&invocation.input);
        (call, operation)
    }

    fn encode(call: &Call<'_>, result: Result<Response>) -> ToolOutput {
        match result {
            Ok(Response::Found(found)) => credential(call.server, &found),
            Ok(Response::Listed(entries, warnings)) => {
                ToolOutput::json(&list(&entries)).with_warnings(&warnings)
            }
            Ok(_) if call.operation == "version" => ToolOutput::success(VERSION),
            Ok(Response::Nothing) => ToolOutput::session_not_stored(),
            Ok(_) => ToolOutput::default(),
            // Docker continues without a credential.
            Err(error) if call.operation == "get" && error.is_no_credential() => failure(NOT_FOUND),
            Err(error) => failure(&error.one_line_with_hint()),
        }
    }
}

fn operation(arguments: &[String]) -> &str {
    if let [operation] = arguments { operation } else { "" }
}

pub(super) struct Call<'a> {
    operation: &'a str,
    /// As Docker spells it.
    server: &'a str,
}

impl<'a> Call<'a> {
    fn decode(&mut self, input: &'a [u8]) -> Result<Operation> {
        match self.operation {
            "get" => {
                self.server = server(input)?;
                let target = target(self.server)?;
                Ok(Operation::Get(CredentialRequest::for_target(target, TRAITS)))
            }
            "erase" => {
                let server = server(input)?;
                let request = CredentialRequest::new(TRAITS);
                Operation::erase(target(server), server, request, None)
            }
            "store" => store(input).map(Operation::Store),
            "list" => Ok(Operation::ListServable(TRAITS)),
            "version" => Ok(Operation::Nothing),
            "" => Err(Error::invalid("Usage: docker-credential-my <get|store|erase|list|version>")),
            other => {
                let message =
                    format!("docker-credential-my: unknown action: {}", argument_name(other));
                Err(Error::invalid(message))
            }
        }
    }
}

fn server(input: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(input);
    let server = text.map_err(|_| Error::invalid("the server URL is not UTF-8"))?.trim();
    if server.is_empty() { Err(Error::invalid(NO_SERVER)) } else { Ok(server) }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    #[serde(default, rename = "ServerURL")]
    server_url: String,
    #[serde(default)]
    username: String,
    secret: Option<Secret>,
}

fn store(input: &[u8]) -> Result<StoreRequest> {
    let Request { server_url, username, secret } = json::parse_request(input)?;
    let secret = secret.unwrap_or_else(|| Secret::new(""));
    let server = server(server_url.as_bytes())?;
    if username.is_empty() {
        return Err(Error::invalid(NO_USERNAME));
    }
    // A secret may have several lines: `docker login -u _json_key` stores a key file.
    if username.contains(char::is_control) || secret.expose_secret().contains('\0') {
        return Err(Error::invalid("the user name or the secret contains a control character"));
    }
    let request = CredentialRequest::for_target(target(server)?, TRAITS);
    let request = CredentialRequest { username: Some(username), ..request };
    // `docker login` also stores the token of a session that `get` has just returned.
    Ok(StoreRequest { occasion: Occasion::Login, ..StoreRequest::new(request, secret) })
}

fn target(server: &str) -> Result<Target> {
    let (is_http, rest) = match server.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (false, rest),
        // Only a loopback address has a credential for http.
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (true, rest),
        Some(_) => return Err(Error::invalid("the server URL is neither https nor http")),
        None => (false, server),
    };
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let origin = if is_http {
        Origin::parse(Scheme::Http, authority)?
    } else {
        Target::from_host(authority, "")?.origin
    };
    // Docker's browser login stores tokens under longer URLs: `…/v1/access-token` (docker/cli, cli/internal/oauth/manager).
    let token = tail.strip_prefix("/v1/").filter(|_| origin.host() == DOCKER_HUB);
    Ok(Target { origin, path: UrlPath::from_encoded(token.unwrap_or_default())? })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Credential<'a> {
    #[serde(rename = "ServerURL")]
    server_url: &'a str,
    username: &'a str,
    secret: &'a str,
}

fn credential(server_url: &str, found: &Resolved) -> ToolOutput {
    let secret = found.credential.secret.expose_secret();
    ToolOutput::json(&Credential { server_url, username: &found.credential.username, secret })
        .with_warnings(&found.warnings)
}

/// The user name of each host, under a server name that `get` decodes to the same target.
fn list(entries: &[ListEntry]) -> BTreeMap<String, &str> {
    let named = entries.iter().filter_map(|entry| {
        let host = Target::parse(entry.url.as_deref()?).ok()?;
        let name = host.origin.host_and_port();
        let name = if name == DOCKER_HUB { HUB.to_owned() } else { name };
        let found = target(&name).ok()?;
        let is_other =
            found.origin.is_loopback() && found.origin.with_other_scheme() == host.origin;
        (found == host || is_other).then_some((found != host, name, &*entry.username))
    });
    let mut named: Vec<_> = named.collect();
    // Of two credentials under one name, `get` returns the one for http.
    named.sort_by_key(|(is_other, ..)| std::cmp::Reverse(*is_other));
    named.into_iter().map(|(_, name, username)| (name, username)).collect()
}

/// Docker reads errors from standard output.
fn failure(sentence: &str) -> ToolOutput {
    ToolOutput { status: 1, ..ToolOutput::success(format!("{sentence}\n")) }
}

#[cfg(test)]
mod tests {
    use super::{Call, Docker, Protocol as _, Response, target};

    #[test]
    fn every_spelling_of_a_server_is_one_target() {
        let target = |server: &str| target(server).unwrap().to_string();
        for server in [
            "h.dev",
            "https://h.dev",
            "https://h.dev/",
            "h.dev/v2/",
            "H.dev:443",
            "HTTPS://h.dev/x?y#z",
        ] {
            assert_eq!(target(server), "https://h.dev", "{server}");
        }
        assert_eq!(target("http://h.dev"), "http://h.dev", "no token is sent to it");
        assert_eq!(target("h.dev:5000"), "https://h.dev:5000");
        for server in ["127.0.0.1:5000", "http://127.0.0.1:5000", "https://127.0.0.1:5000/v2/"] {
            assert_eq!(target(server), "http://127.0.0.1:5000", "{server}");
        }
        assert_eq!(target("localhost"), "http://localhost");
        assert_eq!(target("[::1]:5000"), "http://[::1]:5000");
        for server in [
            "https://index.docker.io/v1/",
            "https://index.docker.io/v1",
            "index.docker.io",
            "docker.io",
            "Docker.io:443",
            "https://docker.io",
            "registry-1.docker.io",
            "https://registry-1.docker.io/v2/",
        ] {
            assert_eq!(target(server), "https://index.docker.io", "{server}");
        }
        assert_ne!(target("https://index.docker.io/v1/access-token"), target("index.docker.io"));
    }

    #[test]
    fn the_version_is_one_line() {
        let call = Call { operation: "version", server: "" };
        let output = Docker::encode(&call, Ok(Response::Nothing));
        assert_eq!((output.output.lines().count(), output.status), (1, 0));
        assert!(output.output.starts_with("docker-credential-my (my-credential-helper) v"));
    }
}
