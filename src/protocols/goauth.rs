//! The go command's GOAUTH protocol (`go help goauth`).
//!
//! go calls the helper once without arguments, and again with each URL that a server answered with a 4xx. go sends the
//! header to every URL that starts with one of the prefixes, so the prefixes are configured hosts, never the URL of the
//! request. go follows redirects to any host, and removes only `Authorization` and cookies from a request to another
//! host (net/http, `shouldCopyHeaderOnRedirect`): this program returns no token for any other header.

use super::Protocol;
use crate::error::{Error, Result};
use crate::model::{
    CredentialRequest, Framing, Invocation, Operation, Rejection, Resolved, Response, Scheme,
    Target, ToolOutput, ToolTraits,
};

pub(super) struct GoAuth;

impl Protocol for GoAuth {
    const NAME: &'static str = "goauth";

    type Parsed<'a> = ();

    /// The input is the server's response to the URL.
    fn framing(arguments: &[String]) -> Framing {
        if arguments.is_empty() { Framing::Nothing } else { Framing::Everything }
    }

    fn decode(invocation: &Invocation) -> ((), Result<Operation>) {
        ((), decode(invocation))
    }

    fn encode((): &(), result: Result<Response>) -> ToolOutput {
        let output = match result {
            Ok(Response::Found(found)) => credential(&found),
            Ok(_) => Ok(ToolOutput::default()),
            // go runs its next command, or continues without a credential.
            Err(error) if error.is_no_credential() => Ok(ToolOutput::default()),
            Err(error) => Err(error),
        };
        output.unwrap_or_else(|error| ToolOutput::error(&error))
    }
}

fn decode(invocation: &Invocation) -> Result<Operation> {
    match &*invocation.arguments {
        [] => {
            let tool = ToolTraits { needs_prefixes: true, ..ToolTraits::default() };
            Ok(Operation::Get(CredentialRequest::new(tool)))
        }
        [url] => {
            let target = Target::parse(url)?;
            // go itself uses only https.
            if target.origin.scheme() != Scheme::Https {
                return Ok(Operation::Nothing);
            }
            let is_rejection = is_401(&invocation.input);
            let rejection = if is_rejection { Rejection::Reported } else { Rejection::NotReported };
            let request = CredentialRequest::for_target(target, ToolTraits::default());
            Ok(Operation::Get(CredentialRequest { rejection, ..request }))
        }
        _ => Err(Error::invalid("usage: my-credential-helper goauth [URL]")),
    }
}

/// Whether the status is 401. go calls after any 4xx; most are a 404 for a module of another host.
fn is_401(response: &[u8]) -> bool {
    let line = response.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.split(|byte| *byte == b' ').nth(1).is_some_and(|status| status == b"401")
}

/// Prefixes, a blank line, a header, and a blank line: go requires both blank lines.
fn credential(Resolved { credential, warnings, .. }: &Resolved) -> Result<ToolOutput> {
    let is_https = |prefix: &&Target| prefix.origin.scheme() == Scheme::Https;
    let prefixes = credential.prefixes.iter().filter(is_https).map(ToString::to_string);
    let prefixes = prefixes.collect::<Vec<_>>().join("\n");
    let mut output = ToolOutput::default();
    if !prefixes.is_empty() {
        let (name, value) = credential.request_header()?;
        if !name.eq_ignore_ascii_case("Authorization") {
            let note = format!(
                "the token belongs in the header {name}, which go forwards on a redirect to any host"
            );
            return Ok(output.with_note(note).with_warnings(warnings));
        }
        let value = value.expose_secret();
        output = ToolOutput::success(format!("{prefixes}\n\n{name}: {value}\n\n"));
    }
    Ok(output.with_warnings(warnings))
}
