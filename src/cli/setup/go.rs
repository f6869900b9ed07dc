//! go: `GOAUTH` in the file of `go env -w`, a line for each variable.

use std::path::{Path, PathBuf};

use super::lines;
use super::machine::Machine;
use super::tools::{
    Named, Probe, Removal, Request, Selection, SetupTool, shown_commands, unusable_path,
};
use crate::error::Result;

pub(super) const TOOL: SetupTool = SetupTool {
    name: "go",
    programs: &["go"],
    link: None,
    names_hosts: false,
    selection: Selection::Arguments,
    file,
    add,
    remove,
    notes,
    probe: Probe { arguments: &["goauth"], input: "", proof: "Authorization" },
    version: &["version"],
    least: Some((1, 24, "does not support GOAUTH; use 1.24 or later")),
};

const PROGRAM: &str = "my-credential-helper";
const KEY: &str = "GOAUTH=";

fn file(machine: &Machine) -> PathBuf {
    let folder = machine.roaming().unwrap_or_else(|| {
        if cfg!(target_os = "macos") {
            machine.home.join("Library/Application Support")
        } else {
            machine.configuration()
        }
    });
    machine
        .variable("GOENV")
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| folder.join("go/env"))
}

/// The authentication methods of `GOAUTH`, in their order. go uses the last line (cmd/go/internal/cfg, `readEnvFile`).
fn methods(text: &str) -> Vec<&str> {
    let value = text.lines().filter_map(|line| line.strip_prefix(KEY)).next_back();
    let methods = value.unwrap_or_default().split(';').map(str::trim);
    methods.filter(|method| !method.is_empty()).collect()
}

/// Whether go runs this program for the method. Version 0.1.0 wrote a path with blanks without quotes.
fn is_ours(machine: &Machine, method: &str) -> bool {
    let words = words(method);
    let is_program = |word: &&str| Path::new(word).file_stem().is_some_and(|it| it == PROGRAM);
    words.first().is_some_and(is_program) && words.last() == Some(&"goauth")
        || method.strip_suffix(" goauth").is_some_and(|path| Path::new(path) == machine.program)
}

/// The words of a command: quotes count at the start of a word, and nothing is escaped (cmd/internal/quoted, `Split`).
pub(in crate::cli) fn words(mut text: &str) -> Vec<&str> {
    const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];
    let mut words = Vec::new();
    while let Some(first) = {
        text = text.trim_start_matches(BLANKS);
        text.chars().next()
    } {
        let (word, rest) = match first {
            '\'' | '"' => text[1..].split_once(first).unwrap_or((text, "")),
            _ => text.split_at(text.find(BLANKS).unwrap_or(text.len())),
        };
        words.push(word);
        text = rest;
    }
    words
}

/// The command of this program. go splits `GOAUTH` at each `;`, and a word has one kind of quotes.
fn command(request: &Request<'_>) -> Result<String> {
    let program = match request.command()? {
        Named::Name(name) => name,
        Named::Path(path) => {
            let quote = ["", "'", "\""].into_iter().find(|quote| {
                let word = format!("{quote}{path}{quote}");
                !path.contains(';') && words(&word) == [&*path]
            });
            let quote = quote.ok_or_else(|| {
                unusable_path(request.link, "has characters that cannot be quoted in GOAUTH")
            })?;
            format!("{quote}{path}{quote}")
        }
    };
    Ok([&[program], request.options, &["goauth".to_owned()]].concat().join(" "))
}

fn add(request: &Request<'_>, text: &str) -> Result<String> {
    let (before, own) = (methods(text), command(request)?);
    let mut after: Vec<&str> = before
        .iter()
        .copied()
        .filter(|method| *method != "off" && !is_ours(request.machine, method))
        .collect();
    // The default of go.
    if before.is_empty() && request.machine.home.join(".netrc").is_file() {
        after.push("netrc");
    }
    if before.contains(&&*own) {
        return Ok(text.to_owned());
    }
    after.push(&own);
    Ok(with(text, &after))
}

fn remove(removal: &Removal<'_>, text: &str) -> Result<String> {
    let before = methods(text);
    let rest: Vec<_> =
        before.iter().copied().filter(|method| !is_ours(removal.machine, method)).collect();
    Ok(if rest == before { text.to_owned() } else { with(text, &rest) })
}

/// The text with these methods. `go env -w` too keeps only the last of several lines, and it needs go.
fn with(text: &str, methods: &[&str]) -> String {
    let line = format!("{KEY}{}\n", methods.join("; "));
    let mut lines: Vec<_> = text.split_inclusive('\n').collect();
    let last = lines.iter().rposition(|line| line.starts_with(KEY));
    match last {
        Some(last) if methods.is_empty() => drop(lines.remove(last)),
        Some(last) => lines[last] = &line,
        None => return lines::with(text, line.trim_end()),
    }
    lines.concat()
}

fn notes(request: &Request<'_>, text: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let others: Vec<_> = methods(text)
        .into_iter()
        .filter(|method| *method != "off" && !is_ours(request.machine, method))
        .collect();
    if !others.is_empty() {
        notes.push(format!(
            "{} was not changed, and is tried before this program",
            shown_commands(&others)
        ));
    }
    if !text.contains("GOPRIVATE=") && !text.contains("GOPROXY=") {
        let host =
            request.hosts.iter().find_map(|host| Some(host.target()?.origin.host().to_owned()));
        let host = host.unwrap_or_else(|| "HOST".to_owned());
        notes.push(format!(
            "for modules that are fetched directly from their host, run `go env -w GOPRIVATE={host}`"
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::{methods, with, words};

    #[test]
    fn words_are_split_as_go_splits_them() {
        for (text, expected) in [
            ("'/a b/x' goauth", &["/a b/x", "goauth"][..]),
            ("\"/a 'b/x\"goauth", &["/a 'b/x", "goauth"]),
            ("/a'b/x\tgoauth\r", &["/a'b/x", "goauth"]),
            ("", &[]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn the_last_line_counts() {
        let text = "GOAUTH=a\nGOFLAGS=-x\nGOAUTH=b; c";
        assert_eq!(methods(text), ["b", "c"]);
        assert_eq!(with(text, &["d"]), "GOAUTH=a\nGOFLAGS=-x\nGOAUTH=d\n");
        assert_eq!(with("GOFLAGS=-x", &["d"]), "GOFLAGS=-x\nGOAUTH=d\n");
        assert_eq!(with("GOAUTH=a\n", &[]), "");
    }
}
