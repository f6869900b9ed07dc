//! A small file system that is mounted for a test, which requires root.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Home;

/// A file system of so many KiB on the home's `.my`, gone with it.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// `None`, said loudly, where nothing can be mounted.
    pub(crate) fn on(home: &Home, kib: usize) -> Option<Self> {
        let folder = home.path().join(".my");
        std::fs::create_dir_all(&folder).unwrap();
        let mounted = Self(folder);
        let options = format!("size={kib}k,mode=0700");
        if mounted.mount(&["-t", "tmpfs", "-o", &options, "none"]) {
            return Some(mounted);
        }
        let _ = std::io::stderr().write_all(b"SKIPPED: only root can mount a small disk\n");
        std::mem::forget(mounted);
        None
    }

    pub(crate) fn mount(&self, arguments: &[&str]) -> bool {
        let mut command = Command::new("mount");
        command.args(arguments).arg(&self.0).stderr(std::process::Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// Leaves room for so many pages of 4 KiB.
    pub(crate) fn fill(&self, left: usize) {
        let filler = self.0.join("filler");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).mode(0o600).open(&filler).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        let full = file.metadata().unwrap().len();
        file.set_len(full.saturating_sub(left as u64 * 4096)).unwrap();
    }

    pub(crate) fn empty(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
