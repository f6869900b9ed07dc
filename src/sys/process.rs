//! Child programs. Only this file starts one; the exception is `exec`, which becomes the program that its user named.
//!
//! Launchers (rustup, bazelisk, corepack, mise, …) choose the program that they run by files of the working directory,
//! and a shell by PATH. So a child starts in the home directory or `/`, finds no relative entry on PATH, and inherits
//! the variables of [`INHERITED`] and [`PATHS`] only: no secret of the environment reaches it.

use std::ffi::{OsStr, OsString};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::error::{Error, Result, sanitize};
use crate::sys::env::Environment;
use crate::sys::os;

const TIMEOUT: Duration = Duration::from_secs(20);

/// The delay between two checks whether a child has ended.
const POLL_DELAY: Duration = Duration::from_millis(5);

/// The largest output in bytes.
const MAX_OUTPUT: u64 = 4 << 20;

/// The bytes of standard error that are looked at.
const MAX_ERRORS: u64 = 16 << 10;

/// The longest reason of a failure, in characters.
const MAX_REASON: usize = 300;

/// Who the user is, and the language.
#[rustfmt::skip]
const INHERITED: &[&str] = &[
    "USER", "LOGNAME", "USERNAME", "TERM", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "PATHEXT",
];

/// Where things are: of the system, of tools (their configuration) and of launchers (what they have installed).
/// Inherited where the path is absolute: a relative one would be a file of the working directory.
#[rustfmt::skip]
const PATHS: &[&str] = &[
    "HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR",
    "XDG_CONFIG_DIRS", "XDG_DATA_DIRS", "GIT_CONFIG_GLOBAL", "DOCKER_CONFIG", "CARGO_HOME", "KUBECONFIG",
    "TF_CLI_CONFIG_FILE", "TERRAFORM_CONFIG", "GOENV", "NPM_CONFIG_USERCONFIG", "npm_config_userconfig", "PIP_CONFIG_FILE",
    "UV_CONFIG_FILE", "RUSTUP_HOME", "GOROOT", "PYENV_ROOT", "ASDF_DATA_DIR", "MISE_DATA_DIR", "VOLTA_HOME",
    "PNPM_HOME", "JAVA_HOME", "BAZELISK_HOME", "APPDATA", "LOCALAPPDATA", "USERPROFILE", "TEMP", "TMP", "SystemRoot",
    "ComSpec", "ProgramData", "ProgramFiles",
];

/// How a program reaches the desktop, for the opener of a browser.
#[rustfmt::skip]
const DESKTOP: &[&str] = &[
    "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS", "DESKTOP_SESSION", "XDG_CURRENT_DESKTOP",
    "XDG_SESSION_TYPE", "KDE_FULL_SESSION", "KDE_SESSION_VERSION", "WSL_DISTRO_NAME", "WSL_INTEROP",
];

/// The directories of programs, and the environment and directory that they start with.
pub struct Launcher {
    directory: PathBuf,
    /// The absolute folders of PATH.
    pub search_path: Vec<PathBuf>,
    variables: Vec<(&'static str, OsString)>,
    timeout: Duration,
}

impl Launcher {
    pub fn new(environment: &Environment, home: Option<&Path>) -> Self {
        let set = |name: &&'static str| Some((*name, environment.get(name)?));
        let is_absolute = |(_, path): &(_, OsString)| Path::new(path).is_absolute();
        let paths = PATHS.iter().filter_map(set).filter(is_absolute);
        let search_path = environment.get("PATH").unwrap_or_default();
        let directory = home.filter(|home| home.is_absolute() && home.is_dir());
        Self {
            directory: directory.unwrap_or(Path::new(os::ROOT)).to_owned(),
            search_path: std::env::split_paths(&search_path)
                .filter(|path| path.is_absolute())
                .collect(),
            variables: INHERITED.iter().filter_map(set).chain(paths).collect(),
            timeout: TIMEOUT,
        }
    }

    /// A variable that children inherit.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }

    /// The program of that name on PATH, or at that absolute path.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        let path = Path::new(name);
        if path.is_absolute() || path.components().count() != 1 {
            return path.is_absolute().then(|| path.to_owned()).filter(|path| path.is_file());
        }
        let files = os::program_files(name);
        let paths =
            self.search_path.iter().flat_map(|folder| files.iter().map(|file| folder.join(file)));
        paths.into_iter().find(|path| path.is_file())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn child(&self, program: &Path) -> Result<Child> {
        let name = sanitize(&program.to_string_lossy());
        if !program.is_absolute() {
            return Err(Error::invalid_state(format!("{name}: not an absolute path")));
        }
        let mut command = Command::new(program);
        command.current_dir(&self.directory).env_clear().envs(self.variables.iter().cloned());
        command.env("PATH", std::env::join_paths(&self.search_path).unwrap_or_default());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own: what the child starts ends with it, and Control-C does not close a browser.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Ok(Child { command, name, input: String::new(), timeout: self.timeout })
    }
}

/// A program that is still to be started. Its arguments can be seen by every user: a secret must not be among them.
pub struct Child {
    command: Command,
    name: String,
    input: String,
    timeout: Duration,
}

impl Child {
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Standard input, of less than a pipe holds (4 KiB).
    #[must_use]
    pub fn input(mut self, text: &str) -> Self {
        text.clone_into(&mut self.input);
        self
    }

    /// Adds the variables of a CI agent, by their prefix, for the agent's own program: they allow it to request the
    /// identity token of the job. The one exception from [`INHERITED`] and [`PATHS`].
    #[must_use]
    pub fn with_agent(mut self, environment: &Environment, prefix: &'static str) -> Self {
        self.command.envs(environment.with_prefix(prefix));
        self
    }

    /// Runs the program to its end: its standard output where it succeeds, `None` where it does not.
    pub fn run(self) -> Result<Option<zeroize::Zeroizing<String>>> {
        Ok(self.finish()?.ok())
    }

    /// As [`Child::run`]; where the program fails, the last line of its standard error.
    pub fn outcome(mut self) -> Result<Result<zeroize::Zeroizing<String>, String>> {
        self.command.stderr(Stdio::piped());
        self.finish()
    }

    fn finish(mut self) -> Result<Result<zeroize::Zeroizing<String>, String>> {
        let deadline = Instant::now() + self.timeout;
        if !self.input.is_empty() {
            self.command.stdin(Stdio::piped());
        }
        let mut child = self.command.stdout(Stdio::piped()).spawn().map_err(|e| self.failed(&e))?;
        let _ = child.stdin.take().map(|mut stdin| stdin.write_all(self.input.as_bytes()));
        let (sender, receiver) = mpsc::channel();
        let stdout = child.stdout.take();
        std::thread::spawn(move || {
            let mut bytes = zeroize::Zeroizing::new(Vec::new());
            let _ = stdout.map(|stdout| stdout.take(MAX_OUTPUT + 1).read_to_end(&mut bytes));
            let _ = sender.send(bytes);
        });
        let (sender, errors) = mpsc::channel();
        match child.stderr.take() {
            Some(mut stderr) => drop(std::thread::spawn(move || {
                let mut bytes = zeroize::Zeroizing::new(Vec::new());
                let _ = stderr.by_ref().take(MAX_ERRORS).read_to_end(&mut bytes);
                let _ = sender.send(bytes);
                let _ = std::io::copy(&mut stderr, &mut std::io::sink());
            })),
            None => drop(sender),
        }
        // With a limit here too: a grandchild may hold the pipe open after the child has ended.
        let output = receiver.recv_timeout(self.timeout).ok();
        while let Some(output) = output.as_ref().filter(|output| output.len() as u64 <= MAX_OUTPUT)
        {
            if let Some(status) = child.try_wait().map_err(|error| self.failed(&error))? {
                if status.success() {
                    return Ok(Ok(String::from_utf8_lossy(output).into_owned().into()));
                }
                let left = deadline.saturating_duration_since(Instant::now());
                let errors = errors.recv_timeout(left).unwrap_or_default();
                return Ok(Err(reason(&String::from_utf8_lossy(&errors))));
            }
            if Instant::now() >= deadline {
                break;
            }
            std::thread::sleep(POLL_DELAY);
        }
        #[cfg(unix)]
        let _ = rustix::process::kill_process_group(
            rustix::process::Pid::from_child(&child),
            rustix::process::Signal::KILL,
        );
        let _ = child.kill();
        let _ = child.wait();
        let limit = format!("{} s, or wrote more than 4 MiB", self.timeout.as_secs());
        Err(Error::invalid_state(format!("{}: did not exit within {limit}", self.name)))
    }

    /// As [`Child::run`], for a program that has to succeed.
    pub fn succeed(self) -> Result<zeroize::Zeroizing<String>> {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
        let failed = format!("command failed: {}", sanitize(&words.join(" ")));
        self.run()?.ok_or(Error::invalid_state(failed))
    }

    /// Starts the program on the user's desktop, and does not wait for its end.
    pub fn start_on_desktop(mut self, environment: &Environment) -> Result<()> {
        let variables = DESKTOP.iter().filter_map(|name| Some((name, environment.get(name)?)));
        let started = self.command.envs(variables).spawn();
        started.map(drop).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &std::io::Error) -> Error {
        Error::invalid_state(format!("{}: {}", self.name, error.kind()))
    }
}

/// The last line that a program wrote to standard error, without the word for an error.
fn reason(errors: &str) -> String {
    let line = errors.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    let line =
        ["fatal: ", "error: "].iter().find_map(|word| line.strip_prefix(word)).unwrap_or(line);
    sanitize(&line.chars().take(MAX_REASON).collect::<String>())
}

#[cfg(all(test, unix))]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::Launcher;
    use crate::sys::env::Environment;

    fn launcher(variables: &[(&str, &str)], home: Option<&Path>) -> Launcher {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), value.into()));
        Launcher::new(&Environment::Fixed(variables.collect::<HashMap<_, _>>()), home)
    }

    #[test]
    fn only_absolute_paths_are_found_and_started() {
        let launcher = launcher(&[("PATH", ":.:bin:/bin")], None);
        assert_eq!(launcher.find("sh").as_deref(), Some(Path::new("/bin/sh")));
        assert_eq!(launcher.find("/bin/sh").as_deref(), Some(Path::new("/bin/sh")));
        for name in ["./sh", "../bin/sh", "x/../sh", ".", "..", "", "none"] {
            assert_eq!(launcher.find(name), None, "{name}");
        }
        assert!(launcher.child(Path::new("sh")).is_err());
        assert!(launcher.child(Path::new("./sh")).is_err());
    }

    #[test]
    fn a_child_gets_the_allowed_variables_in_the_home() {
        let home = tempfile::tempdir().unwrap();
        let variables = [
            ("PATH", "/bin:.:/usr/bin"),
            ("LANG", "C"),
            ("CARGO_HOME", "cargo"),
            ("DOCKER_CONFIG", "/docker"),
            ("GITHUB_TOKEN", "hunter2"),
            ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/bus"),
        ];
        let run = |home| {
            let child = launcher(&variables, home).child(Path::new("/bin/sh")).unwrap();
            child.args(["-c", "/bin/pwd -P; /usr/bin/env | /usr/bin/sort"]).succeed().unwrap()
        };
        let printed = run(Some(home.path()));
        let (directory, variables) = printed.split_once('\n').unwrap();
        assert_eq!(Path::new(directory), home.path().canonicalize().unwrap());
        let is_ours = |line: &&str| !line.starts_with("PWD=") && !line.starts_with("_=");
        let variables: Vec<_> =
            variables.lines().filter(is_ours).filter(|line| !line.starts_with("SHLVL=")).collect();
        assert_eq!(variables, ["DOCKER_CONFIG=/docker", "LANG=C", "PATH=/bin:/usr/bin"]);
        assert!(run(Some(Path::new("relative"))).starts_with("/\n"));
        assert!(run(None).starts_with("/\n"));
    }

    #[test]
    fn a_child_that_does_not_end_is_killed_with_its_children() {
        let home = tempfile::tempdir().unwrap();
        for script in ["sleep 60; echo x", "sleep 60 & echo $! >pid; echo x", "exec yes"] {
            let mut launcher = launcher(&[("PATH", "/bin:/usr/bin")], Some(home.path()));
            launcher.timeout = Duration::from_millis(500);
            let start = Instant::now();
            let child = launcher.child(Path::new("/bin/sh")).unwrap().args(["-c", script]);
            assert!(child.run().is_err(), "{script}");
            assert!(start.elapsed() < Duration::from_secs(20), "{script}");
        }
        #[expect(clippy::disallowed_methods, reason = "a file of the test")]
        let pid = std::fs::read_to_string(home.path().join("pid")).unwrap();
        let stat = Path::new("/proc").join(pid.trim()).join("cmdline");
        let start = Instant::now();
        while std::fs::read(&stat).is_ok_and(|line| line.starts_with(b"sleep")) {
            assert!(start.elapsed() < Duration::from_secs(9), "the grandchild lives on");
            std::thread::yield_now();
        }
    }
}
