//! The names that tools look for: links to this program. A file that is no link of ours is never replaced.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::edit;
use super::place::Place;
use super::tools::{Folder, SetupTool};
use crate::error::{Error, Result};

/// A name, and what has to be done about it.
pub(in crate::cli) struct Link {
    /// Where it is, or will be.
    pub(in crate::cli) path: PathBuf,
    /// What is there now.
    pub(in crate::cli) state: State,
    target: PathBuf,
}

/// What is found under a link's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum State {
    /// Nothing.
    Missing,
    /// A link of ours that leads nowhere, or to another copy of this program.
    Stale,
    /// A link to this program.
    Right,
    /// Somebody else's.
    Foreign,
}

impl Link {
    /// The link of a tool: where PATH finds one already, else where it belongs.
    pub(in crate::cli) fn of(place: &Place, tool: &SetupTool) -> Option<Self> {
        let (name, folder) = tool.link?;
        let found = place
            .find(name)
            .filter(|found| folder == Folder::Programs && place.is_this_program(found));
        let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        let path = found.unwrap_or_else(|| folder_of(place, folder).join(file));
        Some(Self { state: state(place, &path), path, target: place.program.clone() })
    }

    /// Makes it.
    pub(in crate::cli) fn make(&self) -> Result<()> {
        let making = || format!("linking {}", self.path.display());
        match self.state {
            State::Right => return Ok(()),
            State::Foreign => return Err(self.is_in_the_way()),
            State::Stale => std::fs::remove_file(&self.path).with_context(making)?,
            State::Missing => {}
        }
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).with_context(making)?;
        }
        Ok(link(&self.target, &self.path).with_context(making)?)
    }

    /// Removes it, where it is ours to remove.
    pub(super) fn remove(&self) -> Result<()> {
        if matches!(self.state, State::Missing | State::Foreign) {
            return Ok(());
        }
        // Two tools may share it.
        edit::remove(&self.path)
    }

    /// Whether it was made by `setup`, and not by a package or somebody's own hand elsewhere.
    pub(super) fn is_where_setup_puts_it(&self, place: &Place, tool: &SetupTool) -> bool {
        let folder = tool.link.map(|(_, folder)| folder_of(place, folder));
        self.path.parent() == folder.as_deref() && self.path.starts_with(&place.home)
    }

    pub(in crate::cli) fn is_in_the_way(&self) -> Error {
        Error::invalid(format!("{} is there, and is no link to this program", self.path.display()))
            .with_hint("it is left alone; move it away, and run this again")
    }
}

fn state(place: &Place, path: &Path) -> State {
    let Ok(metadata) = path.symlink_metadata() else { return State::Missing };
    if place.is_this_program(path) {
        return State::Right;
    }
    let target = if metadata.is_symlink() { std::fs::read_link(path).ok() } else { None };
    let is_ours = target.is_some_and(|target| target.file_stem() == place.program.file_stem());
    if is_ours { State::Stale } else { State::Foreign }
}

/// Beside this program, where that is the user's own folder and on PATH; else `~/.local/bin`.
fn folder_of(place: &Place, folder: Folder) -> PathBuf {
    match folder {
        Folder::Ours => place.own_folder(),
        Folder::TerraformPlugins => place.home.join(".terraform.d/plugins"),
        Folder::Programs => {
            let beside = place
                .program
                .parent()
                .filter(|beside| beside.starts_with(&place.home) && place.is_on_path(beside));
            beside.map_or_else(|| place.home.join(".local/bin"), Path::to_owned)
        }
    }
}

#[cfg(unix)]
fn link(target: &Path, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

/// A symbolic link needs a privilege there; a second name for the same file does not.
#[cfg(not(unix))]
fn link(target: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::hard_link(target, path).or_else(|_| std::fs::copy(target, path).map(drop))
}
