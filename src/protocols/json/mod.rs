//! The helper's own protocol: one JSON object in, one out, on one line (protocol/PROTOCOL.md); and `get --format`, the
//! same answer for scripts. Knows no store, no network, no clock.

mod answer;
mod request;

pub use answer::failure;

use crate::error::{Error, ErrorCode, Result, attempts};
use crate::model::origin::Target;
use crate::model::request::{
    CredentialRequest, EraseRequest, Operation, Resolved, Response, StoreRequest,
};
use crate::model::secret::Secret;
use crate::protocols::{Input, Invocation, Tool, ToolOutput};

use request::{Body, token};

/// The only version so far.
pub const VERSION: u64 = 1;

/// No request is larger.
pub const MOST: usize = 64 * 1024;

/// The line in the table.
pub const TOOL: Tool = Tool {
    name: "json",
    operations: &["get", "store", "erase", "list", "capabilities"],
    program: None,
    variables: &[],
    input,
    decode,
    encode,
};

/// With `--format` or `--url` the arguments are the request.
fn input(arguments: &[String]) -> Input {
    let says_all =
        |argument: &String| argument.starts_with("--format") || argument.starts_with("--url");
    match arguments.first().map(String::as_str) {
        Some("get") if arguments.iter().any(says_all) => Input::Nothing,
        Some("get" | "store" | "erase") => Input::Object,
        _ => Input::Nothing,
    }
}

fn decode(call: &Invocation) -> Result<Operation> {
    let Arguments { verb, format: _, explain: _, ask } = arguments(&call.arguments)?;
    if !TOOL.operations.contains(&verb) {
        return Err(Error::invalid(format!("there is no verb `{}`", crate::error::sanitize(verb)))
            .with_hint(format!("the verbs are {}", TOOL.operations.join(", "))));
    }
    if call.input.len() > MOST {
        return Err(Error::invalid("the request is larger than 64 KiB"));
    }
    let body = Body::read(&call.input)?;
    let named = body.url.is_some() || body.provider.is_some();
    let ask = body.ask(ask)?;
    match verb {
        "get" => Ok(Operation::Get(ask)),
        "list" => Ok(Operation::List { servable: false }),
        "capabilities" => Ok(Operation::Capabilities),
        _ if !named => Err(Error::invalid(format!("`{verb}` needs a `url` or a `provider`"))),
        "store" => Ok(Operation::Store(StoreRequest {
            secret: needed_secret(&body, &ask)?,
            ask,
            scheme: None,
            refresh_token: token("refresh_token", body.refresh_token.as_deref())?,
            expires_at: body.expires_at()?,
            by_habit: false,
        })),
        _ => Ok(Operation::Erase(EraseRequest { ask, secret: body.secret()? })),
    }
}

/// A password may be empty; an empty token would only stand in the way of the session.
fn needed_secret(body: &Body<'_>, ask: &CredentialRequest) -> Result<Secret> {
    let secret = body.secret()?.ok_or_else(|| Error::invalid("`store` needs a `secret`"))?;
    if secret.is_empty() && ask.target.is_none() {
        return Err(Error::invalid("an empty `secret` is no token"));
    }
    Ok(secret)
}

struct Arguments<'a> {
    verb: &'a str,
    format: Format,
    explain: bool,
    ask: CredentialRequest,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Raw,
    Header,
}

fn arguments(arguments: &[String]) -> Result<Arguments<'_>> {
    let mut arguments = arguments.iter().map(String::as_str);
    let verb = arguments.next().unwrap_or_default();
    let mut read =
        Arguments { verb, format: Format::Json, explain: false, ask: CredentialRequest::default() };
    while let Some(argument) = arguments.next() {
        let (name, attached) =
            argument.split_once('=').map_or((argument, None), |(name, value)| (name, Some(value)));
        if name == "--explain" && verb == "get" {
            read.explain = true;
            continue;
        }
        if !matches!(name, "--provider" | "--account" | "--api-url") && verb != "get" {
            return Err(usage(verb, argument));
        }
        let mut value = || {
            attached
                .or_else(|| arguments.next())
                .ok_or_else(|| Error::invalid(format!("{name} needs a value")))
        };
        match name {
            "--format" => read.format = format(value()?)?,
            "--url" => read.ask.target = Some(Target::parse(value()?)?),
            "--provider" => read.ask.provider = Some(value()?.to_owned()),
            "--account" => read.ask.account = Some(value()?.to_owned()),
            "--api-url" => read.ask.api_url = Some(value()?.to_owned()),
            "--username" => read.ask.username = Some(value()?.to_owned()),
            _ => return Err(usage(verb, argument)),
        }
    }
    Ok(read)
}

fn usage(verb: &str, argument: &str) -> Error {
    let verb = crate::error::sanitize(verb);
    Error::invalid(format!("`{verb}` does not take `{}`", crate::error::sanitize(argument)))
        .with_hint(format!("`my-credential-helper {verb} --help` tells what it takes"))
}

fn format(name: &str) -> Result<Format> {
    match name {
        "json" => Ok(Format::Json),
        "raw" => Ok(Format::Raw),
        "header" => Ok(Format::Header),
        _ => Err(Error::invalid("--format is json, raw or header")),
    }
}

fn encode(call: &Invocation, result: Result<Response>) -> ToolOutput {
    let (format, explain) = arguments(&call.arguments)
        .map_or((Format::Json, false), |read| (read.format, read.explain));
    match result {
        Ok(Response::Found(found)) => {
            let explanation = if explain {
                format!("tried: {}\n", attempts(&found.tried))
            } else {
                String::new()
            };
            match credential(&found, format) {
                Ok(output) => ToolOutput { messages: explanation, ..ToolOutput::success(output) }
                    .with_notes(&found.notes),
                Err(error) => ToolOutput::failure(error.code.exit_status(), error),
            }
        }
        Ok(other) => ToolOutput::success(answer::reply(&other)),
        Err(error) => {
            // As JSON for the program, and in words for the person behind it.
            let output = if format == Format::Json { failure(&error) } else { String::new() };
            ToolOutput {
                output: output.into(),
                ..ToolOutput::failure(error.code.exit_status(), &error)
            }
        }
    }
}

fn credential(found: &Resolved, format: Format) -> Result<String> {
    match format {
        Format::Json => Ok(answer::credential(found)),
        Format::Raw => Ok(format!("{}\n", found.secret.expose_secret())),
        Format::Header => {
            let none =
                || Error::new(ErrorCode::NotFound, "a user name and a password go into no header");
            let header = found.header.as_ref().ok_or_else(none)?;
            Ok(format!("{}: {}\n", header.name, header.value(&found.secret).expose_secret()))
        }
    }
}
