//! A change of one file, and where its backup is.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml_edit::{DocumentMut, Item, TableLike, TomlError};

use super::layout;
use super::machine::Machine;
use super::tools::{Removal, SetupTool};
use crate::config::toml_reason;
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

impl Edit {
    /// Of a file of the user or of a tool.
    pub(super) fn new(path: PathBuf, before: Option<String>, after: Option<String>) -> Self {
        Self { path, before, after, policy: Policy::Preserve }
    }

    pub(super) fn is_change(&self) -> bool {
        self.before != self.after
    }
}

/// A record of `setup`, in a JSON file beside the folder of our links.
pub(super) struct Record<T> {
    path: PathBuf,
    before: Option<String>,
    pub(super) value: T,
}

impl<T: Default + Serialize + DeserializeOwned> Record<T> {
    pub(super) fn load(machine: &Machine, name: &str) -> Result<Self> {
        let path = machine.own_folder().with_file_name(name);
        let before = read(&path)?;
        let unreadable = |_| {
            Error::invalid(format!("cannot read {}", path.display())).with_hint("remove the file")
        };
        let value = before.as_deref().map(serde_json::from_str).transpose().map_err(unreadable)?;
        Ok(Self { value: value.unwrap_or_default(), path, before })
    }

    /// The change of the file, which is removed if the record is empty; `None` if nothing changes.
    pub(super) fn edit(self, is_empty: bool) -> Option<Edit> {
        let text = || serde_json::to_string_pretty(&self.value).unwrap_or_default() + "\n";
        let edit = Edit::new(self.path, self.before, (!is_empty).then(text));
        edit.is_change().then_some(edit)
    }
}

/// The text without our entries.
pub(super) fn without_ours(machine: &Machine, tool: &SetupTool, text: &str) -> Result<String> {
    undone(machine, tool, &[], None, text)
}

/// The text without our entries for `hosts`, or without all of them if `hosts` is empty. The text before the setup may be
/// known.
pub(super) fn undone(
    machine: &Machine,
    tool: &SetupTool,
    hosts: &[HostPattern],
    original: Option<&str>,
    text: &str,
) -> Result<String> {
    layout::edit(text, |plain| (tool.remove)(&Removal { machine, hosts, original }, plain))
}

/// Whether a configuration has entries of ours.
pub(super) fn has_ours(machine: &Machine, tool: &SetupTool, text: &str) -> Result<bool> {
    Ok(without_ours(machine, tool, text)? != text)
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

/// Parses the text of a file.
pub(in crate::cli) fn parse_toml(path: &Path, text: &str) -> Result<DocumentMut> {
    text.parse().map_err(|error: TomlError| {
        let reason = toml_reason(text, error.span(), error.message());
        Error::invalid(format!("cannot read {}: {reason}", path.display()))
            .with_hint("correct the file")
    })
}

/// Changes a table, and removes it if it becomes empty.
pub(super) fn change_table(
    parent: &mut dyn TableLike,
    name: &str,
    change: impl FnOnce(&mut dyn TableLike),
) {
    let table = parent.get_mut(name).and_then(Item::as_table_like_mut);
    let Some(table) = table.filter(|table| !table.is_empty()) else { return };
    change(table);
    if table.is_empty() {
        parent.remove(name);
    }
}
