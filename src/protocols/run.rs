//! One request of a tool from end to end: read standard input, decode, act, encode; and, for a tool that holds a
//! conversation, one after the other.

use std::io::{BufRead as _, ErrorKind, IsTerminal as _, Read as _, Write as _};
use std::time::Duration;

use crate::auth::context::Context;
use crate::auth::operations;
use crate::auth::resolve;
use crate::error::{Error, ErrorCode, Result};
use crate::model::request::{Capabilities, Operation, Response, Source};
use crate::protocols::{Input, Invocation, Tool, ToolOutput, json};

/// A request fits into one such; what holds it is wiped, byte by byte.
const CHUNK: usize = 1024;

/// More than any protocol sends.
const MOST_INPUT: usize = 4 << 20;

/// Answers a tool's call.
pub fn serve(context: &Context, adapter: &Tool, arguments: Vec<String>) -> ToolOutput {
    match (adapter.input)(&arguments) {
        Input::Conversation(greeting) => converse(context, adapter, &arguments, greeting),
        input => answer(context, adapter, arguments, read_input(input)),
    }
}

/// Answers each line as it comes, until the end of the input.
fn converse(context: &Context, adapter: &Tool, arguments: &[String], greeting: &str) -> ToolOutput {
    let mut said = say(greeting);
    while said.is_ok() {
        let line = read_line();
        let (is_end, is_last) = (line.as_ref().is_ok_and(Vec::is_empty), line.is_err());
        if is_end {
            break;
        }
        let ToolOutput { output, messages, .. } =
            answer(context, adapter, arguments.to_vec(), line);
        let _ = std::io::stderr().lock().write_all(messages.as_bytes());
        said = say(&output);
        if is_last {
            break;
        }
    }
    match said {
        // A reader that went away needs no answer.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let message = format!("standard output cannot be written: {}", error.kind());
            ToolOutput::failure(ErrorCode::Internal.exit_status(), message)
        }
        _ => ToolOutput::default(),
    }
}

fn say(text: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush())
}

fn answer(
    context: &Context,
    adapter: &Tool,
    arguments: Vec<String>,
    input: Result<Vec<u8>>,
) -> ToolOutput {
    let (input, unread) =
        input.map_or_else(|error| (Vec::new(), Some(error)), |input| (input, None));
    let variables = adapter
        .variables
        .iter()
        .filter_map(|name| Some((*name, context.environment.text(name)?)))
        .collect();
    let call = Invocation { arguments, variables, input: input.into() };
    // What could not be read must not be taken for an empty request.
    let request = unread.map_or_else(|| (adapter.decode)(&call), Err);
    let result = request.and_then(|request| act(context, request));
    (adapter.encode)(&call, result)
}

/// Does what was asked.
pub fn act(context: &Context, request: Operation) -> Result<Response> {
    match request {
        Operation::Get(ask) => {
            resolve::resolve(context, &ask).map(|found| Response::Found(Box::new(found)))
        }
        Operation::Store(store) => operations::store(context, store),
        Operation::Erase(erase) => operations::erase(context, &erase).map(Response::Erased),
        Operation::List { servable: false } => operations::list(context).map(Response::Listed),
        Operation::List { servable: true } => {
            operations::list_servable(context).map(Response::Listed)
        }
        Operation::Capabilities => capabilities(context).map(Response::Capabilities),
        Operation::Nothing => Ok(Response::Nothing),
    }
}

fn capabilities(context: &Context) -> Result<Capabilities> {
    let keyring =
        context.stores()?.keyring.probe().err().map(|unavailable| unavailable.to_string());
    let file = context.paths.in_home("").err();
    Ok(Capabilities {
        stores: vec![(Source::Environment, None), (Source::Keyring, keyring), (Source::File, file)],
    })
}

/// As much of standard input as belongs to the call; a terminal has none.
fn read_input(input: Input) -> Result<Vec<u8>> {
    let mut stdin = std::io::stdin().lock();
    let mut bytes = Vec::new();
    if input == Input::Nothing || stdin.is_terminal() {
        return Ok(bytes);
    }
    let most = if input == Input::Object { json::MOST } else { MOST_INPUT };
    let mut chunk = zeroize::Zeroizing::new([0; CHUNK]);
    while !is_complete(input, &bytes) {
        match stdin.read(&mut *chunk) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A pipe that does not block has nothing yet.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(1))
            }
            Err(error) => return Err(unreadable(&error)),
        }
        if bytes.len() > most {
            return Err(too_large(most));
        }
    }
    Ok(bytes)
}

/// The next line of standard input; empty at its end.
fn read_line() -> Result<Vec<u8>> {
    let (mut stdin, mut line) = (std::io::stdin().lock(), Vec::new());
    loop {
        let room = (MOST_INPUT + 1 - line.len()) as u64;
        match stdin.by_ref().take(room).read_until(b'\n', &mut line) {
            Ok(_) if line.len() > MOST_INPUT => return Err(too_large(MOST_INPUT)),
            Ok(_) => return Ok(line),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(1))
            }
            Err(error) => return Err(unreadable(&error)),
        }
    }
}

fn unreadable(error: &std::io::Error) -> Error {
    Error::invalid(format!("standard input cannot be read: {}", error.kind()))
}

fn too_large(most: usize) -> Error {
    Error::invalid(format!("the request is larger than {} KiB", most / 1024))
}

fn is_complete(input: Input, bytes: &[u8]) -> bool {
    match input {
        Input::Nothing => true,
        Input::Everything | Input::Conversation(_) => false,
        Input::Paragraph => bytes.ends_with(b"\n\n") || bytes.ends_with(b"\n\r\n"),
        // An object ends where its parser says, and what is no JSON will not become any.
        Input::Object => {
            let mut values =
                serde_json::Deserializer::from_slice(bytes).into_iter::<serde::de::IgnoredAny>();
            values.next().is_some_and(|value| !value.is_err_and(|error| error.is_eof()))
        }
    }
}
