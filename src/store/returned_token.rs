//! Which token was handed out last, and to which process, as a hash. A tool that cannot say that a token was refused
//! (kubectl) asks again instead, although it was told that the token still lives.
//!
//! One line is enough: where several such tools run at once, a refusal is noticed a call later.

use crate::config::Paths;
use crate::model::{Secret, Target};
use crate::store::url_credentials::hash;
use crate::sys::atomic_file;

/// Below the home directory.
const FILE: &str = ".my/handed-out";

/// Takes note that the process that asks is given this token for this place; says whether it was the last to be.
pub fn is_repeated(paths: &Paths, place: Option<&Target>, token: &Secret) -> bool {
    let (Some(process), Ok(path)) = (asking_process(), paths.in_home(FILE)) else { return false };
    let place = place.map(ToString::to_string).unwrap_or_default();
    let line = hash(&format!("{process} {place} {}", token.expose_secret()));
    let known = atomic_file::read(&path).ok().flatten();
    if known.is_some_and(|known| known.text.expose_secret() == line) {
        return true;
    }
    // Where nothing can be written, nothing is noticed.
    let _ = atomic_file::write_fleeting(&path, &line);
    false
}

/// The process that started this one; with the time of its start where the system tells, since numbers come again.
#[cfg(unix)]
fn asking_process() -> Option<String> {
    let number = rustix::process::getppid()?.as_raw_nonzero();
    let status = std::fs::read(format!("/proc/{number}/stat")).unwrap_or_default();
    // proc(5): the name in parentheses may hold anything, and the start is the 20th field behind it.
    let fields = status.rsplit(|byte| *byte == b')').next().unwrap_or_default();
    let start = fields.split(|byte| *byte == b' ').nth(20).unwrap_or_default();
    Some(format!("{number} {}", String::from_utf8_lossy(start)))
}

#[cfg(not(unix))]
fn asking_process() -> Option<String> {
    None
}
