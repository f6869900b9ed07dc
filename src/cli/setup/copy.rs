//! A tool's own command at work on a copy of its configuration: what it would write is known before anything is.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::error::{Error, Result, sanitize};

/// A copy of a configuration, gone when it is dropped.
pub(super) struct Copy {
    file: tempfile::NamedTempFile,
}

impl Copy {
    /// A copy with this text.
    pub(super) fn of(text: &str) -> Result<Self> {
        use std::io::Write as _;
        let mut file = tempfile::NamedTempFile::new().context("a copy of the configuration")?;
        file.write_all(text.as_bytes()).context("a copy of the configuration")?;
        Ok(Self { file })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The text as it is now.
    pub(super) fn text(&self) -> Result<String> {
        // The tool may have put another file in its place.
        Ok(super::edit::read(self.path())?.unwrap_or_default())
    }
}

/// Runs a command to its end; its standard output where it succeeds.
pub(super) fn run(mut command: Command) -> Result<Option<String>> {
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| Error::invalid_state(format!("{}: {}", sanitize(&name), error.kind())))?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// The same for a command that has to succeed.
pub(super) fn must(command: Command) -> Result<String> {
    let described = format!("{command:?}");
    run(command)?
        .ok_or_else(|| Error::invalid_state(format!("this failed: {}", sanitize(&described))))
}
