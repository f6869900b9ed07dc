//! A record of the configurations as `setup` wrote them: undo restores the original bytes of a file that nothing else has
//! changed since.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::edit::{self, Edit};
use super::machine::Machine;
use super::plan::Plan;
use crate::error::{Error, Result};
use crate::store::url_credentials::hash;
use crate::sys::atomic_file::Policy;

pub(super) struct Written {
    path: PathBuf,
    before: Option<String>,
    /// The digest of each file, by path; empty if something else has changed the file before `setup` did again.
    digests: BTreeMap<String, String>,
}

impl Written {
    pub(super) fn load(machine: &Machine) -> Result<Self> {
        let path = machine.own_folder().with_file_name("setup-files.json");
        let before = edit::read(&path)?;
        let digests = serde_json::from_str(before.as_deref().unwrap_or("{}")).map_err(|_| {
            Error::invalid(format!("cannot read {}", path.display())).with_hint("remove the file")
        })?;
        Ok(Self { path, before, digests })
    }

    /// Whether `setup` wrote the file.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.digests.contains_key(&key(path))
    }

    /// Whether the file is as `setup` wrote it.
    pub(super) fn is_current(&self, path: &Path, text: &str) -> bool {
        self.digests.get(&key(path)).is_some_and(|known| *known == hash(text))
    }

    /// The change of the record; `None` if nothing changes.
    pub(super) fn edit(self, plans: &[Plan]) -> Option<Edit> {
        let mut digests = self.digests.clone();
        for plan in plans {
            let path = key(plan.path());
            match plan.written(&self) {
                Some(text) => drop(digests.insert(path, text.map(hash).unwrap_or_default())),
                None if plan.is_connected => {}
                None => drop(digests.remove(&path)),
            }
        }
        let text = serde_json::to_string_pretty(&digests).unwrap_or_default() + "\n";
        let after = (!digests.is_empty()).then_some(text);
        let Self { path, before, .. } = self;
        (before != after).then_some(Edit { path, before, after, policy: Policy::Preserve })
    }
}

fn key(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
