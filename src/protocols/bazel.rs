//! The credential helper protocol of Bazel (EngFlow/credential-helper-spec).
//!
//! Bazel requests a credential for every host that a build downloads from. For a host without a credential, the output
//! is a success without headers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Protocol;
use crate::error::{Error, ErrorCode, Result, argument_name};
use crate::model::{
    CredentialRequest, Framing, Invocation, Operation, Resolved, Response, Target, Timestamp,
    ToolOutput, ToolTraits, json,
};

pub(super) struct Bazel;

impl Protocol for Bazel {
    const NAME: &'static str = "bazel";
    /// Bazel runs a path without arguments.
    const PROGRAM: Option<&'static str> = Some("bazel-credential-my");
    const OPERATIONS: &'static [&'static str] = &["get"];

    type Parsed<'a> = ();

    fn framing(arguments: &[String]) -> Framing {
        let is_get = arguments.first().is_some_and(|operation| operation == "get");
        if is_get { Framing::Object } else { Framing::Nothing }
    }

    fn decode(invocation: &Invocation) -> ((), Result<Operation>) {
        ((), decode(invocation))
    }

    fn encode((): &(), result: Result<Response>) -> ToolOutput {
        let no_headers = || ToolOutput::json(&Headers::default());
        match result {
            Ok(Response::Found(found)) => headers(&found).unwrap_or_else(|error| failure(&error)),
            Ok(_) => no_headers(),
            Err(error) if error.code == ErrorCode::NotFound => {
                error.withheld.iter().fold(no_headers(), ToolOutput::with_note)
            }
            Err(error) => failure(&error),
        }
    }
}

#[derive(Deserialize)]
struct Request {
    uri: String,
}

fn decode(invocation: &Invocation) -> Result<Operation> {
    let operation = invocation.arguments.first();
    let operation =
        operation.ok_or_else(|| Error::invalid("usage: bazel-credential-my get"))?.as_str();
    if operation != "get" {
        let message =
            format!("unknown command `{}`; the only command is get", argument_name(operation));
        return Err(Error::invalid(message));
    }
    let Request { uri } = json::parse_request(&invocation.input)?;
    let Some(target) = Target::parse_if_http(&uri)? else { return Ok(Operation::Nothing) };
    Ok(Operation::Get(CredentialRequest::for_target(target, ToolTraits::default())))
}

#[derive(Default, Serialize)]
struct Headers<'a> {
    headers: BTreeMap<&'a str, [&'a str; 1]>,
    /// Bazel parses `yyyy-MM-dd'T'HH:mm:ssXXX`: a fraction of a second fails the build.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
}

fn headers(found: &Resolved) -> Result<ToolOutput> {
    let (name, value) = found.credential.request_header()?;
    let expires = found.credential.expires_at;
    let headers = Headers { headers: [(name, [value.expose_secret()])].into(), expires };
    Ok(ToolOutput::json(&headers).with_warnings(&found.warnings))
}

/// One line: Bazel prints it inside a line of its own.
fn failure(error: &Error) -> ToolOutput {
    ToolOutput::failure(error.code.exit_status(), error.one_line_with_hint())
}
