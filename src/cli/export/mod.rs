//! `export`: prints the credential as variables for a shell or a CI system.

mod format;

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::auth::Engine;
use crate::cli::variables::{Variables, expiry_of_session};
use crate::error::{Error, Result};
use crate::model::ToolOutput;
use crate::protocols::run;
use crate::sys::atomic_file;

use format::Format;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  eval \"$(my-credential-helper export --format sh)\"\n  \
                        my-credential-helper export --format fish | source\n  \
                        my-credential-helper export --format github-actions --env GH_TOKEN")]
pub(super) struct Arguments {
    /// The format of the output
    #[arg(long, value_enum)]
    format: Format,
    #[command(flatten)]
    variables: Variables,
    /// GitHub Actions: set an output of the step instead of a variable for the following steps
    #[arg(long)]
    output: bool,
    /// Print the secret even if standard output is a terminal
    #[arg(long)]
    force: bool,
    /// Export the token of a session, although nothing refreshes the variable
    #[arg(long)]
    allow_short_lived: bool,
}

pub(super) fn run(engine: &Engine<'_>, arguments: &Arguments) -> Result<ToolOutput> {
    if std::io::stdout().is_terminal() && !arguments.force {
        return Err(Error::invalid("standard output is a terminal, which would show the secret")
            .with_hint(
                "run `eval \"$(my-credential-helper export --format sh)\"`, or use `--force` to print it",
            ));
    }
    let format = arguments.format;
    let (assignments, found) = arguments.variables.assignments(engine, time::Duration::ZERO)?;
    // A session's token expires in the variable, which this program would read instead of the session.
    let is_frozen = format.persists() && assignments.iter().any(|assignment| assignment.is_secret);
    let frozen = expiry_of_session(&found).filter(|_| is_frozen).map(|expiry| {
        format!("the token of a session expires at {expiry}, and nothing refreshes a variable")
    });
    if let Some(message) = &frozen
        && !arguments.allow_short_lived
    {
        return Err(Error::invalid(message).with_hint(
            "`my-credential-helper exec -- COMMAND` gets a valid token for each command; \
             `--allow-short-lived` exports this one",
        ));
    }
    if let Some(one) = assignments.iter().find(|one| !format.can_write(&one.value)) {
        let message = format!("the value of {} contains a quote, which cmd cannot read", one.name);
        return Err(Error::invalid(message).with_hint("use `--format powershell`"));
    }
    let file = match (format, arguments.output) {
        (Format::GithubActions, false) => Some(file_of(engine, "GITHUB_ENV")?),
        (Format::GithubActions, true) => Some(file_of(engine, "GITHUB_OUTPUT")?),
        _ => None,
    };
    // The masks precede all other output. A header contains the secret, too.
    let secrets = assignments.iter().filter(|assignment| assignment.is_secret);
    let values = [&found.credential.secret].into_iter().chain(secrets.map(|one| &one.value));
    let mut masks: Vec<_> = values.map(|value| format.mask(value)).collect();
    masks.dedup();
    run::print(&masks.concat()).context("writing standard output")?;
    let mut output: String = assignments.iter().map(|assignment| format.line(assignment)).collect();
    if let Some((name, path)) = file {
        // GitHub reads variables from this file. Its log contains only the mask.
        let lines: String = assignments.iter().map(format::github_line).collect();
        atomic_file::append(&path, &lines).with_context(|| format!("the file in {name}"))?;
    }
    if format == Format::Json {
        output = format::json(&assignments);
    }
    let output = ToolOutput::success(output).with_warnings(&found.warnings);
    Ok(frozen.into_iter().fold(output, ToolOutput::with_note))
}

/// The file that GitHub names in a variable. Elsewhere, the mask would show the secret.
fn file_of(engine: &Engine<'_>, name: &'static str) -> Result<(&'static str, PathBuf)> {
    let path = engine.context.environment.get(name).ok_or_else(|| {
        Error::invalid(format!("{name} is not set"))
            .with_hint("use `--format github-actions` only in GitHub Actions, which sets the variable; elsewhere use `--format sh`")
    })?;
    let path = PathBuf::from(path);
    if !path.is_absolute() {
        return Err(Error::invalid(format!("{name} is not an absolute path")));
    }
    Ok((name, path))
}
