//! The command of Python's `keyring` as two pure functions (keyring, keyring/cli.py): what pip and uv run. Knows no
//! store, no network, no clock.
//!
//! Where Python's keyring takes any word as the service, here it is a URL or a host: that is what pip and uv name, and
//! what a credential is bound to.

use serde::Serialize;

use crate::error::{Error, Result, sanitize};
use crate::model::origin::{Scheme, Target};
use crate::model::request::{
    AuthForm, CredentialRequest, EraseRequest, Operation, Resolved, Response, StoreRequest,
};
use crate::model::secret::Secret;
use crate::protocols::{Input, Invocation, Tool, ToolOutput};

/// The line in the table.
pub const TOOL: Tool = Tool {
    name: "keyring",
    operations: &["get", "set", "del", "diagnose", "--list-backends", "--version", "--help"],
    program: Some("keyring"),
    variables: &[],
    input,
    decode,
    encode,
};

const HELP: &str = "\
Usage: keyring [--mode password|creds] [--output plain|json] get SERVICE [USER]
       keyring set SERVICE USER      reads the password from standard input
       keyring del SERVICE USER

This is my-credential-helper, in the place of Python's keyring. SERVICE is a URL or a host.
";

struct Arguments<'a> {
    operation: &'a str,
    service: Option<&'a str>,
    username: Option<&'a str>,
    /// The user name is told as well, and need not be named.
    creds: bool,
    json: bool,
}

/// Options stand anywhere, with their value behind `=` or as the next word.
fn arguments(words: &[String]) -> Result<Arguments<'_>> {
    let mut read =
        Arguments { operation: "", service: None, username: None, creds: false, json: false };
    let (mut operation, mut words) = (None, words.iter().map(String::as_str));
    while let Some(word) = words.next() {
        let (name, attached) =
            word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        match (name, attached) {
            ("--mode" | "--output", _) => match (name, attached.or_else(|| words.next())) {
                ("--mode", Some(mode @ ("password" | "creds"))) => read.creds = mode == "creds",
                ("--output", Some(format @ ("plain" | "json"))) => read.json = format == "json",
                _ => return Err(Error::invalid(format!("{name} is {}", choices(name)))),
            },
            ("-h" | "--help", None) => return Ok(Arguments { operation: "--help", ..read }),
            ("-V" | "--version", None) => return Ok(Arguments { operation: "--version", ..read }),
            ("--list-backends", None) => {
                return Ok(Arguments { operation: "--list-backends", ..read });
            }
            _ if word.starts_with('-') && word.len() > 1 => return Err(unrecognized(word)),
            _ if operation.is_none() => operation = Some(word),
            _ if read.service.is_none() => read.service = Some(word),
            _ if read.username.is_none() => read.username = Some(word),
            _ => return Err(unrecognized(word)),
        }
    }
    Ok(Arguments { operation: operation.unwrap_or_default(), ..read })
}

fn choices(option: &str) -> &'static str {
    if option == "--mode" { "password or creds" } else { "plain or json" }
}

/// pip looks for these words.
fn unrecognized(word: &str) -> Error {
    Error::invalid(format!("unrecognized arguments: {}", sanitize(word)))
}

fn input(words: &[String]) -> Input {
    let is_set = arguments(words).is_ok_and(|read| read.operation == "set");
    if is_set { Input::Everything } else { Input::Nothing }
}

fn decode(call: &Invocation) -> Result<Operation> {
    let Arguments { operation, service, username, creds, .. } = arguments(&call.arguments)?;
    match operation {
        "get" | "set" | "del" => {}
        "diagnose" | "--list-backends" | "--version" | "--help" => return Ok(Operation::Nothing),
        _ => return Err(Error::invalid("the operations are get, set, del, diagnose")),
    }
    let service =
        service.ok_or_else(|| Error::invalid(format!("{operation} requires a service")))?;
    if username.is_none() && !(operation == "get" && creds) {
        return Err(Error::invalid(format!("{operation} requires a service and a user name")));
    }
    // In an answer of lines it would begin one of its own.
    if username.is_some_and(|name| name.contains(char::is_control)) {
        return Err(Error::invalid("the user name contains a control character"));
    }
    let ask = CredentialRequest {
        target: Some(target(service)?),
        username: username.map(str::to_owned),
        carries: AuthForm::PasswordOrBearer,
        ..CredentialRequest::default()
    };
    match operation {
        "get" => Ok(Operation::Get(ask)),
        "set" => store(ask, &call.input),
        _ => Ok(Operation::Erase(EraseRequest { ask, secret: None })),
    }
}

/// A host alone means https, or http on this machine.
fn target(service: &str) -> Result<Target> {
    if service.contains("://") {
        return Target::parse(service);
    }
    let (authority, path) = service.split_once('/').unwrap_or((service, ""));
    let on_this_machine = Target::from_parts(Scheme::Http, authority, path)?;
    if on_this_machine.origin.is_loopback() {
        return Ok(on_this_machine);
    }
    Target::from_parts(Scheme::Https, authority, path)
}

fn store(ask: CredentialRequest, input: &[u8]) -> Result<Operation> {
    let password =
        std::str::from_utf8(input).map_err(|_| Error::invalid("the password is not UTF-8"))?;
    // One end of a line is the writer's.
    let password = password.strip_suffix('\n').unwrap_or(password);
    let secret = Secret::new(password.strip_suffix('\r').unwrap_or(password));
    if secret.is_empty() {
        return Err(Error::invalid(
            "there is no password on standard input, and nothing prompts here",
        ));
    }
    if secret.has_control_character() {
        return Err(Error::invalid("the password contains a control character"));
    }
    // pip offers to keep what it has just been given: a session, which must not be kept as a login.
    let by_habit = secret.is_jwt();
    Ok(Operation::Store(StoreRequest { by_habit, ..StoreRequest::new(ask, secret) }))
}

fn encode(call: &Invocation, result: Result<Response>) -> ToolOutput {
    let read = match arguments(&call.arguments) {
        Ok(read) => read,
        Err(error) => return ToolOutput::failure(error.code.exit_status(), error),
    };
    match result {
        Ok(Response::Found(found)) => credential(&read, &found),
        Ok(Response::Erased(false)) => ToolOutput::failure(1, "no login is stored for it"),
        Ok(Response::Nothing) if read.operation == "set" => ToolOutput::default().with_notes(&[
            "the token is a session's and is not kept here: it is served and renewed while you are logged in"
                .to_owned(),
        ]),
        Ok(Response::Nothing) => ToolOutput::success(told(read.operation)),
        Ok(_) => ToolOutput::default(),
        // pip and uv go on, and ask the person.
        Err(error) if read.operation == "get" && error.is_nothing_known() => ToolOutput { status: 1, ..ToolOutput::default() },
        Err(error) => ToolOutput::failure(error.code.exit_status(), error),
    }
}

#[derive(Serialize)]
struct Credential<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    password: &'a str,
}

fn credential(read: &Arguments<'_>, found: &Resolved) -> ToolOutput {
    let username = read.creds.then_some(&*found.username);
    let password = found.secret.expose_secret();
    let output = if read.json {
        // Strings alone cannot fail to be written.
        serde_json::to_string(&Credential { username, password }).unwrap_or_default() + "\n"
    } else {
        let user = username.map(|name| format!("{name}\n")).unwrap_or_default();
        format!("{user}{password}\n")
    };
    ToolOutput::success(output).with_notes(&found.notes)
}

/// What was asked about the program itself.
fn told(operation: &str) -> &'static str {
    match operation {
        "--help" => HELP,
        "--version" => concat!("keyring (my-credential-helper) v", env!("CARGO_PKG_VERSION"), "\n"),
        "--list-backends" => "my-credential-helper\n",
        _ => {
            "this is my-credential-helper; `my-credential-helper status` tells what is kept, and where\n"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{arguments, target};

    #[test]
    fn a_service_is_a_url_or_a_host() {
        for (service, place) in [
            ("https://h.dev/simple/", "https://h.dev/simple/"),
            ("h.dev", "https://h.dev"),
            ("h.dev:8443", "https://h.dev:8443"),
            ("h.dev/simple", "https://h.dev/simple"),
            ("127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("localhost", "http://localhost"),
            ("https://localhost/", "https://localhost"),
        ] {
            assert_eq!(target(service).unwrap().to_string(), place, "{service}");
        }
        for service in ["", "my service", "ada@h.dev", "ftp://h.dev", "h.dev\n"] {
            assert!(target(service).is_err(), "{service}");
        }
    }

    #[test]
    fn options_stand_anywhere() {
        for line in ["--mode=creds --output=json get s u", "get s --mode creds u --output json"] {
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            let read = arguments(&words).unwrap();
            assert_eq!(
                (read.operation, read.service, read.username),
                ("get", Some("s"), Some("u")),
                "{line}"
            );
            assert!(read.creds && read.json, "{line}");
        }
    }
}
