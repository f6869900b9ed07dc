//! pnpm's token helper as two pure functions (pnpm.io/npmrc, `tokenHelper`). Knows no store, no network, no clock.
//!
//! pnpm says nothing, not even for which registry it asks, so that the default provider is meant; where the token goes
//! is what the user wrote before `:tokenHelper` in `~/.npmrc`.

use crate::error::{Error, Result};
use crate::model::provider::Header;
use crate::model::request::{CredentialRequest, Operation, Resolved, Response};
use crate::protocols::{Input, Invocation, Tool, ToolOutput};

/// The line in the table. pnpm takes a path without arguments, hence the name.
pub const TOOL: Tool = Tool {
    name: "pnpm",
    operations: &[],
    program: Some("my-token-helper"),
    variables: &[],
    input: |_| Input::Nothing,
    decode,
    encode,
};

fn decode(call: &Invocation) -> Result<Operation> {
    if call.arguments.is_empty() {
        Ok(Operation::Get(CredentialRequest::default()))
    } else {
        Err(Error::invalid("pnpm's token helper takes no arguments"))
    }
}

/// An empty answer is an error for pnpm, as any exit status but 0 is.
fn encode(_: &Invocation, result: Result<Response>) -> ToolOutput {
    let error = match result {
        Ok(Response::Found(found)) if found.header.as_ref().is_some_and(Header::is_bearer) => {
            return bearer(&found);
        }
        Ok(Response::Found(found)) => Error::invalid(format!(
            "the token of {} is no Bearer token, and pnpm carries no other",
            found.provider.unwrap_or_default()
        )),
        Ok(_) => Error::invalid("there is nothing to tell pnpm"),
        Err(error) => error,
    };
    ToolOutput::failure(error.code.exit_status(), error)
}

fn bearer(found: &Resolved) -> ToolOutput {
    let value = Header::BEARER.value(&found.secret);
    ToolOutput::success(format!("{}\n", value.expose_secret())).with_notes(&found.notes)
}
