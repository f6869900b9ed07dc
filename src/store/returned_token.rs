//! The token that was returned last, and the process that received it, as a hash. A tool that cannot report a rejected
//! token (kubectl) requests a credential again before the token's expiry instead.
//!
//! The file has one entry: if several such tools run at the same time, a rejection is detected one call later.

use super::url_credentials::hash;
use crate::config::Paths;
use crate::model::{Secret, Target};
use crate::sys::atomic_file;
use crate::sys::os::calling_process;

const FILE: &str = ".my/handed-out";

/// Records that the calling process receives this token for `target`; returns whether that was already the last entry.
pub fn is_repeated(paths: &Paths, target: Option<&Target>, token: &Secret) -> bool {
    let (Some(process), Ok(path)) = (calling_process(), paths.in_home(FILE)) else { return false };
    let target = target.map(ToString::to_string).unwrap_or_default();
    let entry = hash(&format!("{process} {target} {}", token.expose_secret()));
    let last = atomic_file::read(&path).ok().flatten();
    if last.is_some_and(|last| last.text.expose_secret() == entry) {
        return true;
    }
    // If the file cannot be written, no rejection is detected.
    let _ = atomic_file::write_fleeting(&path, &entry);
    false
}
