//! Windows.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::sys::env::Environment;

/// The variable that names the home directory; the `my` command line reads it, too.
pub const HOME_VARIABLE: &str = "USERPROFILE";

pub const ROOT: &str = r"C:\";

pub const PATH_INSTRUCTION: &str = "run this line in PowerShell, and open a new window";

pub fn path_line(folder: &Path) -> String {
    let folder = folder.display().to_string().replace('\'', "''");
    format!(
        "[Environment]::SetEnvironmentVariable('Path', '{folder};' + \
         [Environment]::GetEnvironmentVariable('Path', 'User'), 'User')"
    )
}

pub fn native(path: PathBuf) -> PathBuf {
    path.components().collect()
}

pub fn roaming_folder(environment: &Environment) -> Option<PathBuf> {
    environment.get("APPDATA").map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The folder of `config.toml`: by the variable that other programs read, too, then by the system.
pub fn configuration_folder(environment: &Environment) -> Option<PathBuf> {
    if let Some(folder) = roaming_folder(environment) {
        return Some(folder.join(r"mycli\my-credential-helper\config"));
    }
    let directories = directories::ProjectDirs::from("sh", "mycli", "my-credential-helper")?;
    Some(directories.config_dir().to_owned())
}

/// The files that `name` may be on PATH. npm installs scripts.
pub fn program_files(name: &str) -> [String; 3] {
    ["exe", "cmd", "bat"].map(|extension| format!("{name}.{extension}"))
}

pub fn device_name() -> Option<String> {
    Environment::Process.text("COMPUTERNAME")
}

/// The time since 1970 when this process first called this, and what has passed since by the performance counter, which
/// goes on while the machine is suspended. Windows has no safe call for the time since its start.
#[expect(clippy::disallowed_methods, reason = "a clock")]
pub fn boot_time() -> Duration {
    static START: LazyLock<(Duration, Instant)> = LazyLock::new(|| {
        (SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), Instant::now())
    });
    let (time, instant) = *START;
    time + instant.elapsed()
}

/// The parent process. Windows has no call for it, and its list of processes needs unsafe code.
pub fn calling_process() -> Option<String> {
    None
}

/// Runs the program to its end, and returns its exit status.
pub fn run_instead(command: &mut Command) -> io::Result<u8> {
    let status = command.status()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Whether both are names or copies of one program.
pub fn is_same_program(one: &Path, other: &Path) -> bool {
    let size = |path: &Path| path.metadata().map(|metadata| metadata.len()).ok();
    size(one).is_some_and(|one| size(other) == Some(one))
        && std::fs::read(one).is_ok_and(|one| std::fs::read(other).is_ok_and(|it| one == it))
}

/// Whether the file is a copy of some version of this program, which contains the name of its temporary files.
pub fn is_older_copy(path: &Path) -> bool {
    let marker = crate::sys::atomic_file::TEMPORARY.as_bytes();
    std::fs::read(path).is_ok_and(|program| memchr::memmem::find(&program, marker).is_some())
}

/// Makes `path` a copy: a symbolic link needs a privilege, and a hard link to a running program cannot be removed.
pub fn link(target: &Path, path: &Path) -> io::Result<()> {
    std::fs::copy(target, path).map(drop)
}
