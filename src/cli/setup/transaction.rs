//! All of a `setup`, or nothing: every file is prepared before the first one changes, and a failure takes back what was
//! done before it.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::path::{Path, PathBuf};

use super::edit::{self, Edit};
use super::link::Link;
use crate::error::{Error, Result};
use crate::sys::atomic_file::{self, Prepared};
use crate::sys::signals;

/// A planned step. Steps of two tools may be equal: docker and podman have one file and one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    MakeLink(Link),
    RemoveLink(Link),
    Edit(Edit),
}

/// Does all steps in their order, or none.
pub(super) fn run(steps: impl IntoIterator<Item = Step>) -> Result<()> {
    let mut distinct: Vec<Step> = Vec::new();
    for step in steps {
        if !distinct.contains(&step) {
            distinct.push(step);
        }
    }
    let mut created = Vec::new();
    let ready: Result<_> = distinct.into_iter().map(|step| check(step, &mut created)).collect();
    let done = ready.and_then(|ready| apply(ready, &mut created));
    if done.is_err() {
        // Only directories that are still empty: what somebody else has put there stays.
        created.iter().rev().for_each(|folder| drop(std::fs::remove_dir(folder)));
    }
    done
}

/// Everything of a step that can fail before anything changes. Directories that it creates are added to `created`.
fn check(step: Step, created: &mut Vec<PathBuf>) -> Result<(Step, Option<Prepared>)> {
    let prepared = match &step {
        Step::Edit(Edit { path, before, .. }) if edit::read(path)? != *before => {
            return Err(changed_meanwhile(path));
        }
        Step::Edit(Edit { path, after: Some(after), policy, .. }) => {
            created.extend(missing_folders(path));
            Some(atomic_file::prepare(path, after.len(), *policy)?)
        }
        Step::MakeLink(Link { path, .. })
        | Step::RemoveLink(Link { path, .. })
        | Step::Edit(Edit { path, .. }) => {
            atomic_file::check_removal(path)?;
            None
        }
    };
    Ok((step, prepared))
}

fn changed_meanwhile(path: &Path) -> Error {
    let path = path.display();
    Error::invalid_state(format!("{path} was changed by another program during the setup"))
        .with_hint("run the command again; nothing was changed")
}

/// The directories above a path that do not exist, the outermost first.
fn missing_folders(path: &Path) -> Vec<PathBuf> {
    let missing = path.ancestors().skip(1).take_while(|folder| !folder.exists());
    let mut missing: Vec<_> = missing.map(Path::to_owned).collect();
    missing.reverse();
    missing
}

fn apply(steps: Vec<(Step, Option<Prepared>)>, created: &mut Vec<PathBuf>) -> Result<()> {
    // Control-C waits until all is done or rolled back.
    let _held = signals::block();
    let mut done = Vec::new();
    for (step, prepared) in steps {
        let permissions = match &step {
            Step::Edit(edit) => std::fs::metadata(&edit.path).map(|found| found.permissions()).ok(),
            _ => None,
        };
        let result = match (&step, prepared) {
            (Step::MakeLink(link), _) => {
                created.extend(missing_folders(&link.path));
                link.make()
            }
            (Step::Edit(Edit { after: Some(after), .. }), Some(prepared)) => {
                prepared.commit(after).map_err(Error::from)
            }
            // Two tools may share a link.
            (Step::RemoveLink(Link { path, .. }) | Step::Edit(Edit { path, .. }), _) => {
                atomic_file::remove(path).map(drop).map_err(Error::from)
            }
        };
        if let Err(error) = result {
            return Err(roll_back(done, error));
        }
        done.push((step, permissions));
    }
    Ok(())
}

/// Takes back the steps, the last one first. Returns the error, with what could not be taken back.
fn roll_back(done: Vec<(Step, Option<Permissions>)>, mut error: Error) -> Error {
    for (step, permissions) in done.into_iter().rev() {
        let undone = match &step {
            Step::MakeLink(link) | Step::RemoveLink(link) => link.restore(),
            Step::Edit(Edit { path, before: Some(before), policy, .. }) => {
                let restored = atomic_file::prepare(path, before.len(), *policy)
                    .and_then(|prepared| prepared.commit(before));
                // A file that was removed had a mode, too.
                permissions.map(|permissions| std::fs::set_permissions(path, permissions));
                restored.map_err(Error::from)
            }
            Step::Edit(edit) => atomic_file::remove(&edit.path).map(drop).map_err(Error::from),
        };
        if let Err(Error { message, .. }) = undone {
            let _ = write!(error.message, "; not rolled back: {message}");
        }
    }
    error
}
