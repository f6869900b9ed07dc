//! `exec`: runs a command with the credential in its environment. On Unix the command replaces this process and keeps
//! its working directory and environment; the exit status, the signals and the terminal are the command's. Standard
//! input is not read.

use std::ffi::OsString;
use std::process::Command;

use crate::auth::Engine;
use crate::cli::variables::{Assignment, Variables, expiry_of_session};
use crate::error::{Error, Result};
use crate::model::ToolOutput;
use crate::sys::os;

/// The requested validity. A session is refreshed if its token has neither this validity nor half of its lifetime left.
const LIFETIME: time::Duration = time::Duration::HOUR;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  my-credential-helper exec -- ./deploy.sh\n  \
                        my-credential-helper exec --env GITHUB_TOKEN -- gh release list\n  \
                        my-credential-helper exec --env AUTH=header -- make publish")]
pub(super) struct Arguments {
    #[command(flatten)]
    variables: Variables,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(super) fn run(engine: &Engine<'_>, arguments: &Arguments) -> Result<ToolOutput> {
    // Without a credential, the command is not started.
    let (assignments, found) = arguments.variables.assignments(engine, LIFETIME)?;
    // The command cannot get a new token through its environment.
    if let Some(expiry) = expiry_of_session(&found) {
        super::terminal::print(&format!(
            "note: the token of the session expires at {expiry}; a command that runs longer needs another one"
        ));
    }
    let (program, rest) =
        arguments.command.split_first().ok_or_else(|| Error::invalid("no command given"))?;
    #[expect(clippy::disallowed_methods, reason = "the user names the program, and where it runs")]
    let mut command = Command::new(program);
    command.args(rest);
    for Assignment { name, value, .. } in &assignments {
        command.env(name, value.expose_secret());
    }
    for warning in found.warnings {
        super::terminal::print(&format!("note: {warning}"));
    }
    let run = |status| ToolOutput { status, ..ToolOutput::default() };
    os::run_instead(&mut command).map(run).or_else(|error| {
        let is_missing = error.kind() == std::io::ErrorKind::NotFound;
        let why =
            if is_missing { "command not found".to_owned() } else { error.kind().to_string() };
        let message =
            format!("cannot run `{}`: {why}", crate::error::sanitize(&program.to_string_lossy()));
        let error_for_people = Error::invalid(message)
            .with_hint("pass a program on PATH, or the path of a program, after `--`");
        // The exit statuses of env(1), nohup(1) and every shell for a program that is missing, or that cannot be run.
        let status = if is_missing { 127 } else { 126 };
        Ok(ToolOutput::failure(status, error_for_people))
    })
}
