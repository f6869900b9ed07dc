//! A copy of a tool's configuration for the tool's own command: the text that it would write is known before anything is
//! written.

use std::path::{Path, PathBuf};

use super::edit;
use super::machine::Machine;
use crate::error::Result;
use crate::sys::atomic_file::{self, Policy};

/// A copy of a configuration, which may contain secrets: in a directory that only its owner can look into, and that is
/// removed when it is dropped.
pub(super) struct Copy {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Copy {
    pub(super) fn new(machine: &Machine, text: &str) -> Result<Self> {
        // What a crash leaves in `~/.my` is removed by the next write there.
        let ours = machine.home.join(".my");
        let parent = if ours.is_dir() { &ours } else { &machine.home };
        let directory = atomic_file::temporary_directory(parent)?;
        let path = directory.path().join("configuration");
        atomic_file::prepare(&path, text.len(), Policy::Backup)?.commit(text)?;
        Ok(Self { path, _directory: directory })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The text as it is now. The tool may have replaced or removed the file.
    pub(super) fn text(&self) -> Result<String> {
        Ok(edit::read(&self.path)?.unwrap_or_default())
    }
}
