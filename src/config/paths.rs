//! Where everything lies: below the home directory, and in the configuration directory of the system. Reads nothing
//! but owners.

use std::path::{Path, PathBuf};

use crate::sys::atomic_file;

/// The directories of whoever runs this.
pub struct Paths {
    /// The home directory, or why nothing there may be touched.
    home: Result<PathBuf, String>,
    configuration: Option<PathBuf>,
}

impl Paths {
    /// The directories of this process. A home that belongs to another user, as after `sudo`, is not touched: nothing
    /// secret is read from it, and nothing owned by root is left in it.
    pub fn of_this_process() -> Self {
        // Not `BaseDirs`, which looks up a dozen other directories too (9,000 instructions).
        let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
        let configuration = directories::ProjectDirs::from("sh", "mycli", "my-credential-helper")
            .map(|directories| directories.config_dir().join("config.toml"));
        Self {
            home: home.ok_or_else(|| "no home directory".to_owned()).and_then(ours),
            configuration,
        }
    }

    /// The directories of a test.
    pub fn at(home: &Path) -> Self {
        Self {
            home: ours(home.to_owned()),
            configuration: Some(home.join(".config/my-credential-helper/config.toml")),
        }
    }

    /// A file below the home directory.
    pub fn in_home(&self, relative: &str) -> Result<PathBuf, String> {
        self.home.as_ref().map(|home| home.join(relative)).map_err(Clone::clone)
    }

    /// Whether nothing may be touched because the home is somebody else's.
    pub fn is_of_another(&self) -> bool {
        self.home.as_ref().is_err_and(|reason| reason.ends_with(OF_ANOTHER))
    }

    /// `config.toml`; `None` where the home may not be touched.
    pub fn configuration(&self) -> Option<&Path> {
        self.home.is_ok().then_some(self.configuration.as_deref()).flatten()
    }
}

const OF_ANOTHER: &str = "belongs to another user";

fn ours(home: PathBuf) -> Result<PathBuf, String> {
    if !home.is_absolute() {
        return Err("HOME is not an absolute path".to_owned());
    }
    for directory in [home.clone(), home.join(".my")] {
        match atomic_file::is_ours(&directory) {
            Ok(Some(false)) => return Err(format!("{} {OF_ANOTHER}", directory.display())),
            Ok(_) => {}
            Err(error) => return Err(format!("{}: {}", directory.display(), error.kind())),
        }
    }
    Ok(home)
}
