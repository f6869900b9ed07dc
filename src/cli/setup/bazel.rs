//! Bazel: a credential helper for each host, a line each in `~/.bazelrc`.

use std::path::PathBuf;

use super::machine::Machine;
use super::tools::{Folder, Probe, Removal, Request, Selection, SetupTool, is_named};
use super::{lines, link};
use crate::error::Result;
use crate::model::HostPattern;

pub(super) const TOOL: SetupTool = SetupTool {
    name: "bazel",
    programs: &["bazel", "bazelisk"],
    link: Some((LINK, Folder::Programs)),
    names_hosts: true,
    selection: Selection::Host,
    file,
    add,
    remove,
    notes: |request, _| left_out(request),
    probe: Probe { arguments: &["get"], input: "{\"uri\":\"{url}/\"}", proof: "Authorization" },
    least: Some((7, 0, "has only `--experimental_credential_helper`")),
};

const LINK: &str = "bazel-credential-my";
const OPTION: &str = "--credential_helper=";

fn file(machine: &Machine) -> PathBuf {
    machine.home.join(".bazelrc")
}

/// Bazel matches hosts without ports, and the patterns of the configuration.
fn scope(pattern: &HostPattern) -> String {
    pattern.target().map_or_else(|| pattern.to_string(), |target| target.origin.host().to_owned())
}

/// Whether Bazel can be configured for the host. With another host in its configuration, every command of Bazel fails.
pub(in crate::cli) fn is_accepted(host: &str) -> bool {
    let host = host.strip_prefix("*.").unwrap_or(host);
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

fn left_out(request: &Request<'_>) -> Vec<String> {
    let hosts = request.hosts.iter().filter(|host| !is_accepted(&scope(host)));
    let reason = "bazel accepts only letters, digits, `-` and `.` in the name of a host";
    hosts.map(|host| format!("{host} was left out: {reason}")).collect()
}

fn add(request: &Request<'_>, text: &str) -> Result<String> {
    let command = escaped(&request.command()?);
    let scopes = request.hosts.iter().map(scope).filter(|scope| is_accepted(scope));
    Ok(scopes.fold(text.to_owned(), |text, scope| {
        let is_former = |known: &str| own_scope(request.machine, known).as_ref() == Some(&scope);
        lines::replaced(&text, &format!("common {OPTION}{scope}={command}"), is_former)
    }))
}

fn remove(removal: &Removal<'_>, text: &str) -> Result<String> {
    let is_removed = |known: String| removal.includes(|pattern| scope(pattern) == known);
    Ok(lines::without(text, |line| own_scope(removal.machine, line).is_some_and(is_removed)))
}

/// The scope of a line of ours. Version 0.1.0 wrote the path without escapes.
fn own_scope(machine: &Machine, line: &str) -> Option<String> {
    let raw = line.strip_prefix("common ").and_then(|rest| rest.strip_prefix(OPTION));
    if let Some((scope, path)) = raw.and_then(|rest| rest.split_once('='))
        && link::is_own_path(machine, LINK, path)
    {
        return Some(scope.to_owned());
    }
    let words = words(line);
    let [command, option] = &*words else { return None };
    let (scope, path) = option.strip_prefix(OPTION)?.split_once('=')?;
    (is_named(path, LINK) && command.starts_with(|c: char| c.is_ascii_alphabetic()))
        .then(|| scope.to_owned())
}

/// A word of a line, in which Bazel interprets these characters.
fn escaped(word: &str) -> String {
    let is_special = |c: char| c.is_ascii_whitespace() || matches!(c, '\\' | '\'' | '"' | '#');
    word.chars().flat_map(|c| is_special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// The words of a line. In quotes too, a backslash is removed and the next character stays (Bazel,
/// src/main/cpp/util/strings.cc, `GetNextToken`).
pub(in crate::cli) fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => word.extend(characters.next()),
            _ if quote == Some(c) => quote = None,
            _ if quote.is_some() => word.push(c),
            '\'' | '"' => quote = Some(c),
            '#' => break,
            _ if c.is_ascii_whitespace() => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::{escaped, words};

    #[test]
    fn an_escaped_word_is_read_back() {
        for word in ["/home/a b/x", "/a'b\"c\\d#e\tf", "/ü/$(id)`id`;%home%"] {
            assert_eq!(words(&format!("common {} # c", escaped(word))), ["common", word]);
        }
        assert_eq!(words(r#"a 'b \'c' "d"e # f"#), ["a", "b 'c", "de"]);
    }
}
