//! `~/.netrc`, whose passwords git, Go, pip and uv use before they ask anything else.

use super::InForce;
use crate::cli::setup::edit;

/// Adds a finding for each target that the file has a password for.
pub(super) fn examine(in_force: &mut InForce<'_>) {
    let subject = in_force.subject;
    // requests and uv read the file of the variable, git and Go the one in the home directory.
    let moved =
        subject.variable("NETRC").filter(|_| matches!(subject.tool.name, "pip" | "uv" | "go"));
    let path = moved.map_or_else(|| subject.machine.home.join(".netrc"), Into::into);
    let text = if path.is_absolute() { edit::read(&path).ok().flatten() } else { None };
    let Some(text) = text else { return };
    let words: Vec<_> = text.split_whitespace().collect();
    let path = path.display();
    for origin in in_force.targets.clone().into_iter().map(|target| target.origin) {
        let is_named = words.windows(2).any(|pair| pair == ["machine", origin.host()]);
        if is_named || words.contains(&"default") {
            let fix = format!("remove the entry from {path}");
            in_force.precedes(&format!("the entry in {path}"), &origin, fix);
        }
    }
}
