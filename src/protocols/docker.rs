//! Docker's credential protocol as two pure functions (docker-credential-helpers, credentials/). Knows no store, no
//! network, no clock.
//!
//! A server has many spellings, `https://h/v1/`, `h`, `h:443`, and all mean the same credential: scheme and path count
//! for nothing, and what is matched is http on this machine, https elsewhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::json::reason;
use crate::model::origin::{Scheme, Target};
use crate::model::request::{
    AuthForm, CredentialRequest, EraseRequest, ListEntry, Operation, Resolved, Response,
    StoreRequest,
};
use crate::model::secret::Secret;
use crate::protocols::{Input, Invocation, Tool, ToolOutput, json};

/// The line in the table.
pub const TOOL: Tool = Tool {
    name: "docker",
    operations: &["get", "store", "erase", "list", "version"],
    program: Some("docker-credential-my"),
    variables: &[],
    input,
    decode,
    encode,
};

// Docker compares these sentences byte for byte (docker-credential-helpers, credentials/error.go).
const NOT_FOUND: &str = "credentials not found in native keychain";
const NO_SERVER: &str = "no credentials server URL";
const NO_USERNAME: &str = "no credentials username";

/// Docker Hub's name for itself, and the host in it.
const HUB: &str = "https://index.docker.io/v1/";
const HUB_HOST: &str = "index.docker.io";

fn operation(arguments: &[String]) -> &str {
    if let [operation] = arguments { operation } else { "" }
}

fn input(arguments: &[String]) -> Input {
    match operation(arguments) {
        "get" | "erase" => Input::Everything,
        "store" => Input::Object,
        _ => Input::Nothing,
    }
}

fn decode(call: &Invocation) -> Result<Operation> {
    match operation(&call.arguments) {
        "get" => Ok(Operation::Get(ask(&server(&call.input)?, None)?)),
        "erase" => Ok(Operation::Erase(EraseRequest {
            ask: ask(&server(&call.input)?, None)?,
            secret: None,
        })),
        "store" => store(&call.input).map(Operation::Store),
        "list" => Ok(Operation::List { servable: true }),
        "version" => Ok(Operation::Nothing),
        "" => Err(Error::invalid("Usage: docker-credential-my <get|store|erase|list|version>")),
        other => Err(Error::invalid(format!(
            "docker-credential-my: unknown action: {}",
            crate::error::sanitize(other)
        ))),
    }
}

fn server(input: &[u8]) -> Result<String> {
    let text = std::str::from_utf8(input)
        .map_err(|_| Error::invalid("the server URL is not UTF-8"))?
        .trim();
    if text.is_empty() { Err(Error::invalid(NO_SERVER)) } else { Ok(text.to_owned()) }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    #[serde(default, rename = "ServerURL")]
    server_url: String,
    #[serde(default)]
    username: String,
    secret: Option<Secret>,
}

fn store(input: &[u8]) -> Result<StoreRequest> {
    if input.len() > json::MOST {
        return Err(Error::invalid("the request is larger than 64 KiB"));
    }
    // What follows the object is not ours to judge.
    let given = Given::deserialize(&mut serde_json::Deserializer::from_slice(input))
        .map_err(|error| Error::invalid(format!("the request {}", reason(&error))))?;
    let Given { server_url, username, secret } = given;
    let secret = secret.unwrap_or_else(|| Secret::new(""));
    let server = server(server_url.as_bytes())?;
    if username.is_empty() {
        return Err(Error::invalid(NO_USERNAME));
    }
    // Another protocol might write them on a line of its own.
    if username.contains(char::is_control) || secret.has_control_character() {
        return Err(Error::invalid("the user name or the secret contains a control character"));
    }
    // `docker login` stores what it has just been given by `get`, too: a session, which must not be kept as a login.
    let by_habit = secret.is_jwt();
    let ask = ask(&server, Some(username))?;
    Ok(StoreRequest { by_habit, ..StoreRequest::new(ask, secret) })
}

fn ask(server: &str, username: Option<String>) -> Result<CredentialRequest> {
    let target = Some(target(server)?);
    Ok(CredentialRequest {
        target,
        exact_path: true,
        username,
        carries: AuthForm::PasswordOrBearer,
        ..CredentialRequest::default()
    })
}

/// The place that a server's name stands for.
fn target(server: &str) -> Result<Target> {
    let (scheme, rest) = match server.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
        // Off this machine nothing is served for it.
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
        Some(_) => return Err(Error::invalid("the server URL is neither https nor http")),
        None => (Scheme::Https, server),
    };
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let on_this_machine = Target::from_parts(Scheme::Http, authority, "")?;
    if on_this_machine.origin.is_loopback() {
        return Ok(on_this_machine);
    }
    // Docker keeps the tokens of a login in the browser beside the login itself, under longer names:
    // `…/v1/access-token` (docker/cli, cli/internal/oauth/manager).
    let token = tail.strip_prefix("/v1/").filter(|_| authority == HUB_HOST).unwrap_or_default();
    Target::from_parts(scheme, authority, token)
}

fn encode(call: &Invocation, result: Result<Response>) -> ToolOutput {
    match result {
        Ok(Response::Found(found)) => credential(&call.input, &found),
        Ok(Response::Listed(listed)) => ToolOutput::success(line(&list(&listed))),
        Ok(_) if operation(&call.arguments) == "version" => {
            ToolOutput::success(concat!("docker-credential-my (my-credential-helper) v", env!("CARGO_PKG_VERSION"), "\n"))
        }
        Ok(Response::Nothing) => ToolOutput::default().with_notes(&[
            "the token is a session's and is not kept here: it is served and renewed while you are logged in"
                .to_owned(),
        ]),
        Ok(_) => ToolOutput::default(),
        Err(error) => failure(&error),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Credential<'a> {
    #[serde(rename = "ServerURL")]
    server_url: &'a str,
    username: &'a str,
    secret: &'a str,
}

fn credential(input: &[u8], found: &Resolved) -> ToolOutput {
    let server_url = &server(input).unwrap_or_default();
    let credential =
        Credential { server_url, username: &found.username, secret: found.secret.expose_secret() };
    ToolOutput::success(line(&credential)).with_notes(&found.notes)
}

/// Each host by a name that `get` understands as the same place.
fn list(listed: &[ListEntry]) -> BTreeMap<String, &str> {
    let named = listed.iter().filter_map(|entry| {
        let place = Target::parse(entry.url.as_deref()?).ok()?;
        let host = place.origin.host_and_port();
        let name = if host == HUB_HOST { HUB.to_owned() } else { host };
        (target(&name).ok()? == place).then_some((name, &*entry.username))
    });
    named.collect()
}

/// Docker reads errors from standard output.
fn failure(error: &Error) -> ToolOutput {
    let sentence =
        if error.is_nothing_known() { NOT_FOUND.to_owned() } else { error.one_line_with_hint() };
    ToolOutput { status: 1, ..ToolOutput::success(sentence + "\n") }
}

fn line(value: &impl Serialize) -> String {
    // Strings alone cannot fail to be written.
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::{Invocation, Response, TOOL, target};

    #[test]
    fn every_spelling_of_a_server_is_the_same_place() {
        let place = |server: &str| target(server).unwrap().to_string();
        for server in [
            "h.dev",
            "https://h.dev",
            "https://h.dev/",
            "h.dev/v2/",
            "H.dev:443",
            "HTTPS://h.dev/x?y#z",
        ] {
            assert_eq!(place(server), "https://h.dev", "{server}");
        }
        assert_eq!(place("http://h.dev"), "http://h.dev", "another place: no token goes there");
        assert_eq!(place("h.dev:5000"), "https://h.dev:5000");
        for server in ["127.0.0.1:5000", "http://127.0.0.1:5000", "https://127.0.0.1:5000/v2/"] {
            assert_eq!(place(server), "http://127.0.0.1:5000", "{server}");
        }
        assert_eq!(
            (place("localhost"), place("[::1]:5000")),
            ("http://localhost".into(), "http://[::1]:5000".into())
        );
        for server in
            ["https://index.docker.io/v1/", "https://index.docker.io/v1", "index.docker.io"]
        {
            assert_eq!(place(server), "https://index.docker.io", "{server}");
        }
        assert_ne!(
            place("https://index.docker.io/v1/access-token"),
            place("https://index.docker.io/v1/")
        );
    }

    #[test]
    fn the_version_is_one_line() {
        let call = Invocation { arguments: vec!["version".to_owned()], ..Invocation::default() };
        let answer = (TOOL.encode)(&call, Ok(Response::Nothing));
        assert_eq!((answer.output.lines().count(), answer.status), (1, 0));
        assert!(answer.output.starts_with("docker-credential-my (my-credential-helper) v"));
    }
}
