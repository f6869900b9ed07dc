//! Linux and macOS.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::sys::env::Environment;

/// The variable that names the home directory.
pub const HOME_VARIABLE: &str = "HOME";

pub const ROOT: &str = "/";

/// The instruction for [`path_line`].
pub const PATH_INSTRUCTION: &str = "add this line to your shell's profile";

/// Puts a folder on PATH.
pub fn path_line(folder: &Path) -> String {
    format!("export PATH=\"{}:$PATH\"", folder.display())
}

/// The path with the separators of the system.
pub fn native(path: PathBuf) -> PathBuf {
    path
}

/// The folder for the configuration of programs, if the system has one for every program.
pub fn roaming_folder(_: &Environment) -> Option<PathBuf> {
    None
}

pub fn configuration_folder(_: &Environment) -> Option<PathBuf> {
    let directories = directories::ProjectDirs::from("sh", "mycli", "my-credential-helper")?;
    Some(directories.config_dir().to_owned())
}

/// The files that `name` may be on PATH.
pub fn program_files(name: &str) -> [String; 1] {
    [name.to_owned()]
}

pub fn device_name() -> Option<String> {
    rustix::system::uname().nodename().to_str().ok().map(str::to_owned)
}

/// The time since the machine was started, with the time for which it was suspended.
pub fn boot_time() -> Duration {
    // That of macOS goes on while the machine sleeps.
    #[cfg(target_os = "macos")]
    let clock = rustix::time::ClockId::Monotonic;
    #[cfg(not(target_os = "macos"))]
    let clock = rustix::time::ClockId::Boottime;
    Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default()
}

/// The parent process: its id, and on Linux the time of its start, since ids are used again.
pub fn calling_process() -> Option<String> {
    let id = rustix::process::getppid()?.as_raw_nonzero();
    let status = std::fs::read(format!("/proc/{id}/stat")).unwrap_or_default();
    // proc(5): the name in parentheses may contain anything; the start is the 20th field after it.
    let fields = status.rsplit(|byte| *byte == b')').next().unwrap_or_default();
    let start = fields.split(|byte| *byte == b' ').nth(20).unwrap_or_default();
    Some(format!("{id} {}", String::from_utf8_lossy(start)))
}

/// Replaces this process with the program; returns only if that fails.
pub fn run_instead(command: &mut Command) -> io::Result<u8> {
    Err(std::os::unix::process::CommandExt::exec(command))
}

/// Whether both are names of one program.
pub fn is_same_program(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// Links are no copies.
pub fn is_older_copy(_: &Path) -> bool {
    false
}

/// Makes `path` another name of the file `target`.
pub fn link(target: &Path, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}
