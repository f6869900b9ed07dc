//! cargo's credential provider protocol (The Cargo Book, "Credential Provider Protocol"): each line of input is a call.
//!
//! cargo sends the secret as the whole value of the header `Authorization`: `Bearer …` for a provider's token, and the
//! text that `cargo login` stored for another registry.

use serde::{Deserialize, Serialize};

use super::Protocol;
use crate::error::{Error, ErrorCode, Result, sanitize};
use crate::model::json::reason;
use crate::model::{
    AuthForm, CredentialRequest, Framing, Invocation, Operation, Resolved, Response, Secret,
    StoreRequest, Target, ToolOutput, ToolTraits,
};

const PLUGIN: &str = "--cargo-plugin";

const VERSION: u64 = 1;

const HINT: &str =
    "add it to ~/.cargo/config.toml: `global-credential-providers = [\"cargo-credential-my\"]`";

/// Sent before the first request.
const GREETING: &str = "{\"v\":[1]}\n";

/// `cargo login` stores no password, and the password of another tool is not a token.
const TRAITS: ToolTraits = ToolTraits::new(AuthForm::WholeValue);

pub(super) struct Cargo;

impl Protocol for Cargo {
    const NAME: &'static str = "cargo";
    const PROGRAM: Option<&'static str> = Some("cargo-credential-my");
    const OPERATIONS: &'static [&'static str] = &[PLUGIN];

    type Parsed<'a> = Call;

    fn framing(arguments: &[String]) -> Framing {
        let is_plugin = arguments.iter().any(|argument| argument == PLUGIN);
        if is_plugin { Framing::Conversation(GREETING) } else { Framing::Nothing }
    }

    fn decode(invocation: &Invocation) -> (Call, Result<Operation>) {
        if Self::framing(&invocation.arguments) == Framing::Nothing {
            let error = Error::invalid(format!("this program is run by cargo, with {PLUGIN}"));
            return (Call::Manual, Err(error.with_hint(HINT)));
        }
        match decode(&invocation.input) {
            Ok(operation) => (Call::Request, Ok(operation)),
            Err(Rejected(kind, error)) => (Call::Rejected(kind), Err(error)),
        }
    }

    fn encode(call: &Call, result: Result<Response>) -> ToolOutput {
        let error = match result {
            Ok(Response::Found(found)) => return credential(&found),
            Ok(Response::Erased(true)) => return success(Success::Logout),
            // cargo's next provider may have the credential.
            Ok(Response::Erased(false)) => {
                Error::new(ErrorCode::NotFound, "no credential is stored for it")
            }
            Ok(_) => return success(Success::Login),
            Err(error) => error,
        };
        match (call, error.code) {
            (Call::Manual, code) => ToolOutput::failure(code.exit_status(), error),
            (Call::Rejected(kind), _) => failure(*kind, &error),
            (_, ErrorCode::NotFound) => failure(ErrorKind::NotFound, &error),
            // cargo's own message mentions only `cargo login`.
            (_, ErrorCode::NotLoggedIn) => {
                failure(ErrorKind::NotFound, &error).with_note(error.one_line_with_hint())
            }
            _ => failure(ErrorKind::Other, &error),
        }
    }
}

pub(super) enum Call {
    /// A call by a person, without cargo's argument.
    Manual,
    Request,
    /// A request that is not performed.
    Rejected(ErrorKind),
}

/// cargo's names of errors. cargo calls its next provider only after the first two.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ErrorKind {
    UrlNotSupported,
    NotFound,
    OperationNotSupported,
    Other,
}

struct Rejected(ErrorKind, Error);

impl From<Error> for Rejected {
    fn from(error: Error) -> Self {
        Self(ErrorKind::Other, error)
    }
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

#[derive(Deserialize)]
struct Request {
    kind: String,
    registry: Option<Registry>,
    token: Option<Secret>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Registry {
    index_url: String,
}

fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T> {
    serde_json::from_slice(line)
        .map_err(|error| Error::invalid(format!("cargo's request {}", reason(&error))))
}

fn decode(line: &[u8]) -> Result<Operation, Rejected> {
    // Another version may have fields of other types.
    let Version { v } = parse(line)?;
    if v != VERSION {
        let message = format!("unsupported version {v} of cargo's credential protocol");
        return Err(Error::new(ErrorCode::UnsupportedVersion, message).into());
    }
    let Request { kind, registry, token } = parse(line)?;
    if !matches!(kind.as_str(), "get" | "login" | "logout") {
        let message = format!("unsupported operation `{}`", sanitize(&kind));
        return Err(Rejected(ErrorKind::OperationNotSupported, Error::invalid(message)));
    }
    let registry = registry.ok_or_else(|| Error::invalid("cargo's request has no registry"))?;
    let url = registry.index_url.strip_prefix("sparse+").unwrap_or(&registry.index_url);
    let rejected = |error| Rejected(ErrorKind::UrlNotSupported, error);
    if kind == "logout" {
        let request = CredentialRequest::new(ToolTraits { exact_path: true, ..TRAITS });
        return Operation::erase(target(url), url, request, None).map_err(rejected);
    }
    let request = CredentialRequest::for_target(target(url).map_err(rejected)?, TRAITS);
    match kind.as_str() {
        "get" => Ok(Operation::Get(request)),
        _ => Ok(Operation::Store(StoreRequest {
            scheme: Some(String::new()),
            ..StoreRequest::new(request, login_token(token)?)
        })),
    }
}

fn target(url: &str) -> Result<Target> {
    let target = Target::parse(url)?;
    if target.origin.is_safe() {
        return Ok(target);
    }
    Err(Error::invalid(format!("{} is neither https nor a loopback address", target.origin)))
}

fn login_token(token: Option<Secret>) -> Result<Secret> {
    let token = token.filter(|token| !token.is_empty()).ok_or_else(|| {
        Error::invalid("no token was passed, and this program does not prompt").with_hint(
            "run `cargo login --registry NAME < FILE`; for your provider, `my-credential-helper login` is enough",
        )
    })?;
    if token.has_control_character() {
        return Err(Error::invalid("the token contains a control character"));
    }
    Ok(token)
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Failure {
    kind: ErrorKind,
    message: String,
    caused_by: [&'static str; 0],
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Success<'a> {
    Get {
        token: &'a str,
        #[serde(flatten)]
        cache: Cache,
        operation_independent: bool,
    },
    Login,
    Logout,
}

#[derive(Serialize)]
#[serde(tag = "cache", rename_all = "lowercase")]
enum Cache {
    Expires { expiration: i64 },
    Session,
}

fn credential(Resolved { credential, warnings, .. }: &Resolved) -> ToolOutput {
    let value = match &credential.header {
        Some(header) if !header.name.eq_ignore_ascii_case("Authorization") => {
            let message = format!(
                "its token is sent in the header {}, and cargo sends only Authorization",
                header.name
            );
            return failure(ErrorKind::UrlNotSupported, &Error::invalid(message));
        }
        Some(header) => header.value(&credential.secret),
        None => credential.secret.clone(),
    };
    let cache = match credential.expires_at {
        Some(expires_at) => Cache::Expires { expiration: expires_at.unix() },
        None => Cache::Session,
    };
    let token = value.expose_secret();
    success(Success::Get { token, cache, operation_independent: true }).with_warnings(warnings)
}

fn success(success: Success<'_>) -> ToolOutput {
    ToolOutput::json(&Ok::<_, Failure>(success))
}

/// The exit status is 0: after any other status, cargo reports that the program crashed.
fn failure(kind: ErrorKind, error: &Error) -> ToolOutput {
    let message = error.one_line_with_hint();
    ToolOutput::json(&Err::<Success<'_>, _>(Failure { kind, message, caused_by: [] }))
}
