//! Slots as files below the home directory. Knows nothing of what is in them.

use std::cell::RefCell;
use std::path::Path;

use crate::config::paths::Paths;
use crate::model::provider::StorageKey;
use crate::model::request::{Source, StoredAt};
use crate::model::secret::Secret;
use crate::store::{CredentialStore, StoreFailure, Write};
use crate::sys::atomic_file;

/// Files below the home directory.
pub struct FileStore<'a> {
    paths: &'a Paths,
    notes: &'a RefCell<Vec<String>>,
}

impl<'a> FileStore<'a> {
    /// The files of `paths`; what the person should know goes to `notes`.
    pub fn new(paths: &'a Paths, notes: &'a RefCell<Vec<String>>) -> Self {
        Self { paths, notes }
    }

    /// Tells that a file's mode was narrowed.
    pub fn tell_repaired(&self, path: &Path) {
        self.notes
            .borrow_mut()
            .push(format!("{} was readable by others; its mode is 0600 now", path.display()));
    }
}

impl CredentialStore for FileStore<'_> {
    fn source(&self) -> Source {
        Source::File
    }

    fn read(&self, slot: &StorageKey) -> Result<Option<Secret>, StoreFailure> {
        let path =
            self.paths.in_home(&slot.file).map_err(|reason| StoreFailure::Off(reason.into()))?;
        let contents = atomic_file::read(&path)
            .map_err(|reason| StoreFailure::Failed(format!("{} {reason}", path.display())))?;
        Ok(contents.map(|atomic_file::Contents { text, repaired }| {
            if repaired {
                self.tell_repaired(&path);
            }
            text
        }))
    }

    fn prepare<'a>(&'a self, slot: &'a StorageKey, size: usize) -> Result<Write<'a>, StoreFailure> {
        let path =
            self.paths.in_home(&slot.file).map_err(|reason| StoreFailure::Off(reason.into()))?;
        let prepared = atomic_file::prepare(&path, size).map_err(failed)?;
        Ok(Box::new(move |text| {
            prepared.commit(text.expose_secret()).map_err(failed)?;
            Ok(StoredAt { source: Source::File, location: path.display().to_string() })
        }))
    }

    fn delete(&self, slot: &StorageKey) -> Result<bool, StoreFailure> {
        let path =
            self.paths.in_home(&slot.file).map_err(|reason| StoreFailure::Off(reason.into()))?;
        atomic_file::remove(&path).map_err(failed)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is the last link of a chain of errors")]
fn failed(error: anyhow::Error) -> StoreFailure {
    StoreFailure::Failed(format!("{error:#}"))
}
