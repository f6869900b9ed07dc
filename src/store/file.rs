//! Texts in files below the home directory.

use std::path::PathBuf;

use super::{CredentialStore, PreparedWrite, StoreResult, StoredText};
use crate::config::Paths;
use crate::model::{OffReason, Source, StorageKey, StoreFailure, StoredAt, Warning};
use crate::sys::atomic_file::{self, Contents, Policy, WriteError};

pub struct FileStore<'a> {
    paths: &'a Paths,
}

impl<'a> FileStore<'a> {
    pub fn new(paths: &'a Paths) -> Self {
        Self { paths }
    }

    fn path(&self, relative: &str) -> StoreResult<PathBuf> {
        let path = self.paths.in_home(relative);
        path.map_err(|problem| OffReason::NoHome(problem.to_string()).into())
    }
}

impl CredentialStore for FileStore<'_> {
    fn source(&self) -> Source {
        Source::File
    }

    fn read(&self, key: &StorageKey) -> StoreResult<Option<StoredText>> {
        let path = self.path(&key.file)?;
        let contents = atomic_file::read(&path)
            .map_err(|reason| StoreFailure::Failed(format!("{} {reason}", path.display())))?;
        let Some(Contents { text, repaired }) = contents else { return Ok(None) };
        // An empty mounted file counts as removed.
        if text.is_empty() && atomic_file::is_mount_point(&path) {
            return Ok(None);
        }
        let warning = repaired.then_some(Warning::ModeRepaired(path));
        Ok(Some(StoredText { text, warning }))
    }

    fn prepare<'a>(&'a self, key: &'a StorageKey, size: usize) -> StoreResult<PreparedWrite<'a>> {
        let path = self.path(&key.file)?;
        let prepared = atomic_file::prepare(&path, size, Policy::Private)?;
        Ok(Box::new(move |text| {
            prepared.commit(text.expose_secret())?;
            Ok(StoredAt::new(Source::File, path.display().to_string()))
        }))
    }

    fn location(&self, key: &StorageKey) -> Option<String> {
        self.path(&key.file).ok().map(|path| path.display().to_string())
    }

    fn delete(&self, key: &StorageKey) -> StoreResult<bool> {
        Ok(atomic_file::remove(&self.path(&key.file)?)?)
    }

    fn check(&self, key: &StorageKey) -> StoreResult<()> {
        self.prepare(key, 1).map(drop)
    }

    fn list(&self, directory: &str) -> StoreResult<Vec<String>> {
        let names = atomic_file::names_in(&self.path(directory)?);
        names.map_err(|error| StoreFailure::Failed(error.kind().to_string()))
    }
}

impl From<WriteError> for StoreFailure {
    fn from(error: WriteError) -> Self {
        Self::Failed(error.to_string())
    }
}
