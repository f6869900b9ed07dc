//! The thin binary: looks at the name that it was called by, writes the answer, and ends the process.

use std::io::Write as _;
use std::process::ExitCode;

use my_credential_helper::adapters::Answer;
use my_credential_helper::{call, refresh};

fn main() -> ExitCode {
    let (Answer { output, messages, status }, afterwards) = call::answer(&std::env::args_os().collect::<Vec<_>>());
    // A reader that went away needs no answer.
    let _ = std::io::stdout().lock().write_all(output.as_bytes());
    let _ = std::io::stderr().lock().write_all(messages.as_bytes());
    if let Some(world) = afterwards {
        refresh::weekly(&world);
    }
    ExitCode::from(status)
}
