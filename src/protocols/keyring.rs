//! The command line of Python's `keyring` (keyring, keyring/cli.py), which pip and uv run.
//!
//! Python's keyring accepts any text as the service; here the service is a URL or a host, as pip and uv pass it.

use serde::Serialize;

use super::{Protocol, split_option};
use crate::error::{Error, Result, argument_name};
use crate::model::{
    AuthForm, CredentialRequest, Framing, Invocation, Occasion, Operation, Resolved, Response,
    Secret, StoreRequest, Target, ToolOutput, ToolTraits,
};

const HELP: &str = "\
Usage: keyring [--mode password|creds] [--output plain|json] get SERVICE [USER]
       keyring set SERVICE USER      reads the password from standard input
       keyring del SERVICE USER

This is my-credential-helper, a replacement for Python's keyring. SERVICE is a URL or a host.
";

const VERSION: &str = concat!("keyring (my-credential-helper) v", env!("CARGO_PKG_VERSION"), "\n");

const TRAITS: ToolTraits = ToolTraits::new(AuthForm::PasswordOrBearer);

pub(super) struct Keyring;

impl Protocol for Keyring {
    const NAME: &'static str = "keyring";
    const PROGRAM: Option<&'static str> = Some("keyring");
    const OPERATIONS: &'static [&'static str] =
        &["get", "set", "del", "diagnose", "--list-backends", "--version", "--help"];

    type Parsed<'a> = Arguments<'a>;

    fn framing(arguments: &[String]) -> Framing {
        let is_set = Arguments::parse(arguments).is_ok_and(|parsed| parsed.operation == "set");
        if is_set { Framing::Everything } else { Framing::Nothing }
    }

    fn decode(invocation: &Invocation) -> (Arguments<'_>, Result<Operation>) {
        match Arguments::parse(&invocation.arguments) {
            Ok(arguments) => {
                let operation = arguments.decode(&invocation.input);
                (arguments, operation)
            }
            Err(error) => (Arguments::default(), Err(error)),
        }
    }

    fn encode(arguments: &Arguments<'_>, result: Result<Response>) -> ToolOutput {
        match result {
            Ok(Response::Found(found)) => credential(arguments, &found),
            Ok(Response::Erased(false)) => ToolOutput::failure(1, "no credential is stored for it"),
            Ok(Response::Nothing) => arguments.answer(),
            Ok(_) => ToolOutput::default(),
            // pip and uv continue, and prompt.
            Err(error) if arguments.operation == "get" && error.is_no_credential() => {
                ToolOutput { status: 1, ..ToolOutput::default() }
            }
            Err(error) => ToolOutput::error(&error),
        }
    }
}

#[derive(Clone, Copy, Default)]
pub(super) struct Arguments<'a> {
    operation: &'a str,
    service: Option<&'a str>,
    username: Option<&'a str>,
    /// `--mode creds`: the output has the user name, and the request may have none.
    creds: bool,
    json: bool,
}

impl<'a> Arguments<'a> {
    /// Options may be anywhere, with their value after `=` or as the next argument.
    fn parse(arguments: &'a [String]) -> Result<Self> {
        let (mut parsed, mut operation) = (Self::default(), None);
        let mut arguments = arguments.iter().map(String::as_str);
        while let Some(argument) = arguments.next() {
            let (name, attached) = split_option(argument);
            match (name, attached) {
                ("--mode", _) => match attached.or_else(|| arguments.next()) {
                    Some(mode @ ("password" | "creds")) => parsed.creds = mode == "creds",
                    _ => return Err(Error::invalid("--mode must be password or creds")),
                },
                ("--output", _) => match attached.or_else(|| arguments.next()) {
                    Some(format @ ("plain" | "json")) => parsed.json = format == "json",
                    _ => return Err(Error::invalid("--output must be plain or json")),
                },
                ("-h" | "--help", None) => return Ok(Self { operation: "--help", ..parsed }),
                ("-V" | "--version", None) => return Ok(Self { operation: "--version", ..parsed }),
                ("--list-backends", None) => return Ok(Self { operation: name, ..parsed }),
                _ if argument.starts_with('-') && argument.len() > 1 => {
                    return Err(unrecognized(argument));
                }
                _ if operation.is_none() => operation = Some(argument),
                _ if parsed.service.is_none() => parsed.service = Some(argument),
                _ if parsed.username.is_none() => parsed.username = Some(argument),
                _ => return Err(unrecognized(argument)),
            }
        }
        Ok(Self { operation: operation.unwrap_or_default(), ..parsed })
    }

    fn decode(self, input: &[u8]) -> Result<Operation> {
        let Self { operation, service, username, creds, .. } = self;
        match operation {
            "get" | "set" | "del" => {}
            "diagnose" | "--list-backends" | "--version" | "--help" => {
                return Ok(Operation::Nothing);
            }
            _ => return Err(Error::invalid("the operations are get, set, del, diagnose")),
        }
        let service =
            service.ok_or_else(|| Error::invalid(format!("{operation} requires a service")))?;
        if username.is_none() && !(operation == "get" && creds) {
            return Err(Error::invalid(format!("{operation} requires a service and a user name")));
        }
        // A line break would end a line of the plain output.
        if username.is_some_and(|name| name.contains(char::is_control)) {
            return Err(Error::invalid("the user name contains a control character"));
        }
        let username = username.map(str::to_owned);
        let request = CredentialRequest { username, ..CredentialRequest::new(TRAITS) };
        if operation == "del" {
            return Operation::erase(target(service), service, request, None);
        }
        let request = CredentialRequest { target: Some(target(service)?), ..request };
        if operation == "get" { Ok(Operation::Get(request)) } else { store(request, input) }
    }

    /// The output of an operation that needs no credential.
    fn answer(self) -> ToolOutput {
        ToolOutput::success(match self.operation {
            "set" => return ToolOutput::session_not_stored(),
            "--help" => HELP,
            "--version" => VERSION,
            "--list-backends" => "my-credential-helper\n",
            _ => {
                "this is my-credential-helper; run `my-credential-helper status` to see what is stored, and where\n"
            }
        })
    }
}

/// pip searches for `unrecognized arguments`.
fn unrecognized(argument: &str) -> Error {
    let option = Some(argument_name(argument)).filter(|name| name.starts_with("--"));
    let shown = option.unwrap_or("(a value)");
    Error::invalid(format!("unrecognized arguments: {shown}"))
}

fn target(service: &str) -> Result<Target> {
    if service.contains("://") {
        return Target::parse(service);
    }
    let (authority, path) = service.split_once('/').unwrap_or((service, ""));
    Target::from_host(authority, path)
}

fn store(request: CredentialRequest, input: &[u8]) -> Result<Operation> {
    let password =
        std::str::from_utf8(input).map_err(|_| Error::invalid("the password is not UTF-8"))?;
    // One line ending is not part of the password.
    let password = password.strip_suffix('\n').unwrap_or(password);
    let secret = Secret::new(password.strip_suffix('\r').unwrap_or(password));
    if secret.is_empty() {
        return Err(Error::invalid(
            "no password on standard input, and this program does not prompt",
        ));
    }
    if secret.has_control_character() {
        return Err(Error::invalid("the password contains a control character"));
    }
    // pip offers to store the token of a session that `get` has just returned.
    let store = StoreRequest::new(request, secret);
    Ok(Operation::Store(StoreRequest { occasion: Occasion::Login, ..store }))
}

#[derive(Serialize)]
struct Credential<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    password: &'a str,
}

fn credential(arguments: &Arguments<'_>, found: &Resolved) -> ToolOutput {
    let username = arguments.creds.then_some(&*found.credential.username);
    let password = found.credential.secret.expose_secret();
    let output = if arguments.json {
        ToolOutput::json(&Credential { username, password })
    } else {
        let username = username.map(|name| format!("{name}\n")).unwrap_or_default();
        ToolOutput::success(format!("{username}{password}\n"))
    };
    output.with_warnings(&found.warnings)
}

#[cfg(test)]
mod tests {
    use super::{Arguments, target};

    #[test]
    fn a_service_is_a_url_or_a_host() {
        for (service, expected) in [
            ("https://h.dev/simple/", "https://h.dev/simple"),
            ("h.dev", "https://h.dev"),
            ("h.dev:8443", "https://h.dev:8443"),
            ("h.dev/simple", "https://h.dev/simple"),
            ("127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("localhost", "http://localhost"),
            ("https://localhost/", "https://localhost"),
        ] {
            assert_eq!(target(service).unwrap().to_string(), expected, "{service}");
        }
        for service in ["", "my service", "ada@h.dev", "ftp://h.dev", "h.dev\n"] {
            assert!(target(service).is_err(), "{service}");
        }
    }

    #[test]
    fn options_may_be_anywhere() {
        for line in ["--mode=creds --output=json get s u", "get s --mode creds u --output json"] {
            let arguments: Vec<_> = line.split(' ').map(str::to_owned).collect();
            let Arguments { operation, service, username, creds, json } =
                Arguments::parse(&arguments).unwrap();
            assert_eq!((operation, service, username), ("get", Some("s"), Some("u")), "{line}");
            assert!(creds && json, "{line}");
        }
    }
}
