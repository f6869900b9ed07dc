//! This machine as `setup` and `doctor` see it: this program, the home directory, and what PATH finds.

use std::path::{Path, PathBuf};

use crate::auth::Engine;
use crate::error::{Error, Result};
use crate::sys::os;
use crate::sys::process::Launcher;

/// The name under which this program is installed.
const NAME: &str = "my-credential-helper";

pub(in crate::cli) struct Machine {
    /// This program: by the name that PATH finds, else its own path.
    pub(in crate::cli) program: PathBuf,
    pub(in crate::cli) home: PathBuf,
    pub(in crate::cli) launcher: Launcher,
    /// `%APPDATA%` on Windows.
    pub(super) roaming: Option<PathBuf>,
}

impl Machine {
    /// This machine; an error where the home directory may not be used.
    pub(in crate::cli) fn detect(engine: &Engine<'_>) -> Result<Self> {
        let home: PathBuf = engine.context.paths.in_home("")?.components().collect();
        let launcher = Launcher::new(&engine.context.environment, Some(&home));
        let program = std::env::current_exe()
            .map_err(|error| Error::invalid_state(format!("this program: {error}")))?;
        let roaming = os::roaming_folder(&engine.context.environment);
        let mut machine = Self { program, home, launcher, roaming };
        // A link that a package manager maintains outlives the file that it points at today.
        if let Some(found) = machine.find(NAME).filter(|found| machine.is_this_program(found)) {
            machine.program = found;
        }
        Ok(machine)
    }

    /// The first program of that name on PATH.
    pub(in crate::cli) fn find(&self, name: &str) -> Option<PathBuf> {
        self.launcher.find(name)
    }

    /// The program of that name, which has to be installed.
    pub(super) fn require(&self, name: &str) -> Result<PathBuf> {
        self.find(name).ok_or_else(|| {
            Error::invalid(format!("{name} is not on PATH"))
                .with_hint("install it, and run the command again")
        })
    }

    pub(in crate::cli) fn is_on_path(&self, folder: &Path) -> bool {
        let same = |other: &PathBuf| {
            other == folder
                || other.canonicalize().is_ok_and(|other| Some(other) == folder.canonicalize().ok())
        };
        self.launcher.search_path.iter().any(same)
    }

    /// Whether the path is this program, under any name.
    pub(in crate::cli) fn is_this_program(&self, path: &Path) -> bool {
        let own = [Some(self.program.clone()), std::env::current_exe().ok()];
        own.into_iter().flatten().any(|own| os::is_same_program(&own, path))
    }

    /// A variable that moves a tool's configuration. A relative path counts as not set: it would be a file of the working
    /// directory.
    pub(super) fn variable(&self, name: &str) -> Option<PathBuf> {
        self.launcher.variable(name).map(PathBuf::from)
    }

    /// `~/.config`, or `XDG_CONFIG_HOME`.
    pub(in crate::cli) fn configuration(&self) -> PathBuf {
        self.variable("XDG_CONFIG_HOME").unwrap_or_else(|| self.home.join(".config"))
    }

    /// The folder of ours for links whose names other programs may have.
    pub(in crate::cli) fn own_folder(&self) -> PathBuf {
        let data = self.variable("XDG_DATA_HOME");
        data.unwrap_or_else(|| self.home.join(".local/share")).join(NAME).join("bin")
    }
}
