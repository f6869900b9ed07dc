//! `~/.netrc`, whose passwords git, Go, pip and uv use before they ask anything else.

use super::Subject;
use crate::cli::doctor::finding::Finding;
use crate::cli::setup::edit;
use crate::model::Target;

/// A finding for each target that the file has a password for.
pub(super) fn examine(subject: &Subject<'_>, targets: &[Target]) -> Vec<Finding> {
    // requests and uv read the file of the variable, git and Go the one in the home directory.
    let moved =
        subject.variable("NETRC").filter(|_| matches!(subject.tool.name, "pip" | "uv" | "go"));
    let path = moved.map_or_else(|| subject.machine.home.join(".netrc"), Into::into);
    let text = if path.is_absolute() { edit::read(&path).ok().flatten() } else { None };
    let Some(text) = text else { return Vec::new() };
    let words: Vec<_> = text.split_whitespace().collect();
    let has = |host: &str| {
        words.contains(&"default") || words.windows(2).any(|pair| pair == ["machine", host])
    };
    let named = targets.iter().filter(|target| has(target.origin.host()));
    let path = path.display();
    named
        .map(|target| {
            let fix = format!("remove the entry from {path}");
            subject.precedes(&format!("the entry in {path}"), &target.origin, fix)
        })
        .collect()
}
