//! The home and the configuration directory of the user. Checks their owners, and narrows the mode of `~/.my`.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::model::Warning;
use crate::sys::env::Environment;
use crate::sys::{atomic_file, os};

pub struct Paths {
    home: Result<PathBuf, HomeProblem>,
    /// `~/.my`, if others could access it until now.
    narrowed: Option<PathBuf>,
    configuration: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HomeProblem {
    #[error("no home directory")]
    Missing,
    #[error("{} is not an absolute path", os::HOME_VARIABLE)]
    Relative,
    #[error("{} belongs to another user", .0.display())]
    Foreign(PathBuf),
    #[error("{} is writable by other users", .0.display())]
    Writable(PathBuf),
    #[error("{}: {kind}", path.display())]
    Unreadable { path: PathBuf, kind: io::ErrorKind },
}

impl HomeProblem {
    pub fn hint(&self) -> String {
        match self {
            Self::Missing | Self::Relative => {
                format!("set {} to your home directory", os::HOME_VARIABLE)
            }
            Self::Foreign(path) => {
                let path = path.display();
                format!("run the command as the owner of {path}, without `sudo`")
            }
            Self::Writable(path) => format!("run `chmod o-w {}`", path.display()),
            Self::Unreadable { path, .. } => format!("make {} readable", path.display()),
        }
    }
}

impl From<HomeProblem> for Error {
    fn from(problem: HomeProblem) -> Self {
        Self::invalid_state(problem.to_string()).with_hint(problem.hint())
    }
}

impl Paths {
    /// A home of another user, as after `sudo`, is not used: no secret is read from it, and no file of root stays there.
    pub fn detect() -> Self {
        // `BaseDirs` would determine a dozen other directories, too (9,000 instructions).
        let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
        let configuration = os::configuration_folder(&Environment::Process)
            .map(|folder| folder.join("config.toml"));
        Self::new(home.ok_or(HomeProblem::Missing), configuration)
    }

    /// For a test: everything below `home`.
    pub fn at(home: &Path) -> Self {
        let configuration = home.join(".config/my-credential-helper/config.toml");
        Self::new(Ok(home.to_owned()), Some(configuration))
    }

    /// Narrows `~/.my` first: where others can write, they can replace every file.
    fn new(home: Result<PathBuf, HomeProblem>, configuration: Option<PathBuf>) -> Self {
        match home.and_then(check_owner) {
            Ok((home, directory)) => {
                let narrowed = atomic_file::narrow_directory(&directory).then_some(directory);
                Self { home: Ok(home), narrowed, configuration }
            }
            Err(problem) => Self { home: Err(problem), narrowed: None, configuration },
        }
    }

    pub fn warning(&self) -> Option<Warning> {
        self.narrowed.clone().map(Warning::DirectoryRepaired)
    }

    pub fn in_home(&self, relative: &str) -> Result<PathBuf, HomeProblem> {
        self.home.as_ref().map(|home| os::native(home.join(relative))).map_err(Clone::clone)
    }

    pub fn is_foreign(&self) -> bool {
        matches!(self.home, Err(HomeProblem::Foreign(_)))
    }

    /// `config.toml`; `None` if the home directory may not be used. In a home directory that others can write, the read
    /// fails and names the directory.
    pub fn configuration(&self) -> Option<&Path> {
        let is_ours = matches!(self.home, Ok(_) | Err(HomeProblem::Writable(_)));
        self.configuration.as_deref().filter(|_| is_ours)
    }
}

/// The home and its `.my`.
fn check_owner(home: PathBuf) -> Result<(PathBuf, PathBuf), HomeProblem> {
    if !home.is_absolute() {
        return Err(HomeProblem::Relative);
    }
    let directory = home.join(".my");
    for path in [&home, &directory] {
        match atomic_file::is_ours(path) {
            Ok(Some(false)) => return Err(HomeProblem::Foreign(path.clone())),
            Ok(_) => {}
            Err(error) => {
                return Err(HomeProblem::Unreadable { path: path.clone(), kind: error.kind() });
            }
        }
    }
    // Others could put another directory of this user in the place of `.my`.
    if atomic_file::is_writable_by_others(&home) {
        return Err(HomeProblem::Writable(home));
    }
    Ok((home, directory))
}
