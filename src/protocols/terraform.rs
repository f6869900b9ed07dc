//! The credentials helper protocol of terraform and OpenTofu (terraform-svchost, package `auth`) as two pure functions.
//! Knows no store, no network, no clock.
//!
//! What terraform keeps is a token without a user name; a login that has one is somebody else's, and no token.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::{Error, Result, sanitize};
use crate::model::json::reason;
use crate::model::origin::{Scheme, Target};
use crate::model::request::{
    AuthForm, CredentialRequest, EraseRequest, Operation, Resolved, Response, StoreRequest,
};
use crate::model::secret::Secret;
use crate::protocols::{Input, Invocation, Tool, ToolOutput};

/// The line in the table.
pub const TOOL: Tool = Tool {
    name: "terraform",
    operations: &["get", "store", "forget"],
    program: Some("terraform-credentials-my"),
    variables: &[],
    input,
    decode,
    encode,
};

fn operation(arguments: &[String]) -> &str {
    arguments.first().map_or("", String::as_str)
}

fn input(arguments: &[String]) -> Input {
    // terraform writes before it looks whether anybody reads: everything is read even where it is of no use.
    if operation(arguments) == "store" { Input::Everything } else { Input::Nothing }
}

fn decode(call: &Invocation) -> Result<Operation> {
    let usage = || Error::invalid("usage: terraform-credentials-my <get|store|forget> HOST");
    let [operation, host] = &*call.arguments else { return Err(usage()) };
    if !TOOL.operations.contains(&operation.as_str()) {
        return Err(Error::invalid(format!("unknown operation `{}`", sanitize(operation))));
    }
    let target = Some(Target::from_parts(Scheme::Https, host, "")?);
    let username = Some(String::new());
    let ask = CredentialRequest {
        target,
        exact_path: true,
        username,
        carries: AuthForm::PasswordOrBearer,
        ..CredentialRequest::default()
    };
    match operation.as_str() {
        "get" => Ok(Operation::Get(ask)),
        "forget" => Ok(Operation::Erase(EraseRequest { ask, secret: None })),
        _ => Ok(Operation::Store(StoreRequest::new(ask, token(&call.input)?))),
    }
}

/// The one property that can be kept; what else there is would be lost without a word.
fn token(input: &[u8]) -> Result<Secret> {
    let mut given: Map<String, Value> = serde_json::from_slice(input)
        .map_err(|error| Error::invalid(format!("standard input {}", reason(&error))))?;
    let token = match given.remove("token") {
        Some(Value::String(token)) => Secret::new(token),
        _ => return Err(Error::invalid("the credentials have no `token` that is a string")),
    };
    if let Some(property) = given.keys().next() {
        let message =
            format!("the property `{}` cannot be kept; a `token` alone can", sanitize(property));
        return Err(Error::invalid(message));
    }
    if token.is_empty() || token.has_control_character() {
        return Err(Error::invalid("the `token` is empty or contains a control character"));
    }
    Ok(token)
}

fn encode(_: &Invocation, result: Result<Response>) -> ToolOutput {
    match result {
        Ok(Response::Found(found)) => credential(&found),
        // terraform goes on without a credential, and the host says what it thinks of that.
        Err(error) if error.is_nothing_known() => ToolOutput::success("{}\n"),
        Ok(_) => ToolOutput::default(),
        Err(error) => ToolOutput::failure(error.code.exit_status(), error),
    }
}

#[derive(Serialize)]
struct Credential<'a> {
    token: &'a str,
}

fn credential(found: &Resolved) -> ToolOutput {
    let credential = Credential { token: found.secret.expose_secret() };
    // A string cannot fail to be written.
    ToolOutput::success(serde_json::to_string(&credential).unwrap_or_default() + "\n")
        .with_notes(&found.notes)
}
