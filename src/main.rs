//! The thin binary: looks at the name that it was called by, writes the answer, and ends the process.

#![cfg_attr(all(target_os = "linux", target_env = "gnu"), no_main)]

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod start;

use std::io::Write as _;

use my_credential_helper::auth::refresh;
use my_credential_helper::error::ErrorCode;
use my_credential_helper::protocols::ToolOutput;
use my_credential_helper::protocols::dispatch;
use my_credential_helper::sys::hardening;

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn main() -> std::process::ExitCode {
    run().into()
}

/// Answers, and returns the exit status.
fn run() -> u8 {
    hardening::keep_private();
    let (ToolOutput { output, messages, status }, afterwards) =
        dispatch::answer(&std::env::args_os().collect::<Vec<_>>());
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
            return ErrorCode::Internal.exit_status();
        }
        _ => {}
    }
    if let Some(context) = afterwards {
        refresh::weekly(&context);
    }
    status
}
