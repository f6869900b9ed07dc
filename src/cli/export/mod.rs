//! `export`: prints the credential as variables for a shell or a CI system.

mod format;

use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;

use crate::auth::Engine;
use crate::cli::variables::{Assignment, Variables};
use crate::error::{Error, Result};
use crate::model::ToolOutput;

use format::Format;

/// What `export` takes.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  eval \"$(my-credential-helper export --format sh)\"\n  \
                        my-credential-helper export --format fish | source\n  \
                        my-credential-helper export --format github-actions --env GH_TOKEN")]
pub(super) struct Arguments {
    /// For whom
    #[arg(long, value_enum)]
    format: Format,
    #[command(flatten)]
    variables: Variables,
    /// GitHub Actions: a step's output instead of a variable for the steps that follow
    #[arg(long)]
    output: bool,
    /// Print the secret on a terminal too
    #[arg(long)]
    force: bool,
}

pub(super) fn run(engine: &Engine<'_>, arguments: &Arguments) -> Result<ToolOutput> {
    if std::io::stdout().is_terminal() && !arguments.force {
        return Err(Error::invalid("standard output is a terminal, and would show the secret")
            .with_hint(
                "`eval \"$(my-credential-helper export --format sh)\"`, or `--force` to see it",
            ));
    }
    let (assignments, warnings) = arguments.variables.assignments(engine)?;
    let mut output: String =
        assignments.iter().map(|assignment| arguments.format.line(assignment)).collect();
    match arguments.format {
        Format::GithubActions => append_to_file(engine, &assignments, arguments.output)?,
        Format::Json => output = format::json(&assignments),
        _ => {}
    }
    Ok(ToolOutput::success(output).with_warnings(&warnings))
}

/// GitHub reads variables from the file that it names in a variable. Its log contains only the mask.
#[expect(clippy::disallowed_methods, reason = "the CI system reads what is appended in place")]
fn append_to_file(engine: &Engine<'_>, assignments: &[Assignment], is_output: bool) -> Result<()> {
    let name = if is_output { "GITHUB_OUTPUT" } else { "GITHUB_ENV" };
    let path = engine.context.environment.get(name).ok_or_else(|| {
        Error::invalid(format!("{name} is not set"))
            .with_hint("GitHub Actions sets it for every step; elsewhere use `--format sh`")
    })?;
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| format!("opening the file in {name}"))?;
    let lines: String = assignments.iter().map(format::github_line).collect();
    file.write_all(lines.as_bytes()).with_context(|| format!("writing the file in {name}"))?;
    Ok(())
}
