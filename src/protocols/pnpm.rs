//! pnpm's token helper (pnpm.io/npmrc, `tokenHelper`).
//!
//! pnpm does not name the registry, so the request is for the default provider; pnpm sends the token to the URL before
//! `:tokenHelper` in `~/.npmrc`.

use super::Protocol;
use crate::error::{Error, Result};
use crate::model::{
    CredentialRequest, Framing, Header, Invocation, Operation, Resolved, Response, ToolOutput,
};

pub(super) struct Pnpm;

impl Protocol for Pnpm {
    const NAME: &'static str = "pnpm";
    /// pnpm runs a path without arguments.
    const PROGRAM: Option<&'static str> = Some("my-token-helper");

    type Parsed<'a> = ();

    fn framing(_: &[String]) -> Framing {
        Framing::Nothing
    }

    fn decode(invocation: &Invocation) -> ((), Result<Operation>) {
        if invocation.arguments.is_empty() {
            return ((), Ok(Operation::Get(CredentialRequest::default())));
        }
        ((), Err(Error::invalid("pnpm's token helper accepts no arguments")))
    }

    /// pnpm treats an empty output, and any exit status except 0, as an error.
    fn encode((): &(), result: Result<Response>) -> ToolOutput {
        let error = match result {
            Ok(Response::Found(found)) => match bearer(&found) {
                Some(output) => return output,
                None => Error::invalid(format!(
                    "the token of {} is not a Bearer token, and pnpm sends no other kind",
                    found.credential.provider.unwrap_or_default()
                )),
            },
            Ok(_) => Error::invalid("no response for pnpm"),
            Err(error) => error,
        };
        ToolOutput::error(&error)
    }
}

fn bearer(Resolved { credential, warnings, .. }: &Resolved) -> Option<ToolOutput> {
    let header = credential.header.as_ref().filter(|header| Header::is_bearer(header))?;
    let value = header.value(&credential.secret);
    Some(ToolOutput::success(format!("{}\n", value.expose_secret())).with_warnings(warnings))
}
