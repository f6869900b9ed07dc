//! The credential-helper protocol of Bazel and others (EngFlow/credential-helper-spec) as two pure functions. Knows no
//! store, no network, no clock.
//!
//! A build may ask for every host that it downloads from, so what is not ours is answered with no headers, and success.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode, Result, attempts, sanitize};
use crate::model::json::reason;
use crate::model::origin::Target;
use crate::model::request::{CredentialRequest, Operation, Resolved, Response};
use crate::model::timestamp::Timestamp;
use crate::protocols::{Input, Invocation, Tool, ToolOutput, json};

/// The line in the table.
pub const TOOL: Tool = Tool {
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

fn decode(call: &Invocation) -> Result<Operation> {
    match call.arguments.first().map(String::as_str) {
        Some("get") => {}
        None => return Err(Error::invalid("usage: bazel-credential-my get")),
        Some(other) => {
            return Err(Error::invalid(format!(
                "unknown command `{}`; the command is get",
                sanitize(other)
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
        return Ok(Operation::Nothing);
    }
    Ok(Operation::Get(CredentialRequest {
        target: Some(Target::parse(&uri)?),
        ..CredentialRequest::default()
    }))
}

fn encode(_: &Invocation, result: Result<Response>) -> ToolOutput {
    match result {
        Ok(Response::Found(found)) => headers(&found).unwrap_or_else(|error| failure(&error)),
        Ok(_) => ToolOutput::success(line(&Headers::default())),
        Err(error) if error.code == ErrorCode::NotFound => {
            let withheld: Vec<_> = error
                .tried
                .into_iter()
                .filter(|tried| tried.outcome.starts_with("withheld"))
                .collect();
            let notes = if withheld.is_empty() { Vec::new() } else { vec![attempts(&withheld)] };
            ToolOutput::success(line(&Headers::default())).with_notes(&notes)
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

fn headers(found: &Resolved) -> Result<ToolOutput> {
    let (name, value) = found.request_header()?;
    // Bazel parses `yyyy-MM-dd'T'HH:mm:ssXXX`: a fraction of a second would fail the build.
    let expires = found.expires_at.map(Timestamp::to_whole_seconds);
    let answer = Headers { headers: [(name, [value.expose_secret()])].into(), expires };
    Ok(ToolOutput::success(line(&answer)).with_notes(&found.notes))
}

/// Bazel shows what a helper says as a part of one line.
fn failure(error: &Error) -> ToolOutput {
    ToolOutput::failure(error.code.exit_status(), error.one_line_with_hint())
}

fn line(headers: &Headers<'_>) -> String {
    // Strings alone cannot fail to be written.
    serde_json::to_string(headers).unwrap_or_default() + "\n"
}
