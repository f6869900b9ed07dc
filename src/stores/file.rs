//! Slots as files below the home directory. Knows nothing of what is in them.

use std::cell::RefCell;
use std::path::Path;

use crate::paths::Paths;
use crate::private_file;
use crate::provider::Slot;
use crate::reply::{Source, Stored};
use crate::secret::Secret;
use crate::stores::{Store, Unavailable, Write};

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

impl Store for FileStore<'_> {
    fn source(&self) -> Source {
        Source::File
    }

    fn read(&self, slot: &Slot) -> Result<Option<Secret>, Unavailable> {
        let path =
            self.paths.in_home(&slot.file).map_err(|reason| Unavailable::Off(reason.into()))?;
        let contents = private_file::read(&path)
            .map_err(|reason| Unavailable::Failed(format!("{} {reason}", path.display())))?;
        Ok(contents.map(|private_file::Contents { text, repaired }| {
            if repaired {
                self.tell_repaired(&path);
            }
            text
        }))
    }

    fn prepare<'a>(&'a self, slot: &'a Slot, size: usize) -> Result<Write<'a>, Unavailable> {
        let path =
            self.paths.in_home(&slot.file).map_err(|reason| Unavailable::Off(reason.into()))?;
        let prepared = private_file::prepare(&path, size).map_err(failed)?;
        Ok(Box::new(move |text| {
            prepared.commit(text.expose_secret()).map_err(failed)?;
            Ok(Stored { source: Source::File, location: path.display().to_string() })
        }))
    }

    fn delete(&self, slot: &Slot) -> Result<bool, Unavailable> {
        let path =
            self.paths.in_home(&slot.file).map_err(|reason| Unavailable::Off(reason.into()))?;
        private_file::remove(&path).map_err(failed)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is the last link of a chain of errors")]
fn failed(error: anyhow::Error) -> Unavailable {
    Unavailable::Failed(format!("{error:#}"))
}
