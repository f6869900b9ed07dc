//! A copy of a tool's configuration for the tool's own command: the text that it would write is known before anything is
//! written.

use std::path::{Path, PathBuf};

use super::edit;
use super::machine::Machine;
use super::tools::SetupTool;
use crate::error::{Error, Result, sanitize};
use crate::sys::atomic_file::{self, Policy};
use crate::sys::process::Child;

/// A copy of a configuration, which may contain secrets: in a directory that only its owner can look into, and that is
/// removed when it is dropped.
pub(super) struct Copy {
    path: PathBuf,
    /// The configuration itself, for messages.
    file: PathBuf,
    _directory: tempfile::TempDir,
}

impl Copy {
    pub(super) fn new(machine: &Machine, tool: &SetupTool, text: &str) -> Result<Self> {
        // What a crash leaves in `~/.my` is removed by the next write there.
        let ours = machine.home.join(".my");
        let parent = if ours.is_dir() { &ours } else { &machine.home };
        let directory = atomic_file::temporary_directory(parent)?;
        let path = directory.path().join("configuration");
        let copy = Self { path, file: tool.path(machine), _directory: directory };
        copy.set_text(text)?;
        Ok(copy)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a command of the tool on the copy, which has to succeed. An error has the reason of the tool.
    pub(super) fn run(&self, command: Child) -> Result<zeroize::Zeroizing<String>> {
        command.outcome()?.map_err(|reason| {
            let [copy, file] = [&self.path, &self.file].map(|it| sanitize(&it.to_string_lossy()));
            let reason = reason
                .replace(&format!("error loading config file \"{copy}\": "), "")
                .replace(&format!(" in file {copy}"), "")
                .replace(&copy, &file);
            Error::invalid(format!("cannot change {file}: {reason}"))
                .with_hint("correct the file; nothing was changed")
        })
    }

    pub(super) fn set_text(&self, text: &str) -> Result<()> {
        Ok(atomic_file::prepare(&self.path, text.len(), Policy::Backup)?.commit(text)?)
    }

    /// The text as it is now. The tool may have replaced or removed the file.
    pub(super) fn text(&self) -> Result<String> {
        Ok(edit::read(&self.path)?.unwrap_or_default())
    }
}
