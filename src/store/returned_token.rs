//! The tokens that were returned last, and the processes that received them, as hashes. A tool that cannot report a rejected
//! token (kubectl) requests a credential again before the token's expiry instead.
//!
//! If two such tools run at the same moment, one entry may be lost: a rejection is then detected one call later.

use super::url_credentials::hash;
use crate::config::Paths;
use crate::model::{Secret, Target};
use crate::sys::atomic_file;
use crate::sys::os::calling_process;

const FILE: &str = ".my/handed-out";

/// The processes that are remembered: clients that run for a long time, as k9s or a provider of Terraform, and the calls of
/// kubectl between two requests of these.
const MAX_ENTRIES: usize = 64;

/// Records that the calling process receives this token for `target`; returns whether it had received it before.
pub fn is_repeated(paths: &Paths, target: Option<&Target>, token: &Secret) -> bool {
    let (Some(process), Ok(path)) = (calling_process(), paths.in_home(FILE)) else { return false };
    let target = target.map(ToString::to_string).unwrap_or_default();
    let entry = hash(&format!("{process} {target} {}", token.expose_secret()));
    let known = atomic_file::read(&path).ok().flatten();
    let known = known.as_ref().map_or("", |known| known.text.expose_secret());
    if known.lines().any(|line| line == entry) {
        return true;
    }
    let entries: Vec<_> = std::iter::once(&*entry).chain(known.lines()).take(MAX_ENTRIES).collect();
    // If the file cannot be written, no rejection is detected.
    let _ = atomic_file::write_fleeting(&path, &entries.join("\n"));
    false
}
