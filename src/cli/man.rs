//! `man`: prints manual pages, generated from the command line.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Command;
use clap_mangen::Man;

use crate::cli::errors;
use crate::cli::output::Output;
use crate::error::{Error, Result, sanitize};
use crate::model::ToolOutput;

/// The page of the error codes.
const ERRORS: &str = "my-credential-helper-errors.7";

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  my-credential-helper man token create | man -l -\n  \
                        my-credential-helper man --dir ~/.local/share/man/man1")]
pub(super) struct Arguments {
    /// The command [default: an overview of all commands]
    #[arg(value_name = "COMMAND")]
    path: Vec<String>,
    /// Write every page into this directory
    #[arg(long, value_name = "DIR", conflicts_with = "path")]
    dir: Option<PathBuf>,
}

pub(super) fn run(command: Command, arguments: &Arguments, output: &Output) -> Result<ToolOutput> {
    let Arguments { path, dir } = arguments;
    if let Some(dir) = dir {
        write_all(command, dir)?;
        let sentence = format!("Wrote the manual to {}.", dir.display());
        return Ok(output.done(&sentence, &serde_json::json!({ "directory": dir })));
    }
    page(command, path).map(ToolOutput::success)
}

fn page(mut command: Command, path: &[String]) -> Result<String> {
    if path == ["errors"] {
        return Ok(errors::manual());
    }
    command.build();
    let found = path.iter().try_fold(&command, |command, name| command.find_subcommand(name));
    let found = found.ok_or_else(|| {
        Error::invalid(format!("unknown command `{}`", sanitize(&path.join(" "))))
    })?;
    let mut page = Vec::new();
    Man::new(found.clone()).render(&mut page).context("formatting the manual page")?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[expect(clippy::disallowed_methods, reason = "pages in a directory that the user names")]
fn write_all(command: Command, dir: &Path) -> Result<()> {
    let writing = || format!("writing the manual to {}", dir.display());
    std::fs::create_dir_all(dir).with_context(writing)?;
    clap_mangen::generate_to(command, dir).with_context(writing)?;
    let mut file = File::create(dir.join(ERRORS)).with_context(writing)?;
    Ok(file.write_all(errors::manual().as_bytes()).with_context(writing)?)
}
