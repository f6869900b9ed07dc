//! Locks on files (`flock(2)`). `~/.my/refresh.lock`, of mycli's default account, is shared with the command line `my`.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use crate::sys::atomic_file::{self, WriteError};
use crate::sys::clock::Clock;

/// The delay between two attempts to take a lock.
pub const RETRY_DELAY: Duration = Duration::from_millis(5);

/// A lock that is held until it is dropped, or the process ends.
pub trait Lock {}

pub trait Locks {
    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>, WriteError>;
}

pub struct FileLocks;

/// The open file holds the lock.
impl Lock for File {}

impl Locks for FileLocks {
    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn Lock>>, WriteError> {
        let Some(file) = atomic_file::open_lock(path)? else { return Ok(None) };
        // With the name of the trait: since Rust 1.89 std has methods of the same name, which would be called instead.
        match fs2::FileExt::try_lock_exclusive(&file) {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(error) if is_contended(&error) => Ok(None),
            Err(error) => Err(WriteError::new("locking", path, error)),
        }
    }
}

/// Compares the error number: on Windows, the error has no `ErrorKind` of its own (`ERROR_LOCK_VIOLATION`).
fn is_contended(error: &std::io::Error) -> bool {
    error.raw_os_error() == fs2::lock_contended_error().raw_os_error()
}

/// Waits for the lock on a file; `None` if another process still holds it after `timeout`.
pub fn wait(
    locks: &dyn Locks,
    clock: &dyn Clock,
    path: &Path,
    timeout: Duration,
) -> Result<Option<Box<dyn Lock>>, WriteError> {
    let deadline = clock.instant() + timeout;
    loop {
        let lock = locks.try_lock(path)?;
        if lock.is_some() || clock.instant() >= deadline {
            return Ok(lock);
        }
        clock.sleep(RETRY_DELAY);
    }
}
