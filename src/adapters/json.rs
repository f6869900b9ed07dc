//! The helper's own protocol: one JSON object in, one out, on one line (protocol/PROTOCOL.md); and `get --format`, the
//! same answer for scripts. Knows no store, no network, no clock.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::adapters::{self, Adapter, Answer, Call, Input};
use crate::error::{Code, Error, Result, attempts};
use crate::json::reason;
use crate::reply::{Ask, Capabilities, Erase, Found, Listed, Reply, Request, Store};
use crate::secret::Secret;
use crate::target::Target;
use crate::timestamp::Timestamp;

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
    let says_all = |argument: &String| argument.starts_with("--format") || argument.starts_with("--url");
    match arguments.first().map(String::as_str) {
        Some("get") if arguments.iter().any(says_all) => Input::Nothing,
        Some("get" | "store" | "erase") => Input::Object,
        _ => Input::Nothing,
    }
}

fn decode(call: &Call) -> Result<Request> {
    let Arguments { verb, format: _, explain: _, ask } = arguments(&call.arguments)?;
    if call.input.len() > MOST {
        return Err(Error::invalid("the request is larger than 64 KiB"));
    }
    let body = Body::read(&call.input)?;
    let named = body.url.is_some() || body.provider.is_some();
    let ask = body.ask(ask)?;
    match verb {
        "get" => Ok(Request::Get(ask)),
        "list" => Ok(Request::List),
        "capabilities" => Ok(Request::Capabilities),
        _ if !named => Err(Error::invalid(format!("`{verb}` needs a `url` or a `provider`"))),
        "store" => Ok(Request::Store(Store {
            ask,
            secret: body.secret()?.ok_or_else(|| Error::invalid("`store` needs a `secret`"))?,
            refresh_token: token("refresh_token", body.refresh_token.as_deref())?,
            expires_at: body.expires_at()?,
            by_habit: false,
        })),
        _ => Ok(Request::Erase(Erase { ask, secret: body.secret()? })),
    }
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
        let (name, attached) = argument.split_once('=').map_or((argument, None), |(name, value)| (name, Some(value)));
        if name == "--explain" && verb == "get" {
            read.explain = true;
            continue;
        }
        if !matches!(name, "--provider" | "--api-url") && verb != "get" {
            return Err(usage(verb, argument));
        }
        let mut value =
            || attached.or_else(|| arguments.next()).ok_or_else(|| Error::invalid(format!("{name} needs a value")));
        match name {
            "--format" => read.format = format(value()?)?,
            "--url" => read.ask.target = Some(Target::parse(value()?)?),
            "--provider" => read.ask.provider = Some(value()?.to_owned()),
            "--api-url" => read.ask.api_url = Some(value()?.to_owned()),
            "--username" => read.ask.username = Some(value()?.to_owned()),
            _ => return Err(usage(verb, argument)),
        }
    }
    Ok(read)
}

fn usage(verb: &str, argument: &str) -> Error {
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

/// A request as it is sent. Unknown fields are ignored.
#[derive(Default, Deserialize)]
struct Body<'a> {
    version: Option<Value>,
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    provider: Option<Cow<'a, str>>,
    #[serde(borrow)]
    username: Option<Cow<'a, str>>,
    #[serde(borrow)]
    secret: Option<Cow<'a, str>>,
    #[serde(borrow)]
    refresh_token: Option<Cow<'a, str>>,
    #[serde(borrow)]
    expires_at: Option<Cow<'a, str>>,
    min_validity_seconds: Option<u64>,
}

impl<'a> Body<'a> {
    fn read(input: &'a [u8]) -> Result<Self> {
        let text = input.trim_ascii();
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text[0] != b'{' {
            return Err(Error::invalid("the request is no JSON object"));
        }
        // What follows the object is not ours to judge.
        let body = Self::deserialize(&mut serde_json::Deserializer::from_slice(text))
            .map_err(|error| Error::invalid(format!("the request {}", reason(&error))))?;
        match &body.version {
            None => Ok(body),
            Some(version) if version.as_u64() == Some(VERSION) => Ok(body),
            Some(_) => Err(Error::new(Code::UnsupportedVersion, "this program speaks version 1 of the protocol")),
        }
    }

    /// What is asked for, on top of what the arguments said.
    fn ask(&self, arguments: Ask) -> Result<Ask> {
        let named = |name: &str, value: &Option<Cow<'_, str>>| match value {
            Some(text) if text.chars().any(char::is_control) => Err(unprintable(name)),
            other => Ok(other.as_ref().map(ToString::to_string)),
        };
        let target = self.url.as_deref().map(Target::parse).transpose()?;
        let seconds = self.min_validity_seconds.map_or(0, |seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
        Ok(Ask {
            target: target.or(arguments.target),
            provider: named("provider", &self.provider)?.or(arguments.provider),
            username: named("username", &self.username)?.or(arguments.username),
            min_validity: time::Duration::seconds(seconds),
            ..arguments
        })
    }

    fn secret(&self) -> Result<Option<Secret>> {
        token("secret", self.secret.as_deref())
    }

    fn expires_at(&self) -> Result<Option<Timestamp>> {
        let unreadable = || Error::invalid("`expires_at` is no RFC 3339 time");
        self.expires_at.as_deref().map(|text| Timestamp::parse(text).ok_or_else(unreadable)).transpose()
    }
}

/// A secret that could go into a header or a line of another protocol.
fn token(name: &str, text: Option<&str>) -> Result<Option<Secret>> {
    match text {
        Some(text) if text.chars().any(char::is_control) => Err(unprintable(name)),
        other => Ok(other.map(Secret::new)),
    }
}

fn unprintable(name: &str) -> Error {
    Error::invalid(format!("`{name}` contains a control character"))
}

fn encode(call: &Call, result: Result<Reply>) -> Answer {
    let (format, explain) =
        arguments(&call.arguments).map_or((Format::Json, false), |read| (read.format, read.explain));
    match result {
        Ok(Reply::Found(found)) => {
            let mut answer = Answer::success(match format {
                Format::Json => line(found_fields(&found)),
                Format::Raw => format!("{}\n", found.secret.expose_secret()),
                Format::Header => match header(&found) {
                    Some((name, value)) => format!("{name}: {}\n", value.expose_secret()),
                    None => return Answer::failure(1, Error::new(Code::NotFound, "a password goes into no header")),
                },
            });
            if explain {
                answer.messages = format!("tried: {}\n", attempts(&found.tried));
            }
            answer.with_notes(&found.notes)
        }
        Ok(other) => Answer::success(line(fields(other))),
        Err(error) if format == Format::Json => failure(&error),
        Err(error) => Answer::failure(error.code.exit_status(), &error),
    }
}

/// The error as JSON for the program, and in words for the person behind it.
fn failure(error: &Error) -> Answer {
    let mut fields = json!({ "code": error.code.name(), "message": error.one_line() });
    if let Some(hint) = &error.hint {
        fields["hint"] = hint.as_str().into();
    }
    let mut answer = Answer::failure(error.code.exit_status(), error);
    answer.output = line(json!({ "error": fields })).into();
    answer
}

/// One object on one line, the version first.
fn line(mut fields: Value) -> String {
    let mut object = Map::new();
    object.insert("version".to_owned(), VERSION.into());
    if let Some(fields) = fields.as_object_mut() {
        object.append(fields);
    }
    format!("{}\n", Value::Object(object))
}

fn header(found: &Found) -> Option<(&str, Secret)> {
    found.header.as_ref().map(|header| (&*header.name, header.value(&found.secret)))
}

fn found_fields(found: &Found) -> Value {
    let mut fields = json!({
        "kind": found.kind.name(),
        "username": found.username,
        "secret": found.secret.expose_secret(),
        "source": found.source.name(),
    });
    if let Some(provider) = &found.provider {
        fields["provider"] = provider.as_str().into();
    }
    if let Some((name, value)) = header(found) {
        fields["headers"] = json!({ name: [value.expose_secret()] });
    }
    if let Some(end) = found.expires_at {
        fields["expires_at"] = end.to_whole_seconds().into();
    }
    fields
}

fn fields(reply: Reply) -> Value {
    match reply {
        Reply::Found(found) => found_fields(&found),
        Reply::Stored(stored) => json!({ "stored_in": stored.source.name(), "location": stored.location }),
        Reply::Erased(erased) => json!({ "erased": erased }),
        Reply::Listed(listed) => json!({ "credentials": listed.iter().map(listed_fields).collect::<Vec<_>>() }),
        Reply::Capabilities(capabilities) => capabilities_fields(&capabilities),
        Reply::Nothing => json!({}),
    }
}

fn listed_fields(listed: &Listed) -> Value {
    let Listed { url, provider, username, kind, source, expires_at } = listed;
    let mut fields = json!({ "username": username, "kind": kind.name(), "source": source.name() });
    for (name, value) in [("url", url), ("provider", provider)] {
        if let Some(value) = value {
            fields[name] = value.as_str().into();
        }
    }
    if let Some(end) = expires_at {
        fields["expires_at"] = end.to_whole_seconds().into();
    }
    fields
}

fn capabilities_fields(capabilities: &Capabilities) -> Value {
    let stores = capabilities.stores.iter().map(|(source, problem)| {
        let mut fields = json!({ "name": source.name(), "available": problem.is_none() });
        if let Some(reason) = problem {
            fields["reason"] = reason.as_str().into();
        }
        fields
    });
    json!({
        "versions": [VERSION],
        "verbs": ADAPTER.operations,
        "adapters": adapters::ALL.iter().map(|adapter| adapter.name).collect::<Vec<_>>(),
        "stores": stores.collect::<Vec<_>>(),
    })
}
