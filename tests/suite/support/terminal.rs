//! The helper in a real pseudo-terminal.

use std::process::Command;

use rexpect::process::WaitStatus;
use rexpect::session::PtySession;

use super::Home;

/// Starts a program in a terminal of 24 lines.
pub(crate) fn in_terminal(home: &Home, mut command: Command) -> PtySession {
    command.env("TERM", "xterm").current_dir(home.path());
    rexpect::session::spawn_command(command, Some(9000)).expect("a pseudo-terminal")
}

/// Waits for its end, and gives its exit status.
pub(crate) fn status_of(session: &mut PtySession) -> i32 {
    session.exp_eof().expect("the end");
    match session.process().wait() {
        Ok(WaitStatus::Exited(_, status)) => status,
        other => panic!("{other:?}"),
    }
}
