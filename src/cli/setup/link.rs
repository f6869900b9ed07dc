//! The names that tools look for: links to this program. A file that is not a link of ours is never replaced.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::machine::Machine;
use super::terraform;
use super::tools::{Folder, SetupTool};
use crate::error::{Error, Result};
use crate::sys::atomic_file;
use crate::sys::os::{self, link};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Link {
    pub(in crate::cli) path: PathBuf,
    pub(in crate::cli) state: State,
    target: PathBuf,
    /// Where a link of ours leads now.
    former: Option<PathBuf>,
}

/// The kind of file under a link's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum State {
    Missing,
    /// A link of ours that leads nowhere, or to another copy of this program.
    Stale,
    Right,
    /// A file of somebody else.
    Foreign,
}

impl Link {
    /// The link of a tool: where PATH finds one already, else where it belongs.
    pub(in crate::cli) fn detect(machine: &Machine, tool: &SetupTool) -> Option<Self> {
        let (name, folder) = tool.link?;
        Some(Self::named(machine, name, folder))
    }

    /// The link for one provider, of a tool that passes no provider. The name of a provider is a part of a file name.
    pub(super) fn for_provider(machine: &Machine, tool: &SetupTool, name: &str) -> Option<Self> {
        let (link, folder) = tool.link?;
        Some(Self::named(machine, &format!("{link}-{name}"), folder))
    }

    fn named(machine: &Machine, name: &str, folder: Folder) -> Self {
        let found = machine
            .find(name)
            .filter(|found| folder == Folder::Programs && machine.is_this_program(found));
        let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        Self::at(machine, found.unwrap_or_else(|| folder_path(machine, folder).join(file)))
    }

    fn at(machine: &Machine, path: PathBuf) -> Self {
        let path = os::native(path);
        let (state, target) = (state(machine, &path), machine.program.clone());
        let former = match state {
            State::Missing | State::Foreign => None,
            // On Windows a copy.
            _ => Some(std::fs::read_link(&path).unwrap_or_else(|_| target.clone())),
        };
        Self { path, state, target, former }
    }

    /// Fails if the name is taken, or is in a folder of another user: nothing is made there, and no tool is led there.
    pub(super) fn check_place(&self, machine: &Machine) -> Result<()> {
        let folder = self.path.parent().unwrap_or(&self.path);
        match self.state {
            State::Foreign => Err(self.blocked()),
            State::Right if machine.is_on_path(folder) => Ok(()),
            _ => Ok(atomic_file::reject_foreign(folder)?),
        }
    }

    /// Makes a link that is missing or stale.
    pub(in crate::cli) fn make(&self) -> Result<()> {
        self.put(&self.target)
    }

    /// Puts back what was there before [`Link::make`], or before it was removed.
    pub(super) fn restore(&self) -> Result<()> {
        match &self.former {
            Some(former) => self.put(former),
            None => Ok(atomic_file::remove(&self.path).map(drop)?),
        }
    }

    fn put(&self, target: &Path) -> Result<()> {
        let making = || format!("linking {}", self.path.display());
        let folder = self.path.parent().with_context(making)?;
        atomic_file::create_directory(folder)?;
        if self.path.symlink_metadata().is_err() {
            return Ok(link(target, &self.path).with_context(making)?);
        }
        // A rename, so that the name is never missing.
        let beside = tempfile::Builder::new().make_in(folder, |path| link(target, path));
        Ok(beside.and_then(|link| Ok(link.persist(&self.path)?)).map(drop).with_context(making)?)
    }

    /// The links for single providers, `my-token-helper-acme`, of a tool that passes no provider.
    pub(super) fn of_providers(machine: &Machine, tool: &SetupTool) -> Vec<Self> {
        let Some((name, folder)) = tool.link else { return Vec::new() };
        let entries = std::fs::read_dir(folder_path(machine, folder));
        let paths = entries.into_iter().flatten().flatten().map(|entry| entry.path());
        let is_link = |path: &PathBuf| {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let provider = stem.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
            provider.is_some_and(|provider| !provider.is_empty())
        };
        paths.filter(is_link).map(|path| Self::at(machine, path)).collect()
    }

    /// Whether `setup` made the link, and not a package or the user.
    pub(super) fn is_where_setup_puts_it(&self, machine: &Machine, tool: &SetupTool) -> bool {
        let folder = tool.link.map(|(_, folder)| os::native(folder_path(machine, folder)));
        self.path.parent() == folder.as_deref() && self.path.starts_with(&machine.home)
    }

    pub(in crate::cli) fn blocked(&self) -> Error {
        Error::invalid(format!("{} exists and is not a link to this program", self.path.display()))
            .with_hint("move it away, and run the command again; it was not changed")
    }
}

/// Whether a text is the path of one of our links as version 0.1.0 wrote it: without quotes, so that a path with blanks
/// cannot be told from a command otherwise.
pub(super) fn is_own_path(machine: &Machine, name: &str, text: &str) -> bool {
    let path = Path::new(text);
    let folders = [folder_path(machine, Folder::Programs), machine.home.join(".local/bin")];
    let is_folder =
        |parent| folders.iter().chain(&machine.launcher.search_path).any(|it| it == parent);
    path.is_absolute()
        && path.file_stem().is_some_and(|stem| stem == name)
        && path.parent().is_some_and(is_folder)
}

fn state(machine: &Machine, path: &Path) -> State {
    let Ok(metadata) = path.symlink_metadata() else { return State::Missing };
    if machine.is_this_program(path) {
        return State::Right;
    }
    let target = if metadata.is_symlink() { std::fs::read_link(path).ok() } else { None };
    let is_ours = target.is_some_and(|target| target.file_stem() == machine.program.file_stem())
        || os::is_older_copy(path);
    if is_ours { State::Stale } else { State::Foreign }
}

/// For programs the folder of this program, where that is the user's own and on PATH; else `~/.local/bin`.
fn folder_path(machine: &Machine, folder: Folder) -> PathBuf {
    match folder {
        Folder::Ours => machine.own_folder(),
        Folder::TerraformPlugins => {
            terraform::home_file(machine, ".terraform.d", "terraform.d").join("plugins")
        }
        Folder::Programs => {
            let is_own =
                |beside: &&Path| beside.starts_with(&machine.home) && machine.is_on_path(beside);
            let beside = machine.program.parent().filter(is_own);
            beside.map_or_else(|| machine.home.join(".local/bin"), Path::to_owned)
        }
    }
}
