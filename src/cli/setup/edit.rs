//! A change of one file, and where its backup is.

use std::path::{Path, PathBuf};

use super::layout;
use super::machine::Machine;
use super::tools::{Removal, SetupTool};
use crate::error::{Error, Result};
use crate::model::HostPattern;
use crate::sys::atomic_file::{self, FileError, Policy};

/// Frozen: backups of earlier versions have this suffix.
const BACKUP: &str = ".before-my-credential-helper";

/// A planned change of a file. `None` is no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) path: PathBuf,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    pub(super) policy: Policy,
}

/// The text without our entries for `hosts`, or without all of them if `hosts` is empty.
pub(super) fn without_ours(
    machine: &Machine,
    tool: &SetupTool,
    hosts: &[HostPattern],
    text: &str,
) -> Result<String> {
    undone(machine, tool, hosts, None, text)
}

/// As [`without_ours`], with the text before the setup, if it is known.
pub(super) fn undone(
    machine: &Machine,
    tool: &SetupTool,
    hosts: &[HostPattern],
    original: Option<&str>,
    text: &str,
) -> Result<String> {
    layout::edit(text, |plain| (tool.remove)(&Removal { machine, hosts, original }, plain))
}

/// Writes or removes the backup of a file. A link is not followed: the folder may be a repository of somebody else.
pub(super) fn backup(path: &Path, after: Option<String>) -> Result<Edit> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(BACKUP);
    let path = path.with_file_name(name);
    if path.is_symlink() {
        return Err(Error::invalid(format!("{} {}", path.display(), FileError::Link)));
    }
    Ok(Edit { before: read(&path)?, path, after, policy: Policy::Backup })
}

/// The text; `None` where there is no file.
pub(in crate::cli) fn read(path: &Path) -> Result<Option<String>> {
    atomic_file::read_configuration(path).map_err(|error| {
        let it = if matches!(error, FileError::Io(_)) { "" } else { "it " };
        Error::invalid(format!("cannot read {}: {it}{error}", path.display()))
    })
}
