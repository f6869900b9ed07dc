//! `flock(2)` on a file: for mycli's default account `~/.my/refresh.lock`, which `my` takes around a refresh too. Held
//! until it is dropped, or the process dies.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::sys::atomic_file;

/// How long to wait between two tries.
pub const PAUSE: Duration = Duration::from_millis(5);

/// The lock, held.
pub struct Lock(#[expect(dead_code, reason = "held, not used")] File);

/// Takes the lock if nobody else has it.
pub fn try_lock(path: &Path) -> anyhow::Result<Option<Lock>> {
    let file = atomic_file::open_lock(path)?;
    // By its full name: since Rust 1.89 std has methods of the same name, which would be called instead.
    match fs2::FileExt::try_lock_exclusive(&file) {
        Ok(()) => Ok(Some(Lock(file))),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}
