//! Texts in files below the home directory. Knows nothing of what they contain.

use std::path::PathBuf;

use crate::config::Paths;
use crate::model::{OffReason, Source, StorageKey, StoreFailure, StoredAt, Warning};
use crate::store::{CredentialStore, PreparedWrite, StoredText};
use crate::sys::atomic_file::{self, Policy, WriteError};

/// Files below the home directory.
pub struct FileStore<'a> {
    paths: &'a Paths,
}

impl<'a> FileStore<'a> {
    pub fn new(paths: &'a Paths) -> Self {
        Self { paths }
    }

    fn path(&self, key: &StorageKey) -> Result<PathBuf, StoreFailure> {
        let path = self.paths.in_home(&key.file);
        path.map_err(|problem| OffReason::NoHome(problem.to_string()).into())
    }
}

impl CredentialStore for FileStore<'_> {
    fn source(&self) -> Source {
        Source::File
    }

    fn read(&self, key: &StorageKey) -> Result<Option<StoredText>, StoreFailure> {
        let path = self.path(key)?;
        let contents = atomic_file::read(&path)
            .map_err(|reason| StoreFailure::Failed(format!("{} {reason}", path.display())))?;
        Ok(contents.map(|atomic_file::Contents { text, repaired }| StoredText {
            text,
            warning: repaired.then_some(Warning::ModeRepaired(path)),
        }))
    }

    fn prepare<'a>(
        &'a self,
        key: &'a StorageKey,
        size: usize,
    ) -> Result<PreparedWrite<'a>, StoreFailure> {
        let path = self.path(key)?;
        let prepared = atomic_file::prepare(&path, size, Policy::Private).map_err(failed)?;
        Ok(Box::new(move |text| {
            prepared.commit(text.expose_secret()).map_err(failed)?;
            Ok(StoredAt { source: Source::File, location: path.display().to_string() })
        }))
    }

    fn location(&self, key: &StorageKey) -> Option<String> {
        self.path(key).ok().map(|path| path.display().to_string())
    }

    fn delete(&self, key: &StorageKey) -> Result<bool, StoreFailure> {
        atomic_file::remove(&self.path(key)?).map_err(failed)
    }

    fn check(&self, key: &StorageKey) -> Result<(), StoreFailure> {
        self.prepare(key, 1).map(drop)
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, StoreFailure> {
        let folder = self.paths.in_home(folder);
        let folder = folder.map_err(|problem| OffReason::NoHome(problem.to_string()))?;
        let names = atomic_file::names_in(&folder);
        names.map_err(|error| StoreFailure::Failed(error.kind().to_string()))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the last step of a chain of errors")]
fn failed(error: WriteError) -> StoreFailure {
    StoreFailure::Failed(error.to_string())
}
