//! The go command's GOAUTH protocol (`go help goauth`) as two pure functions. Knows no store, no network, no clock.
//!
//! go calls once without arguments, and again with each URL that was answered with a 4xx. It sends the headers to
//! whatever begins with the prefixes above them, so these are places that are configured, and never what was asked for.

use crate::adapters::{Adapter, Answer, Call, Input};
use crate::error::{Error, Result};
use crate::reply::{Ask, Found, Refused, Reply, Request};
use crate::target::{Scheme, Target};

/// The line in the table.
pub const ADAPTER: Adapter = Adapter {
    name: "goauth",
    operations: &[],
    program: None,
    variables: &[],
    input,
    decode,
    encode,
};

fn input(arguments: &[String]) -> Input {
    // With a URL comes the response to it.
    if arguments.is_empty() { Input::Nothing } else { Input::Everything }
}

fn decode(call: &Call) -> Result<Request> {
    match &*call.arguments {
        [] => Ok(Request::Get(Ask { names_places: true, ..Ask::default() })),
        [url] => {
            let target = Target::parse(url)?;
            // go itself asks for nothing else.
            if target.origin.scheme() != Scheme::Https {
                return Ok(Request::Nothing);
            }
            let refused = if is_401(&call.input) { Refused::Said } else { Refused::Unsaid };
            Ok(Request::Get(Ask { target: Some(target), refused, ..Ask::default() }))
        }
        _ => Err(Error::invalid("usage: my-credential-helper goauth [URL]")),
    }
}

/// `HTTP/1.1 401 Unauthorized`. Any 4xx brings go here: most are a 404 for a module that is somewhere else.
fn is_401(response: &[u8]) -> bool {
    let line = response.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.split(|byte| *byte == b' ').nth(1).is_some_and(|status| status == b"401")
}

fn encode(_: &Call, result: Result<Reply>) -> Answer {
    match result {
        Ok(Reply::Found(found)) => match block(&found) {
            Ok(block) => Answer::success(block).with_notes(&found.notes),
            Err(error) => failure(error),
        },
        Ok(_) => Answer::default(),
        // go asks its next command, or goes on without.
        Err(error) if error.is_nothing_known() => Answer::default(),
        Err(error) => failure(error),
    }
}

fn failure(error: Error) -> Answer {
    Answer::failure(error.code.exit_status(), error)
}

/// Prefixes, a blank line, a header, and a blank line again: go insists on both.
fn block(found: &Found) -> Result<String> {
    let is_https = |place: &&Target| place.origin.scheme() == Scheme::Https;
    let prefixes: Vec<_> = found.places.iter().filter(is_https).map(ToString::to_string).collect();
    if prefixes.is_empty() {
        return Ok(String::new());
    }
    let (name, value) = found.request_header()?;
    Ok(format!("{}\n\n{name}: {}\n\n", prefixes.join("\n"), value.expose_secret()))
}
