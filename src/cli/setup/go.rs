//! go: `GOAUTH` in the file of `go env -w`, a line for each variable.

use std::path::{Path, PathBuf};

use super::lines;
use super::machine::Machine;
use super::tools::{
    Probe, Removal, Request, Selection, SetupTool, is_named, shown_commands, unusable_path,
};
use crate::error::Result;
use crate::model::Origin;

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
    least: Some((1, 24, "does not support GOAUTH; use 1.24 or later")),
};

const PROGRAM: &str = "my-credential-helper";
const KEY: &str = "GOAUTH=";

fn file(machine: &Machine) -> PathBuf {
    let folder = machine.roaming.clone().unwrap_or_else(|| {
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
    words.first().is_some_and(|word| is_named(word, PROGRAM)) && words.last() == Some(&"goauth")
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
    let path = request.command()?;
    let quoted = ["", "'", "\""].map(|quote| format!("{quote}{path}{quote}"));
    let is_read_back = |word: &String| !path.contains(';') && words(word) == [&*path];
    let program = quoted.into_iter().find(is_read_back).ok_or_else(|| {
        unusable_path(request.link, "has characters that cannot be quoted in GOAUTH")
    })?;
    Ok([&[program], request.options, &["goauth".to_owned()]].concat().join(" "))
}

fn add(request: &Request<'_>, text: &str) -> Result<String> {
    let (before, own) = (methods(text), command(request)?);
    let mut after = others(request.machine, text);
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

/// The methods of other programs.
fn others<'a>(machine: &Machine, text: &'a str) -> Vec<&'a str> {
    let mut methods = methods(text);
    methods.retain(|method| *method != "off" && !is_ours(machine, method));
    methods
}

fn remove(removal: &Removal<'_>, text: &str) -> Result<String> {
    let (before, mut rest) = (methods(text), methods(text));
    rest.retain(|method| !is_ours(removal.machine, method));
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
    let others = others(request.machine, text);
    if !others.is_empty() {
        let others = shown_commands(&others);
        notes.push(format!("{others} was not changed, and is tried before this program"));
    }
    let origins = request.origins();
    let host = origins.first().map_or("HOST", Origin::host);
    let value = |name: &str| {
        let values = text.lines().rev();
        let mut values = values.filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        values.next().unwrap_or_default()
    };
    notes.extend(public(host, value("GOPRIVATE"), value("GONOPROXY"), value("GOPROXY")));
    notes
}

/// A note, if go gets the modules of a host from the public proxy, as these settings say.
pub(in crate::cli) fn public(
    host: &str,
    private: &str,
    direct: &str,
    proxy: &str,
) -> Option<String> {
    let patterns = if direct.is_empty() { private } else { direct };
    let is_public = proxy.is_empty() || proxy.contains("proxy.golang.org");
    let is_match =
        |pattern: &str| matches_host(pattern.split('/').next().unwrap_or_default(), host);
    if !is_public || patterns.split(',').any(|pattern| is_match(pattern.trim())) {
        return None;
    }
    let name = if direct.is_empty() { "GOPRIVATE" } else { "GONOPROXY" };
    let before = if patterns.is_empty() { String::new() } else { format!("{patterns},") };
    Some(format!(
        "for modules that are fetched directly from their host, run `go env -w {name}={before}{host}`"
    ))
}

/// Whether a pattern with `*` and `?` matches (path.Match; a class in brackets is not looked at).
fn matches_host(pattern: &str, host: &str) -> bool {
    match pattern.chars().next() {
        None => host.is_empty(),
        Some('*') => {
            let mut ends = (0..=host.len()).filter(|end| host.is_char_boundary(*end));
            ends.any(|end| matches_host(&pattern[1..], &host[end..]))
        }
        Some(first) => {
            let is_first = host.starts_with(first) || first == '?' && !host.is_empty();
            let rest = |text: &str| text.char_indices().nth(1).map_or(text.len(), |(at, _)| at);
            is_first && matches_host(&pattern[rest(pattern)..], &host[rest(host)..])
        }
    }
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
