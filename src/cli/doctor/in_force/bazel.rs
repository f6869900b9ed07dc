//! Bazel: the lines of `~/.bazelrc` and of the files that it imports. Of the helpers that match a host the most exact one
//! is used. Of equal ones, a line for a command such as `build` precedes one for every command, wherever the lines stand,
//! and the last line precedes the others. Bazel has no command that prints them.

use std::path::{Path, PathBuf};

use super::{InForce, is_named, target_of};
use crate::cli::setup::{bazel, edit};
use crate::error::{Result, sanitize};

const NAME: &str = "bazel-credential-my";

/// The option, and its name in Bazel 6, which later versions accept.
const OPTIONS: [&str; 2] = ["--credential_helper", "--experimental_credential_helper"];

/// Imports of imports.
const MAX_DEPTH: usize = 8;

struct Helper {
    /// The host, a pattern as `*.acme.dev`, or empty for every host.
    pattern: String,
    command: String,
    /// Whether the line is for some commands of Bazel only.
    is_for_commands: bool,
    place: PathBuf,
}

pub(super) fn inspect(in_force: &mut InForce<'_>) -> Result<()> {
    let mut helpers = Vec::new();
    // The user's file is read after those of the system. Debian's Bazel reads the first.
    for path in ["/etc/bazel/bazelrc", "/etc/bazel.bazelrc"] {
        read(Path::new(path), MAX_DEPTH, &mut helpers)?;
    }
    read(&in_force.subject.file(), MAX_DEPTH, &mut helpers)?;
    let ours = helpers.iter().filter(|helper| helper.is_ours());
    let ours: Vec<_> = ours.map(|helper| helper.pattern.clone()).collect();
    if ours.is_empty() {
        return Ok(());
    }
    let known = in_force.subject.hosts();
    let named = ours.iter().filter(|it| !it.is_empty()).map(|host| (host.clone(), true));
    let hosts = known.iter().map(|target| (target.origin.host().to_owned(), false));
    for (host, is_named) in named.chain(hosts) {
        // Bazel knows no ports: the host with the port of the provider is the one that is asked for.
        let known = known.iter().find(|target| target.origin.host() == host).cloned();
        let Some(target) = known.or_else(|| target_of(&host)) else { continue };
        if in_force.targets.contains(&target) || !bazel::is_accepted(target.origin.host()) {
            continue;
        }
        let matching = helpers.iter().filter(|it| it.matches(target.origin.host()));
        match matching.max_by_key(|it| it.rank()) {
            Some(helper) if helper.is_ours() => {
                in_force.commands.push(helper.command.clone());
                in_force.targets.push(target);
            }
            Some(other) if is_named => {
                let place = other.place.display();
                let what = format!("`{}` in {place}", super::first_word(&other.command));
                in_force.precedes(&what, &target.origin, format!("remove it from {place}"));
            }
            _ => in_force.not_set_up_for(&target, &sanitize(&host)),
        }
    }
    Ok(())
}

impl Helper {
    fn is_ours(&self) -> bool {
        is_named(&self.command, NAME)
    }

    /// `*.acme.dev` matches `acme.dev` too.
    fn matches(&self, host: &str) -> bool {
        match self.pattern.strip_prefix("*.") {
            _ if self.pattern.is_empty() => true,
            Some(domain) => {
                host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            None => host == self.pattern,
        }
    }

    /// `max_by_key` returns the last of equal ones.
    fn rank(&self) -> (bool, usize, bool) {
        let is_exact = !self.pattern.is_empty() && !self.pattern.starts_with("*.");
        (is_exact, self.pattern.len(), self.is_for_commands)
    }
}

/// Adds the helpers of a file that are for every configuration of a build.
fn read(path: &Path, depth: usize, helpers: &mut Vec<Helper>) -> Result<()> {
    let text = edit::read(path)?.unwrap_or_default().replace("\\\n", "");
    for line in text.lines() {
        let words = bazel::words(line);
        let mut words = words.iter();
        let command = words.next().map(String::as_str).unwrap_or_default();
        if matches!(command, "import" | "try-import") {
            // A path of the workspace is not read.
            let imported = words.next().map(PathBuf::from).filter(|path| path.is_absolute());
            if let Some(imported) = imported.filter(|_| depth > 0) {
                read(&imported, depth - 1, helpers)?;
            }
            continue;
        }
        if command.contains(':') {
            continue;
        }
        let is_for_commands = !matches!(command, "common" | "always");
        while let Some(word) = words.next() {
            let Some(value) = OPTIONS.iter().find_map(|option| word.strip_prefix(option)) else {
                continue;
            };
            let value = match value.strip_prefix('=') {
                None if value.is_empty() => words.next().map(String::as_str),
                value => value,
            };
            let Some(value) = value else { continue };
            let (pattern, command) = value.split_once('=').unwrap_or(("", value));
            let (pattern, command) = (pattern.to_owned(), command.to_owned());
            helpers.push(Helper { pattern, command, is_for_commands, place: path.to_owned() });
        }
    }
    Ok(())
}
