//! Programs of another user, `nobody`, who exists everywhere. Only root can start them.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The user and the group of `nobody`.
pub(crate) struct Stranger {
    pub(crate) user: u32,
    group: u32,
}

/// A process that is killed on drop.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Stranger {
    /// `None`, said loudly, if this is not root.
    pub(crate) fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            // Past the capture of the test runner.
            let _ =
                std::io::stderr().write_all(b"SKIPPED: only root can run a program as nobody\n");
            return None;
        }
        let users = std::fs::read_to_string("/etc/passwd").expect("the users");
        let nobody = users.lines().find_map(|line| line.strip_prefix("nobody:"));
        let mut numbers = nobody.expect("the user nobody").split(':').skip(1);
        let mut number = || numbers.next().and_then(|field| field.parse().ok()).expect("a number");
        Some(Self { user: number(), group: number() })
    }

    /// Lets this user run the program.
    pub(crate) fn become_user(&self, command: &mut Command) {
        command.uid(self.user).gid(self.group);
    }

    /// Starts a program as this user.
    pub(crate) fn run(&self, mut command: Command) -> Running {
        self.become_user(&mut command);
        command.stdin(Stdio::null());
        Running(super::started(&mut command))
    }

    /// Gives a file or a directory to this user.
    pub(crate) fn give(&self, path: &Path) {
        std::os::unix::fs::chown(path, Some(self.user), Some(self.group)).expect("root gives");
    }
}

/// Waits until a program has made this file.
pub(crate) fn wait_for(path: &Path) {
    let started = Instant::now();
    while !path.exists() {
        assert!(started.elapsed() < Duration::from_secs(10), "{} does not appear", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}
