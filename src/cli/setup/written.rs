//! A record of the configurations as `setup` wrote them: undo restores the original bytes of a file that nothing else has
//! changed since.

use std::collections::BTreeMap;
use std::path::Path;

use super::edit::{Edit, Record};
use super::machine::Machine;
use super::plan::Plan;
use crate::error::Result;
use crate::store::url_credentials::hash;

/// The digest of each file, by path; empty if something else has changed the file before `setup` did again.
pub(super) struct Written(Record<BTreeMap<String, String>>);

impl Written {
    pub(super) fn load(machine: &Machine) -> Result<Self> {
        Record::load(machine, "setup-files.json").map(Self)
    }

    /// Whether `setup` wrote the file.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.0.value.contains_key(&*path.to_string_lossy())
    }

    /// Whether the file is as `setup` wrote it.
    pub(super) fn is_current(&self, path: &Path, text: &str) -> bool {
        self.0.value.get(&*path.to_string_lossy()).is_some_and(|known| *known == hash(text))
    }

    /// The change of the record; `None` if nothing changes.
    pub(super) fn edit(mut self, plans: &[Plan]) -> Option<Edit> {
        // Two plans may have one file.
        let mut digests = self.0.value.clone();
        for plan in plans {
            let path = plan.path().to_string_lossy().into_owned();
            match plan.written(&self) {
                Some(digest) => drop(digests.insert(path, digest)),
                None if plan.is_connected => {}
                None => drop(digests.remove(&path)),
            }
        }
        self.0.value = digests;
        let is_empty = self.0.value.is_empty();
        self.0.edit(is_empty)
    }
}
