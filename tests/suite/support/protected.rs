//! Files that cannot be replaced, as real ones are: mounted by themselves, or immutable. Only root can make them; where
//! that is not permitted, the test says loudly that it is skipped.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why a file cannot be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// Mounted over itself, as containers mount single files.
    Mounted,
    /// Mounted over itself, read-only.
    ReadOnly,
    /// `chattr +i`
    Immutable,
    /// `chattr +a`
    AppendOnly,
}

pub(crate) const ALL: [Protection; 4] =
    [Protection::Mounted, Protection::ReadOnly, Protection::Immutable, Protection::AppendOnly];

/// A protected file, which is a normal one again when this is dropped.
pub(crate) struct Protected {
    path: PathBuf,
    protection: Protection,
}

impl Protected {
    pub(crate) fn new(path: &Path, protection: Protection) -> Option<Self> {
        let protected = Self { path: path.to_owned(), protection };
        let text = path.to_str().expect("a path in UTF-8");
        let is_done = match protection {
            Protection::Mounted => run(&["mount", "--bind", text, text]),
            Protection::ReadOnly => {
                run(&["mount", "--bind", text, text])
                    && run(&["mount", "-o", "remount,bind,ro", text])
            }
            Protection::Immutable => run(&["chattr", "+i", text]),
            Protection::AppendOnly => run(&["chattr", "+a", text]),
        };
        if !is_done {
            let message = format!("SKIPPED: {protection:?} needs root and a file system with it\n");
            let _ = std::io::stderr().write_all(message.as_bytes());
        }
        is_done.then_some(protected)
    }

    /// What the messages say of it.
    pub(crate) fn reason(protection: Protection) -> &'static str {
        match protection {
            Protection::Mounted | Protection::ReadOnly => "is a mount point",
            Protection::Immutable | Protection::AppendOnly => "is write-protected",
        }
    }
}

/// Whether files in this directory can be made immutable.
pub(crate) fn can_protect_in(directory: &Path) -> bool {
    let file = tempfile::NamedTempFile::new_in(directory);
    file.is_ok_and(|file| Protected::new(file.path(), Protection::Immutable).is_some())
}

/// Whether a single file can be mounted; said loudly where not.
pub(crate) fn can_mount() -> bool {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    Protected::new(file.path(), Protection::Mounted).is_some()
}

impl Drop for Protected {
    fn drop(&mut self) {
        let text = self.path.to_str().expect("a path in UTF-8");
        let is_undone = match self.protection {
            Protection::Mounted | Protection::ReadOnly => run(&["umount", "--lazy", text]),
            Protection::Immutable => run(&["chattr", "-i", text]),
            Protection::AppendOnly => run(&["chattr", "-a", text]),
        };
        assert!(is_undone || std::thread::panicking(), "{text} stays protected");
    }
}

fn run(line: &[&str]) -> bool {
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).stderr(Stdio::null()).stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
