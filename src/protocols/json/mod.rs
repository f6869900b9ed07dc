//! The JSON protocol of this program (protocol/PROTOCOL.md). For scripts, `get --format` prints the response as text.

mod answer;
mod request;

pub use answer::failure;

use super::{Protocol, split_option};
use crate::error::{Error, ErrorCode, Result, argument_name};
use crate::model::{
    CiLog, CredentialRequest, EraseRequest, Framing, Invocation, Operation, Resolved, Response,
    Secret, StoreRequest, Target, TokenKind, ToolOutput, attempts_line,
};

use request::Body;

pub const NAME: &str = "json";

pub const VERSION: u64 = 1;

pub(super) struct Json;

impl Protocol for Json {
    const NAME: &'static str = NAME;
    const OPERATIONS: &'static [&'static str] = &["get", "store", "erase", "list", "capabilities"];

    const VARIABLES: &'static [&'static str] = &[CiLog::VARIABLES[0].0, CiLog::VARIABLES[1].0];

    type Parsed<'a> = Presentation;

    fn framing(arguments: &[String]) -> Framing {
        // With either of these options, the arguments are the whole request.
        let has_request =
            |argument: &String| argument.starts_with("--format") || argument.starts_with("--url");
        match arguments.first().map(String::as_str) {
            Some("get") if arguments.iter().any(has_request) => Framing::Nothing,
            Some("get" | "store" | "erase") => Framing::Object,
            _ => Framing::Nothing,
        }
    }

    fn decode(invocation: &Invocation) -> (Presentation, Result<Operation>) {
        let is_set = |(name, _): &&(&str, CiLog)| invocation.variables.contains_key(name);
        let log = CiLog::VARIABLES.iter().find(is_set).map(|(_, log)| *log);
        let mut presentation = Presentation { log, ..Presentation::default() };
        let operation = Arguments::parse(&invocation.arguments, &mut presentation)
            .and_then(|arguments| arguments.decode(&invocation.input));
        (presentation, operation)
    }

    fn encode(presentation: &Presentation, result: Result<Response>) -> ToolOutput {
        let error = match result {
            Ok(Response::Found(found)) => return credential(&found, *presentation),
            Ok(response) => {
                let output = ToolOutput::success(answer::line(&response));
                return match &response {
                    Response::Listed(_, warnings) => output.with_warnings(warnings),
                    _ => output,
                };
            }
            Err(error) => error,
        };
        // JSON for a program, and text for a person. No output for a script that expects the token.
        let is_json = presentation.format == Format::Json;
        let output = if is_json { failure(&error) } else { String::new() };
        ToolOutput { output: output.into(), ..ToolOutput::error(&error) }
    }
}

/// The form of the output.
#[derive(Clone, Copy, Default)]
pub(super) struct Presentation {
    format: Format,
    explain: bool,
    /// The CI system whose log must mask the token.
    log: Option<CiLog>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Json,
    Raw,
    Header,
    IdToken,
}

impl Format {
    /// The last format that the arguments name, also if another argument is an error.
    fn of<'a>(arguments: impl Iterator<Item = &'a str>) -> Self {
        let (mut format, mut is_value) = (Self::default(), false);
        for argument in arguments {
            let (name, attached) = split_option(argument);
            let value =
                if is_value { Some(argument) } else { attached.filter(|_| name == "--format") };
            format = value.and_then(|name| Self::parse(name).ok()).unwrap_or(format);
            is_value = !is_value && argument == "--format";
        }
        format
    }

    fn parse(name: &str) -> Result<Self> {
        match name {
            "json" => Ok(Self::Json),
            "raw" => Ok(Self::Raw),
            "header" => Ok(Self::Header),
            "id-token" => Ok(Self::IdToken),
            _ => Err(Error::invalid("--format must be json, raw, header or id-token")),
        }
    }
}

struct Arguments<'a> {
    operation: &'a str,
    request: CredentialRequest,
}

impl<'a> Arguments<'a> {
    /// Sets the presentation also after an error, since it decides where the error is printed.
    fn parse(arguments: &'a [String], presentation: &mut Presentation) -> Result<Self> {
        let mut arguments = arguments.iter().map(String::as_str);
        let operation = arguments.next().unwrap_or_default();
        presentation.format = Format::of(arguments.clone());
        let is_id_token = presentation.format == Format::IdToken;
        let token = if is_id_token { TokenKind::Id } else { TokenKind::Access };
        let mut request = CredentialRequest { token, ..CredentialRequest::default() };
        while let Some(argument) = arguments.next() {
            let (name, attached) = split_option(argument);
            if name == "--explain" && operation == "get" {
                (presentation.explain, request.explain) = (true, true);
                continue;
            }
            if !matches!(name, "--provider" | "--account" | "--api-url") && operation != "get" {
                return Err(unknown_argument(operation, argument));
            }
            let mut value = || {
                let value = attached.or_else(|| arguments.next());
                value.ok_or_else(|| Error::invalid(format!("{name} needs a value")))
            };
            match name {
                "--format" => drop(Format::parse(value()?)?),
                "--url" => request.target = Some(Target::parse(value()?)?),
                "--provider" => request.provider = Some(value()?.to_owned()),
                "--account" => request.account = Some(value()?.to_owned()),
                "--api-url" => request.api_url = Some(value()?.to_owned()),
                "--username" => request.username = Some(value()?.to_owned()),
                _ => return Err(unknown_argument(operation, argument)),
            }
        }
        Ok(Self { operation, request })
    }

    fn decode(self, input: &[u8]) -> Result<Operation> {
        let Self { operation, request } = self;
        if !Json::OPERATIONS.contains(&operation) {
            return Err(Error::invalid(format!(
                "unknown operation `{}`",
                argument_name(operation)
            ))
            .with_hint(format!("the operations are {}", Json::OPERATIONS.join(", "))));
        }
        let body = Body::parse(input)?;
        if let ("erase", Some(url)) = (operation, &body.url) {
            let request = body.request(request)?;
            return Operation::erase(Target::parse(url), url, request, body.secret()?);
        }
        let request = body.request_with_target(request)?;
        match operation {
            "get" => Ok(Operation::Get(request)),
            "list" => Ok(Operation::List),
            "capabilities" => Ok(Operation::Capabilities),
            _ if body.url.is_none() && body.provider.is_none() => {
                Err(Error::invalid(format!("`{operation}` needs a `url` or a `provider`")))
            }
            "store" => {
                let secret = required_secret(&body, &request)?;
                Ok(Operation::Store(StoreRequest {
                    refresh_token: body.refresh_token()?,
                    expires_at: body.expires_at()?,
                    ..StoreRequest::new(request, secret)
                }))
            }
            _ => Ok(Operation::Erase(EraseRequest { request, secret: body.secret()? })),
        }
    }
}

fn unknown_argument(operation: &str, argument: &str) -> Error {
    let operation = argument_name(operation);
    Error::invalid(format!("`{operation}` does not accept `{}`", argument_name(argument)))
        .with_hint(format!("run `my-credential-helper {operation} --help` for its options"))
}

/// The secret. A password may be empty. An empty token is an error: it would replace the session.
fn required_secret(body: &Body, request: &CredentialRequest) -> Result<Secret> {
    let secret = body.secret()?.ok_or_else(|| Error::invalid("`store` needs a `secret`"))?;
    if secret.is_empty() && request.target.is_none() {
        return Err(Error::invalid("`secret` is empty"));
    }
    Ok(secret)
}

fn credential(found: &Resolved, Presentation { format, explain, log }: Presentation) -> ToolOutput {
    let credential = &found.credential;
    let output = match (format, &credential.header) {
        (Format::Json, _) => answer::credential(found),
        (Format::Raw | Format::IdToken, _) => format!("{}\n", credential.secret.expose_secret()),
        (Format::Header, Some(header)) => {
            format!("{}: {}\n", header.name, header.value(&credential.secret).expose_secret())
        }
        (Format::Header, None) => {
            let code = ErrorCode::NotFound;
            let message = "a user name and password cannot be returned as a header";
            return ToolOutput::failure(code.exit_status(), message);
        }
    };
    let tried = || format!("tried: {}\n", attempts_line(&found.attempts));
    let messages = if explain { tried() } else { String::new() };
    // Text is for a script, whose log may show it; JSON is for a program.
    let log = log.filter(|_| format != Format::Json);
    let masks = log.map_or_else(String::new, |log| log.mask(&credential.secret)).into();
    ToolOutput { masks, messages, ..ToolOutput::success(output) }.with_warnings(&found.warnings)
}
