//! Texts in files below the home directory.

use std::path::PathBuf;

use super::{CredentialStore, PreparedWrite, StoreResult, StoredText};
use crate::config::Paths;
use crate::model::{OffReason, Source, StorageKey, StoreFailure, StoredAt, Warning};
use crate::sys::atomic_file::{self, Policy, WriteError};

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
        // An empty mounted file counts as removed.
        let is_removed = |found: &atomic_file::Contents| {
            found.text.expose_secret().is_empty() && atomic_file::is_mount_point(&path)
        };
        Ok(contents.filter(|found| !is_removed(found)).map(
            |atomic_file::Contents { text, repaired }| StoredText {
                text,
                warning: repaired.then_some(Warning::ModeRepaired(path)),
            },
        ))
    }

    fn prepare<'a>(&'a self, key: &'a StorageKey, size: usize) -> StoreResult<PreparedWrite<'a>> {
        let path = self.path(&key.file)?;
        let prepared = atomic_file::prepare(&path, size, Policy::Private).map_err(failed)?;
        Ok(Box::new(move |text| {
            prepared.commit(text.expose_secret()).map_err(failed)?;
            Ok(StoredAt::new(Source::File, path.display().to_string()))
        }))
    }

    fn location(&self, key: &StorageKey) -> Option<String> {
        self.path(&key.file).ok().map(|path| path.display().to_string())
    }

    fn delete(&self, key: &StorageKey) -> StoreResult<bool> {
        atomic_file::remove(&self.path(&key.file)?).map_err(failed)
    }

    fn check(&self, key: &StorageKey) -> StoreResult<()> {
        self.prepare(key, 1).map(drop)
    }

    fn list(&self, directory: &str) -> StoreResult<Vec<String>> {
        let names = atomic_file::names_in(&self.path(directory)?);
        names.map_err(|error| StoreFailure::Failed(error.kind().to_string()))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: WriteError) -> StoreFailure {
    StoreFailure::Failed(error.to_string())
}
