//! One call of a tool from end to end: find its protocol, read standard input, decode, perform, encode. A conversation
//! has one request in each line, and repeats these steps for each line.

use std::io::{BufRead as _, ErrorKind, IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{ALL, Tool, json};
use crate::auth::Engine;
use crate::config::Overrides;
use crate::error::{Error, ErrorCode, Result};
use crate::model::{
    CredentialRequest, Framing, Invocation, MAX_OBJECT, Operation, Rejection, Response, ToolOutput,
};

/// The bytes of one read. Small, since the buffer is wiped byte by byte; most requests need one read.
const CHUNK_SIZE: usize = 512;

/// The largest input of a protocol, in bytes.
const MAX_INPUT: usize = 4 << 20;

/// The delay before a non-blocking pipe is read again.
const POLL_DELAY: Duration = Duration::from_millis(1);

/// The tool for a command line, the options before its operation, and its arguments; `None` for a person's command.
pub fn dispatch(arguments: &[String]) -> Option<(&'static Tool, Overrides, &[String])> {
    let (program, mut rest) = arguments.split_first()?;
    let name = Path::new(program).file_stem()?.to_str()?;
    if let Some(tool) = ALL.iter().find(|tool| tool.program == Some(name)) {
        return Some((tool, Overrides::default(), rest));
    }
    if let Some((tool, provider)) = tool_for_provider(name) {
        let overrides = Overrides { provider: Some(provider.to_owned()), ..Overrides::default() };
        return Some((tool, overrides, rest));
    }
    let mut overrides = Overrides::default();
    while let [option, value, others @ ..] = rest {
        let field = match option.as_str() {
            "--provider" => &mut overrides.provider,
            "--account" => &mut overrides.account,
            "--api-url" => &mut overrides.api_url,
            _ => break,
        };
        *field = Some(value.clone());
        rest = others;
    }
    let (first, others) = rest.split_first()?;
    let json = json_tool();
    if json.operations.contains(&first.as_str()) {
        // The command line for people has the help of these operations.
        return (!others.iter().any(is_help)).then_some((json, overrides, rest));
    }
    Some((tool(first)?, overrides, others))
}

/// The tool and the provider for a link such as `my-token-helper-acme`: pnpm passes neither a host nor arguments.
fn tool_for_provider(name: &str) -> Option<(&'static Tool, &str)> {
    let tool = tool("pnpm")?;
    let provider = name.strip_prefix(tool.program?)?.strip_prefix('-')?;
    Some((tool, provider))
}

pub fn tool(name: &str) -> Option<&'static Tool> {
    ALL.iter().find(|tool| tool.name == name)
}

pub fn json_tool() -> &'static Tool {
    &ALL[0]
}

/// Answers a call of a tool, or prints the usage for `--help`.
pub fn run(engine: &Engine<'_>, tool: &Tool, arguments: &[String]) -> ToolOutput {
    // A protocol may have an operation `--help`.
    if arguments.iter().any(is_help) && !tool.operations.contains(&"--help") {
        return ToolOutput::success(usage(tool));
    }
    let mut arguments = arguments.to_vec();
    if tool.name == json::NAME {
        // Options of every command for people, without effect on a protocol that always prints JSON.
        arguments.retain(|argument| !matches!(argument.as_str(), "--json" | "--quiet" | "-q"));
    }
    match (tool.framing)(&arguments) {
        Framing::Conversation(greeting) => answer_lines(engine, tool, &arguments, greeting),
        framing => answer_input(engine, tool, arguments, read_input(framing)),
    }
}

#[expect(clippy::ptr_arg, reason = "for `Iterator::any`")]
fn is_help(argument: &String) -> bool {
    matches!(argument.as_str(), "--help" | "-h")
}

fn usage(tool: &Tool) -> String {
    let operations = tool.operations.join("|");
    let operations = if operations.is_empty() { operations } else { format!(" <{operations}>") };
    let program =
        tool.program.map_or_else(String::new, |program| format!("       {program}{operations}\n"));
    let whose = if tool.name == json::NAME { "this program, in JSON" } else { tool.name };
    format!(
        "Usage: my-credential-helper {}{operations}\n{program}\nThe protocol of {whose}, on standard input and \
         output. See `my-credential-helper --help` for the commands for people.\n",
        tool.name
    )
}

/// Answers each line when it arrives, until the end of the input or an error.
fn answer_lines(
    engine: &Engine<'_>,
    tool: &Tool,
    arguments: &[String],
    greeting: &str,
) -> ToolOutput {
    let mut written = print(greeting);
    let mut is_last = false;
    while written.is_ok() && !is_last {
        let line = read_line();
        if line.as_ref().is_ok_and(Vec::is_empty) {
            break;
        }
        is_last = line.is_err();
        let ToolOutput { output, messages, .. } =
            answer_input(engine, tool, arguments.to_vec(), line);
        let _ = std::io::stderr().lock().write_all(messages.as_bytes());
        written = print(&output);
    }
    failed_write(written).unwrap_or_default()
}

/// Writes to standard output at once.
pub fn print(text: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush())
}

/// The failure to write standard output; `None` for a closed pipe, whose reader has read enough.
fn failed_write(written: std::io::Result<()>) -> Option<ToolOutput> {
    let kind = written.err()?.kind();
    let message = format!("cannot write to standard output: {kind}");
    let failure = || ToolOutput::failure(ErrorCode::Internal.exit_status(), message);
    (kind != ErrorKind::BrokenPipe).then(failure)
}

/// Writes standard output and standard error, and returns the exit status.
pub fn write(ToolOutput { masks, output, messages, status }: &ToolOutput) -> u8 {
    let warn = |text: &str| std::io::stderr().lock().write_all(text.as_bytes());
    // A terminal is not the log of a job, whatever a variable says, and would show the secret.
    if !std::io::stderr().is_terminal() {
        let _ = warn(masks);
    }
    let failure = failed_write(print(output));
    let _ = warn(messages);
    failure.map_or(*status, |failure| {
        let _ = warn(&failure.messages);
        failure.status
    })
}

fn answer_input(
    engine: &Engine<'_>,
    tool: &Tool,
    arguments: Vec<String>,
    input: Result<Vec<u8>>,
) -> ToolOutput {
    let (input, input_error) = match input {
        Ok(input) => (input, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let environment = &engine.context.environment;
    let variables =
        tool.variables.iter().filter_map(|name| Some((*name, environment.text(name)?))).collect();
    answer(engine, tool, &Invocation { arguments, variables, input: input.into(), input_error })
}

/// The response to a request that `doctor` makes as the tool would. A second one of the same process, as the shell of a
/// person, reports no rejected token.
pub fn examine(engine: &Engine<'_>, tool: &Tool, invocation: &Invocation) -> ToolOutput {
    (tool.answer)(invocation, &mut |operation| {
        engine.perform(match operation {
            Operation::Get(request) => {
                Operation::Get(CredentialRequest { rejection: Rejection::NotReported, ..request })
            }
            operation => operation,
        })
    })
}

/// Decodes an invocation, performs the operation, and encodes the result.
pub fn answer(engine: &Engine<'_>, tool: &Tool, invocation: &Invocation) -> ToolOutput {
    let mut warning = None;
    let output = (tool.answer)(invocation, &mut |operation| {
        let response = engine.perform(operation)?;
        if let Response::Stored(stored) = &response {
            warning.clone_from(&stored.warning);
        }
        Ok(response)
    });
    output.with_warnings(warning.as_slice())
}

/// Reads the part of standard input that belongs to the call; nothing from a terminal.
fn read_input(framing: Framing) -> Result<Vec<u8>> {
    let mut stdin = std::io::stdin().lock();
    let mut bytes = Vec::new();
    if framing == Framing::Nothing || stdin.is_terminal() {
        return Ok(bytes);
    }
    let max = if framing == Framing::Object { MAX_OBJECT } else { MAX_INPUT };
    let mut chunk = Zeroizing::new([0; CHUNK_SIZE]);
    let mut checked = 0;
    while !is_complete(framing, &bytes, checked) {
        checked = bytes.len();
        match stdin.read(&mut *chunk) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(POLL_DELAY),
            Err(error) => return Err(unreadable(&error)),
        }
        if bytes.len() > max {
            return Err(too_large(max));
        }
    }
    Ok(bytes)
}

/// Reads a line of standard input; empty at the end.
fn read_line() -> Result<Vec<u8>> {
    let (mut stdin, mut line) = (std::io::stdin().lock(), Vec::new());
    loop {
        let limit = (MAX_INPUT + 1 - line.len()) as u64;
        match stdin.by_ref().take(limit).read_until(b'\n', &mut line) {
            Ok(_) if line.len() > MAX_INPUT => return Err(too_large(MAX_INPUT)),
            Ok(_) => return Ok(line),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(POLL_DELAY),
            Err(error) => return Err(unreadable(&error)),
        }
    }
}

fn unreadable(error: &std::io::Error) -> Error {
    Error::invalid(format!("cannot read standard input: {}", error.kind()))
}

fn too_large(max: usize) -> Error {
    Error::invalid(format!("the request is larger than {} KiB", max / 1024))
}

/// Whether `bytes` contain the whole request. The first `checked` bytes do not.
fn is_complete(framing: Framing, bytes: &[u8], checked: usize) -> bool {
    match framing {
        Framing::Nothing => true,
        Framing::Everything | Framing::Conversation(_) => false,
        Framing::Paragraph => {
            // Input after an empty line does not belong to the request.
            let is_first = bytes.starts_with(b"\n") || bytes.starts_with(b"\r\n");
            let tail = &bytes[checked.saturating_sub(2)..];
            is_first
                || tail.windows(2).any(|pair| pair == b"\n\n")
                || tail.windows(3).any(|end| end == b"\n\r\n")
        }
        // The parser finds the end of an object. Text that is not JSON is complete: more input does not make it JSON.
        Framing::Object => {
            let mut values =
                serde_json::Deserializer::from_slice(bytes).into_iter::<serde::de::IgnoredAny>();
            values.next().is_some_and(|value| !value.is_err_and(|error| error.is_eof()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{dispatch, is_complete};
    use crate::model::Framing;

    #[test]
    fn an_empty_line_or_the_end_of_the_object_ends_a_request() {
        let complete = |framing, text: &str| {
            let bytes = text.as_bytes();
            let mut reads = (0..bytes.len()).map(|end| is_complete(framing, &bytes[..=end], end));
            assert_eq!(reads.any(|is_complete| is_complete), is_complete(framing, bytes, 0));
            is_complete(framing, bytes, 0)
        };
        for text in ["host=a\n\n", "host=a\r\n\r\n", "host=a\n\nhost=b\n", "host=a\n\r\nhost", "\n"]
        {
            assert!(complete(Framing::Paragraph, text), "{text:?}");
        }
        for text in ["", "host=a\n", "host=a\n\r", "host=a\r\n"] {
            assert!(!complete(Framing::Paragraph, text), "{text:?}");
        }
        assert!(complete(Framing::Object, "{\"uri\":\"u\"}{"));
        assert!(!complete(Framing::Object, "{\"uri\":"));
    }

    fn called(line: &str) -> Option<(&'static str, Option<String>, Vec<String>)> {
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (tool, overrides, rest) = dispatch(&arguments)?;
        Some((tool.name, overrides.provider, rest.to_vec()))
    }

    #[test]
    fn the_program_name_or_the_first_argument_selects_the_protocol() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(called("/x/git-credential-my get"), Some(("git", None, words("get"))));
        assert_eq!(called("my-credential-helper git get"), Some(("git", None, words("get"))));
        assert_eq!(
            called("my-credential-helper get --url u"),
            Some(("json", None, words("get --url u")))
        );
        assert_eq!(
            called("my-credential-helper --provider acme get"),
            Some(("json", Some("acme".to_owned()), words("get")))
        );
        assert_eq!(
            called("/x/my-token-helper-acme get"),
            Some(("pnpm", Some("acme".to_owned()), words("get")))
        );
        let account_commands = [
            "my-credential-helper login",
            "my-credential-helper",
            "my-credential-helper get --help",
        ];
        for line in account_commands {
            assert_eq!(called(line), None, "{line}");
        }
    }
}
