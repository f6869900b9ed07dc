//! The credential-helper protocol of Bazel and others (EngFlow/credential-helper-spec) as two pure functions. Knows no
//! store, no network, no clock.
//!
//! A build may ask for every host that it downloads from, so what is not ours is answered with no headers, and success.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::adapters::{Adapter, Answer, Call, Input, json};
use crate::error::{Code, Error, Result, attempts, shown};
use crate::json::reason;
use crate::reply::{Ask, Found, Reply, Request};
use crate::target::Target;
use crate::timestamp::Timestamp;

/// The line in the table.
pub const ADAPTER: Adapter = Adapter {
    name: "bazel",
    operations: &["get"],
    // Bazel takes a path and no arguments.
    program: Some("bazel-credential-my"),
    variables: &[],
    input,
    decode,
    encode,
};

fn input(arguments: &[String]) -> Input {
    if arguments.first().is_some_and(|operation| operation == "get") {
        Input::Object
    } else {
        Input::Nothing
    }
}

#[derive(Deserialize)]
struct Given {
    uri: String,
}

fn decode(call: &Call) -> Result<Request> {
    match call.arguments.first().map(String::as_str) {
        Some("get") => {}
        None => return Err(Error::invalid("usage: bazel-credential-my get")),
        Some(other) => {
            return Err(Error::invalid(format!(
                "unknown command `{}`; the command is get",
                shown(other)
            )));
        }
    }
    if call.input.len() > json::MOST {
        return Err(Error::invalid("the request is larger than 64 KiB"));
    }
    let Given { uri } = Given::deserialize(&mut serde_json::Deserializer::from_slice(&call.input))
        .map_err(|error| Error::invalid(format!("the request {}", reason(&error))))?;
    let scheme = uri.split_once("://").map_or("", |(scheme, _)| scheme);
    if !["https", "http"].iter().any(|ours| scheme.eq_ignore_ascii_case(ours)) {
        return Ok(Request::Nothing);
    }
    Ok(Request::Get(Ask { target: Some(Target::parse(&uri)?), ..Ask::default() }))
}

fn encode(_: &Call, result: Result<Reply>) -> Answer {
    match result {
        Ok(Reply::Found(found)) => headers(&found).unwrap_or_else(|error| failure(&error)),
        Ok(_) => Answer::success(line(&Headers::default())),
        Err(error) if error.code == Code::NotFound => {
            let withheld: Vec<_> = error
                .tried
                .into_iter()
                .filter(|tried| tried.outcome.starts_with("withheld"))
                .collect();
            let notes = if withheld.is_empty() { Vec::new() } else { vec![attempts(&withheld)] };
            Answer::success(line(&Headers::default())).with_notes(&notes)
        }
        Err(error) => failure(&error),
    }
}

#[derive(Default, Serialize)]
struct Headers<'a> {
    headers: BTreeMap<&'a str, [&'a str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

fn headers(found: &Found) -> Result<Answer> {
    let (name, value) = found.request_header()?;
    // Bazel parses `yyyy-MM-dd'T'HH:mm:ssXXX`: a fraction of a second would fail the build.
    let expires = found.expires_at.map(Timestamp::to_whole_seconds);
    let answer = Headers { headers: [(name, [value.expose_secret()])].into(), expires };
    Ok(Answer::success(line(&answer)).with_notes(&found.notes))
}

/// Bazel shows what a helper says as a part of one line.
fn failure(error: &Error) -> Answer {
    Answer::failure(error.code.exit_status(), error.one_line_with_hint())
}

fn line(headers: &Headers<'_>) -> String {
    // Strings alone cannot fail to be written.
    serde_json::to_string(headers).unwrap_or_default() + "\n"
}
