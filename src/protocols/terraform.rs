//! The credentials helper protocol of terraform and OpenTofu (terraform-svchost, package `auth`).
//!
//! terraform stores a token without a user name; a stored credential with a user name is not a token for terraform.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Protocol;
use crate::error::{Error, Result, argument_name, sanitize};
use crate::model::json::reason;
use crate::model::{
    AuthForm, CredentialRequest, Framing, Invocation, Operation, Origin, Resolved, Response,
    Scheme, Secret, StoreRequest, Target, ToolOutput, ToolTraits,
};

const TRAITS: ToolTraits =
    ToolTraits { exact_path: true, ..ToolTraits::new(AuthForm::PasswordOrBearer) };

pub(super) struct Terraform;

impl Protocol for Terraform {
    const NAME: &'static str = "terraform";
    const PROGRAM: Option<&'static str> = Some("terraform-credentials-my");
    const OPERATIONS: &'static [&'static str] = &["get", "store", "forget"];

    type Parsed<'a> = ();

    fn framing(arguments: &[String]) -> Framing {
        // terraform always writes the input, so invalid input is read to its end, too.
        let is_store = arguments.first().is_some_and(|operation| operation == "store");
        if is_store { Framing::Everything } else { Framing::Nothing }
    }

    fn decode(invocation: &Invocation) -> ((), Result<Operation>) {
        ((), decode(invocation))
    }

    fn encode((): &(), result: Result<Response>) -> ToolOutput {
        match result {
            Ok(Response::Found(found)) => credential(&found),
            Ok(_) => ToolOutput::default(),
            // terraform continues without a credential, and prints the host's own error.
            Err(error) if error.is_no_credential() => ToolOutput::success("{}\n"),
            Err(error) => ToolOutput::error(&error),
        }
    }
}

fn decode(invocation: &Invocation) -> Result<Operation> {
    let [operation, host] = &*invocation.arguments else {
        return Err(Error::invalid("usage: terraform-credentials-my <get|store|forget> HOST"));
    };
    if !Terraform::OPERATIONS.contains(&operation.as_str()) {
        return Err(Error::invalid(format!("unknown operation `{}`", argument_name(operation))));
    }
    let target = Origin::parse(Scheme::Https, host).map(Target::whole_host);
    let username = Some(String::new());
    let request = CredentialRequest { username, ..CredentialRequest::new(TRAITS) };
    if operation == "forget" {
        return Operation::erase(target, host, request, None);
    }
    let request = CredentialRequest { target: Some(target?), ..request };
    match operation.as_str() {
        "get" => Ok(Operation::Get(request)),
        _ => Ok(Operation::Store(StoreRequest::new(request, token(&invocation.input)?))),
    }
}

/// The `token`. Any other property is an error, since it would be lost.
fn token(input: &[u8]) -> Result<Secret> {
    let mut properties: Map<String, Value> = serde_json::from_slice(input)
        .map_err(|error| Error::invalid(format!("standard input {}", reason(&error))))?;
    let token = match properties.remove("token") {
        Some(Value::String(token)) => Secret::new(token),
        _ => return Err(Error::invalid("the credentials have no string `token`")),
    };
    if let Some(property) = properties.keys().next() {
        let message =
            format!("the property `{}` cannot be stored; only `token` can", sanitize(property));
        return Err(Error::invalid(message));
    }
    if token.is_empty() || token.has_control_character() {
        return Err(Error::invalid("the `token` is empty or contains a control character"));
    }
    Ok(token)
}

#[derive(Serialize)]
struct Credential<'a> {
    token: &'a str,
}

fn credential(found: &Resolved) -> ToolOutput {
    ToolOutput::json(&Credential { token: found.credential.secret.expose_secret() })
        .with_warnings(&found.warnings)
}
