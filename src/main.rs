//! The thin binary: looks at the name that it was called by, writes the answer, and ends the process.

#![cfg_attr(all(target_os = "linux", target_env = "gnu"), no_main)]

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod start;

use std::io::Write as _;

use my_credential_helper::adapters::Answer;
use my_credential_helper::error::Code;
use my_credential_helper::{call, memory, refresh};

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn main() -> std::process::ExitCode {
    run().into()
}

/// Answers, and returns the exit status.
fn run() -> u8 {
    memory::keep_private();
    let (Answer { output, messages, status }, afterwards) =
        call::answer(&std::env::args_os().collect::<Vec<_>>());
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(output.as_bytes()).and_then(|()| stdout.flush());
    let _ = std::io::stderr().lock().write_all(messages.as_bytes());
    match written {
        // A reader that went away needs no answer.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            let _ = writeln!(
                std::io::stderr(),
                "error: standard output cannot be written: {}",
                error.kind()
            );
            return Code::Internal.exit_status();
        }
        _ => {}
    }
    if let Some(world) = afterwards {
        refresh::weekly(&world);
    }
    status
}
