//! The go command's GOAUTH protocol (`go help goauth`) as two pure functions. Knows no store, no network, no clock.
//!
//! go calls once without arguments, and again with each URL that was answered with a 4xx. It sends the headers to
//! whatever begins with the prefixes above them, so these are places that are configured, and never what was asked for.

use crate::error::{Error, Result};
use crate::model::origin::{Scheme, Target};
use crate::model::request::{CredentialRequest, Operation, Rejection, Resolved, Response};
use crate::protocols::{Input, Invocation, Tool, ToolOutput};

/// The line in the table.
pub const TOOL: Tool =
    Tool { name: "goauth", operations: &[], program: None, variables: &[], input, decode, encode };

fn input(arguments: &[String]) -> Input {
    // With a URL comes the response to it.
    if arguments.is_empty() { Input::Nothing } else { Input::Everything }
}

fn decode(call: &Invocation) -> Result<Operation> {
    match &*call.arguments {
        [] => Ok(Operation::Get(CredentialRequest {
            names_places: true,
            ..CredentialRequest::default()
        })),
        [url] => {
            let target = Target::parse(url)?;
            // go itself asks for nothing else.
            if target.origin.scheme() != Scheme::Https {
                return Ok(Operation::Nothing);
            }
            let refused = if is_401(&call.input) { Rejection::Said } else { Rejection::Unsaid };
            Ok(Operation::Get(CredentialRequest {
                target: Some(target),
                refused,
                ..CredentialRequest::default()
            }))
        }
        _ => Err(Error::invalid("usage: my-credential-helper goauth [URL]")),
    }
}

/// `HTTP/1.1 401 Unauthorized`. Any 4xx brings go here: most are a 404 for a module that is somewhere else.
fn is_401(response: &[u8]) -> bool {
    let line = response.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.split(|byte| *byte == b' ').nth(1).is_some_and(|status| status == b"401")
}

fn encode(_: &Invocation, result: Result<Response>) -> ToolOutput {
    match result {
        Ok(Response::Found(found)) => match block(&found) {
            Ok(block) => ToolOutput::success(block).with_notes(&found.notes),
            Err(error) => failure(error),
        },
        Ok(_) => ToolOutput::default(),
        // go asks its next command, or goes on without.
        Err(error) if error.is_nothing_known() => ToolOutput::default(),
        Err(error) => failure(error),
    }
}

fn failure(error: Error) -> ToolOutput {
    ToolOutput::failure(error.code.exit_status(), error)
}

/// Prefixes, a blank line, a header, and a blank line again: go insists on both.
fn block(found: &Resolved) -> Result<String> {
    let is_https = |place: &&Target| place.origin.scheme() == Scheme::Https;
    let prefixes: Vec<_> = found.places.iter().filter(is_https).map(ToString::to_string).collect();
    if prefixes.is_empty() {
        return Ok(String::new());
    }
    let (name, value) = found.request_header()?;
    Ok(format!("{}\n\n{name}: {}\n\n", prefixes.join("\n"), value.expose_secret()))
}
