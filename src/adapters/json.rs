//! The helper's own protocol: one JSON object in, one out, on one line (protocol/PROTOCOL.md); and `get --format`, the
//! same answer for scripts. Knows no store, no network, no clock.

mod answer;
mod request;

pub use answer::failure;

use crate::adapters::{Adapter, Answer, Call, Input};
use crate::error::{Code, Error, Result, attempts};
use crate::reply::{Ask, Erase, Found, Reply, Request, Store};
use crate::secret::Secret;
use crate::target::Target;

use request::{Body, token};

/// The only version so far.
pub const VERSION: u64 = 1;

/// No request is larger.
pub const MOST: usize = 64 * 1024;

/// The line in the table.
pub const ADAPTER: Adapter = Adapter {
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

fn decode(call: &Call) -> Result<Request> {
    let Arguments { verb, format: _, explain: _, ask } = arguments(&call.arguments)?;
    if !ADAPTER.operations.contains(&verb) {
        return Err(Error::invalid(format!("there is no verb `{}`", crate::error::shown(verb)))
            .with_hint(format!("the verbs are {}", ADAPTER.operations.join(", "))));
    }
    if call.input.len() > MOST {
        return Err(Error::invalid("the request is larger than 64 KiB"));
    }
    let body = Body::read(&call.input)?;
    let named = body.url.is_some() || body.provider.is_some();
    let ask = body.ask(ask)?;
    match verb {
        "get" => Ok(Request::Get(ask)),
        "list" => Ok(Request::List { servable: false }),
        "capabilities" => Ok(Request::Capabilities),
        _ if !named => Err(Error::invalid(format!("`{verb}` needs a `url` or a `provider`"))),
        "store" => Ok(Request::Store(Store {
            secret: needed_secret(&body, &ask)?,
            ask,
            scheme: None,
            refresh_token: token("refresh_token", body.refresh_token.as_deref())?,
            expires_at: body.expires_at()?,
            by_habit: false,
        })),
        _ => Ok(Request::Erase(Erase { ask, secret: body.secret()? })),
    }
}

/// A password may be empty; an empty token would only stand in the way of the session.
fn needed_secret(body: &Body<'_>, ask: &Ask) -> Result<Secret> {
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
    ask: Ask,
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
    let mut read = Arguments { verb, format: Format::Json, explain: false, ask: Ask::default() };
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
    let verb = crate::error::shown(verb);
    Error::invalid(format!("`{verb}` does not take `{}`", crate::error::shown(argument)))
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

fn encode(call: &Call, result: Result<Reply>) -> Answer {
    let (format, explain) = arguments(&call.arguments)
        .map_or((Format::Json, false), |read| (read.format, read.explain));
    match result {
        Ok(Reply::Found(found)) => {
            let explanation = if explain {
                format!("tried: {}\n", attempts(&found.tried))
            } else {
                String::new()
            };
            match credential(&found, format) {
                Ok(output) => Answer { messages: explanation, ..Answer::success(output) }
                    .with_notes(&found.notes),
                Err(error) => Answer::failure(error.code.exit_status(), error),
            }
        }
        Ok(other) => Answer::success(answer::reply(&other)),
        Err(error) => {
            // As JSON for the program, and in words for the person behind it.
            let output = if format == Format::Json { failure(&error) } else { String::new() };
            Answer { output: output.into(), ..Answer::failure(error.code.exit_status(), &error) }
        }
    }
}

fn credential(found: &Found, format: Format) -> Result<String> {
    match format {
        Format::Json => Ok(answer::credential(found)),
        Format::Raw => Ok(format!("{}\n", found.secret.expose_secret())),
        Format::Header => {
            let none =
                || Error::new(Code::NotFound, "a user name and a password go into no header");
            let header = found.header.as_ref().ok_or_else(none)?;
            Ok(format!("{}: {}\n", header.name, header.value(&found.secret).expose_secret()))
        }
    }
}
