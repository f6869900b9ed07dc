//! This machine as far as `setup` and `doctor` have to know it: this program, the home, what PATH finds.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::auth::Engine;
use crate::error::{Error, Result};

/// The name that this program is installed by.
const NAME: &str = "my-credential-helper";

/// This machine.
pub(in crate::cli) struct Place {
    /// This program: by the name that PATH finds, else its own path.
    pub(in crate::cli) program: PathBuf,
    /// The home directory.
    pub(in crate::cli) home: PathBuf,
    path: Vec<PathBuf>,
    variables: Vec<(&'static str, Option<OsString>)>,
}

/// The variables that move a tool's configuration.
const VARIABLES: &[&str] = &[
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "GIT_CONFIG_GLOBAL",
    "DOCKER_CONFIG",
    "CARGO_HOME",
    "KUBECONFIG",
    "TF_CLI_CONFIG_FILE",
    "GOENV",
    "NPM_CONFIG_USERCONFIG",
    "npm_config_userconfig",
    "PIP_CONFIG_FILE",
    "UV_CONFIG_FILE",
    "APPDATA",
];

impl Place {
    /// This machine, where its home may be touched.
    pub(in crate::cli) fn of(engine: &Engine<'_>) -> Result<Self> {
        let home = engine.context.paths.in_home("")?;
        let path = engine
            .context
            .environment
            .get("PATH")
            .map(|path| std::env::split_paths(&path).collect())
            .unwrap_or_default();
        let own = std::env::current_exe()
            .map_err(|error| Error::invalid_state(format!("this program: {error}")))?;
        let variables =
            VARIABLES.iter().map(|name| (*name, engine.context.environment.get(name))).collect();
        let mut place = Self { program: own, home: home.components().collect(), path, variables };
        // A link that a package manager keeps outlives the file that it points at today.
        if let Some(found) = place.find(NAME).filter(|found| place.is_this_program(found)) {
            place.program = found;
        }
        Ok(place)
    }

    /// The first program of that name on PATH.
    pub(in crate::cli) fn find(&self, name: &str) -> Option<PathBuf> {
        let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        self.path
            .iter()
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(&name))
            .find(|path| path.is_file())
    }

    /// Whether PATH has this folder.
    pub(in crate::cli) fn is_on_path(&self, folder: &Path) -> bool {
        let same = |other: &PathBuf| {
            other == folder
                || other.canonicalize().is_ok_and(|other| Some(other) == folder.canonicalize().ok())
        };
        self.path.iter().any(same)
    }

    /// Whether that is this program, by whatever link or copy beside it.
    pub(in crate::cli) fn is_this_program(&self, path: &Path) -> bool {
        let own = [Some(self.program.clone()), std::env::current_exe().ok()];
        let Ok(path) = path.canonicalize() else { return false };
        own.into_iter().flatten().filter_map(|own| own.canonicalize().ok()).any(|own| own == path)
    }

    /// A variable that moves a tool's configuration, as a path.
    pub(super) fn variable(&self, name: &str) -> Option<PathBuf> {
        let found = self.variables.iter().find(|(known, _)| *known == name);
        found.and_then(|(_, value)| value.clone()).map(PathBuf::from)
    }

    /// `~/.config`, or where it was moved.
    pub(super) fn configuration(&self) -> PathBuf {
        self.variable("XDG_CONFIG_HOME")
            .filter(|path| path.is_absolute())
            .unwrap_or_else(|| self.home.join(".config"))
    }

    /// The folder of ours for links whose names other programs may have.
    pub(in crate::cli) fn own_folder(&self) -> PathBuf {
        let data = self.variable("XDG_DATA_HOME").filter(|path| path.is_absolute());
        data.unwrap_or_else(|| self.home.join(".local/share")).join(NAME).join("bin")
    }
}
