//! cargo's credential provider protocol as two pure functions (The Cargo Book, "Credential Provider Protocol"): each
//! line of the conversation is a call. Knows no store, no network, no clock.
//!
//! What goes on the wire is the whole value of the header `Authorization`: `Bearer …` for a provider's token, and for
//! another registry what `cargo login` was given, as it is.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode, Result};
use crate::model::json::reason;
use crate::model::origin::Target;
use crate::model::request::{
    AuthForm, CredentialRequest, EraseRequest, Operation, Resolved, Response, StoreRequest,
};
use crate::model::secret::Secret;
use crate::protocols::{Input, Invocation, Tool, ToolOutput};

/// The line in the table.
pub const TOOL: Tool = Tool {
    name: "cargo",
    operations: &[PLUGIN],
    program: Some("cargo-credential-my"),
    variables: &[],
    input,
    decode,
    encode,
};

/// How cargo calls.
const PLUGIN: &str = "--cargo-plugin";

/// The version that is spoken here.
const VERSION: u64 = 1;

/// Said before anything is asked.
const GREETING: &str = "{\"v\":[1]}\n";

fn input(arguments: &[String]) -> Input {
    if arguments.iter().any(|argument| argument == PLUGIN) {
        Input::Conversation(GREETING)
    } else {
        Input::Nothing
    }
}

/// Why a request is not acted on, and the word for it. Only the first two make cargo ask its next provider.
struct Refusal(Word, Error);

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    UrlNotSupported,
    NotFound,
    OperationNotSupported,
    Other,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(Word::Other, error)
    }
}

fn decode(call: &Invocation) -> Result<Operation> {
    if input(&call.arguments) == Input::Nothing {
        return Err(Error::invalid(format!("cargo calls this program, with {PLUGIN}"))
            .with_hint("name it in ~/.cargo/config.toml: `global-credential-providers = [\"cargo-credential-my\"]`"));
    }
    understand(&call.input).map_err(|Refusal(_, error)| error)
}

#[derive(Deserialize)]
struct Version {
    v: u64,
}

#[derive(Deserialize)]
struct Given {
    kind: String,
    registry: Option<Registry>,
    token: Option<Secret>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Registry {
    index_url: String,
}

fn read<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T> {
    serde_json::from_slice(line)
        .map_err(|error| Error::invalid(format!("cargo's request {}", reason(&error))))
}

fn understand(line: &[u8]) -> Result<Operation, Refusal> {
    let Version { v } = read(line)?;
    if v != VERSION {
        let message = format!("version {v} of cargo's credential protocol is not spoken here");
        return Err(Error::new(ErrorCode::UnsupportedVersion, message).into());
    }
    let Given { kind, registry, token } = read(line)?;
    if !matches!(kind.as_str(), "get" | "login" | "logout") {
        let message = format!("there is no operation `{}` here", crate::error::sanitize(&kind));
        return Err(Refusal(Word::OperationNotSupported, Error::invalid(message)));
    }
    let registry = registry.ok_or_else(|| Error::invalid("cargo's request names no registry"))?;
    let target =
        target(&registry.index_url).map_err(|error| Refusal(Word::UrlNotSupported, error))?;
    // What `cargo login` stores is no password, and another tool's password is no token.
    let ask = CredentialRequest {
        target: Some(target),
        carries: AuthForm::WholeValue,
        ..CredentialRequest::default()
    };
    match kind.as_str() {
        "get" => Ok(Operation::Get(ask)),
        "logout" => Ok(Operation::Erase(EraseRequest {
            ask: CredentialRequest { exact_path: true, ..ask },
            secret: None,
        })),
        _ => Ok(Operation::Store(StoreRequest {
            scheme: Some(String::new()),
            ..StoreRequest::new(ask, login_token(token)?)
        })),
    }
}

fn target(index_url: &str) -> Result<Target> {
    let target = Target::parse(index_url.strip_prefix("sparse+").unwrap_or(index_url))?;
    if target.origin.is_safe() {
        Ok(target)
    } else {
        Err(Error::invalid(format!("{} is neither https nor on this machine", target.origin)))
    }
}

fn login_token(token: Option<Secret>) -> Result<Secret> {
    let token = token.filter(|token| !token.is_empty()).ok_or_else(|| {
        Error::invalid("no token was passed, and nothing prompts here").with_hint(
            "`cargo login --registry NAME < FILE` reads one; your provider needs `my-credential-helper login` alone",
        )
    })?;
    if token.has_control_character() {
        return Err(Error::invalid("the token contains a control character"));
    }
    Ok(token)
}

fn encode(call: &Invocation, result: Result<Response>) -> ToolOutput {
    if input(&call.arguments) == Input::Nothing {
        let error = result.err().unwrap_or_else(|| Error::invalid(PLUGIN));
        return ToolOutput::failure(error.code.exit_status(), error);
    }
    let error = match result {
        Ok(Response::Found(found)) => return credential(&found),
        Ok(Response::Erased(true)) => return done(Done::Logout),
        // Another provider may have it.
        Ok(Response::Erased(false)) => Error::new(ErrorCode::NotFound, "nothing is stored for it"),
        Ok(_) => return done(Done::Login),
        Err(error) => error,
    };
    match (understand(&call.input), error.code) {
        (Err(Refusal(word, _)), _) => refused(word, &error),
        (_, ErrorCode::NotFound) => refused(Word::NotFound, &error),
        // cargo's own words are about `cargo login` alone.
        (_, ErrorCode::NotLoggedIn) => {
            refused(Word::NotFound, &error).with_notes(&[error.one_line_with_hint()])
        }
        _ => refused(Word::Other, &error),
    }
}

#[derive(Serialize)]
enum Outcome<'a> {
    Ok(Done<'a>),
    Err(Failure),
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Done<'a> {
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

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Failure {
    kind: Word,
    message: String,
    caused_by: [&'static str; 0],
}

fn credential(found: &Resolved) -> ToolOutput {
    let value = match &found.header {
        Some(header) if !header.name.eq_ignore_ascii_case("Authorization") => {
            let message = format!(
                "its token goes into the header {}, and cargo has none but Authorization",
                header.name
            );
            return refused(Word::UrlNotSupported, &Error::invalid(message));
        }
        Some(header) => header.value(&found.secret),
        None => found.secret.clone(),
    };
    let cache =
        found.expires_at.map_or(Cache::Session, |end| Cache::Expires { expiration: end.unix() });
    let token = value.expose_secret();
    done(Done::Get { token, cache, operation_independent: true }).with_notes(&found.notes)
}

fn done(done: Done<'_>) -> ToolOutput {
    ToolOutput::success(line(&Outcome::Ok(done)))
}

/// The exit status stays 0: cargo takes another one for a program that broke.
fn refused(kind: Word, error: &Error) -> ToolOutput {
    ToolOutput::success(line(&Outcome::Err(Failure {
        kind,
        message: error.one_line_with_hint(),
        caused_by: [],
    })))
}

fn line(outcome: &Outcome<'_>) -> String {
    // Strings, numbers and booleans alone cannot fail to be written.
    serde_json::to_string(outcome).unwrap_or_default() + "\n"
}
