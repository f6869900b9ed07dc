//! `man`: prints manual pages, generated from the command line.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Command;
use clap_mangen::Man;

use crate::cli::output::Output;
use crate::cli::{ENVIRONMENT, errors};
use crate::error::{Error, Result, sanitize};
use crate::model::ToolOutput;

/// The page of the error codes.
const ERRORS: &str = "my-credential-helper-errors.7";

/// On Linux; macOS and Windows have another directory for the configuration.
const FILES: &[(&str, &str)] = &[
    (
        "~/.config/my-credential-helper/config.toml",
        "The configuration; `my-credential-helper config path` prints its path on this system.",
    ),
    ("~/.my/config.json", "The API URL of mycli, shared with the `my` command line."),
    (
        "~/.my/credentials.json",
        "The session with mycli, if it is not in the keyring; shared with the `my` command line.",
    ),
    ("~/.my/sessions/", "The sessions with other accounts and providers, and their locks."),
    ("~/.my/logins/", "The credentials that are stored for a URL."),
];

const STATUSES: &[(&str, &str)] = &[
    ("0", "Success."),
    (
        "1",
        "No credential: not logged in, nothing stored, or the session expired. Or a failure of this machine.",
    ),
    ("2", "A malformed request, or a request that is not allowed."),
    ("3", "A temporary failure: the network, a lock or the keyring did not answer in time."),
    ("4", "The service rejected the request."),
    ("126, 127", "Only `exec`: the command cannot be run, or is not found."),
    ("130", "`login` was interrupted."),
];

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  my-credential-helper man token create | man -l -\n  \
                        my-credential-helper man --dir ~/.local/share/man")]
pub(super) struct Arguments {
    /// The command [default: an overview of all commands]
    #[arg(value_name = "COMMAND")]
    path: Vec<String>,
    /// Write every page into the directory of its section, `man1` or `man7`, in this directory
    #[arg(long, value_name = "DIR", conflicts_with = "path")]
    dir: Option<PathBuf>,
}

pub(super) fn run(command: Command, arguments: &Arguments, output: &Output) -> Result<ToolOutput> {
    let Arguments { path, dir } = arguments;
    let mut command = command.disable_help_subcommand(true);
    command.build();
    if let Some(dir) = dir {
        write_all(&command, dir)?;
        let sentence = format!("Wrote the manual to {}.", dir.display());
        return Ok(output.done(&sentence, &serde_json::json!({ "directory": dir })));
    }
    if path == &["errors"] {
        return Ok(ToolOutput::success(errors::manual()));
    }
    let found = path.iter().try_fold(&command, |command, name| command.find_subcommand(name));
    let found = found.ok_or_else(|| {
        Error::invalid(format!("unknown command `{}`", sanitize(&path.join(" "))))
    })?;
    page(found).map(ToolOutput::success)
}

/// The page of a command, with the sections that all pages share.
fn page(command: &Command) -> Result<String> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page).context("formatting the manual page")?;
    let mut page = String::from_utf8_lossy(&page).into_owned();
    let variables = ENVIRONMENT.lines().filter_map(|line| line.trim().split_once("  "));
    for (heading, entries) in [
        ("ENVIRONMENT", variables.collect()),
        ("FILES", FILES.to_vec()),
        ("\"EXIT STATUS\"", STATUSES.to_vec()),
    ] {
        let _ = writeln!(page, ".SH {heading}");
        for (name, text) in entries {
            let _ = write!(page, ".TP\n{}\n{}\n", errors::roff(name), errors::roff(text.trim()));
        }
    }
    Ok(page)
}

#[expect(clippy::disallowed_methods, reason = "pages in a directory that the user names")]
fn write_all(command: &Command, dir: &Path) -> Result<()> {
    let writing = || format!("writing the manual to {}", dir.display());
    let mut pages = vec![(format!("man7/{ERRORS}"), errors::manual())];
    let mut commands = vec![command];
    while let Some(command) = commands.pop() {
        let name = command.get_display_name().unwrap_or(command.get_name());
        pages.push((format!("man1/{name}.1"), page(command)?));
        commands.extend(command.get_subcommands().filter(|command| !command.is_hide_set()));
    }
    for folder in ["man1", "man7"] {
        std::fs::create_dir_all(dir.join(folder)).with_context(writing)?;
    }
    for (name, page) in pages {
        let mut file = File::create(dir.join(name)).with_context(writing)?;
        file.write_all(page.as_bytes()).with_context(writing)?;
    }
    Ok(())
}
