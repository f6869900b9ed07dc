//! The planned change of a file, line by line. Only changed lines are shown: the other lines of a tool's configuration may
//! have secrets.

use std::collections::HashMap;

use similar::{DiffOp, TextDiff};

use crate::error::sanitize;

/// The changed lines, `-` before and `+` after.
pub(super) fn lines<'a>(before: &'a str, after: &'a str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    // How often each line occurs, without its indent: a tool that rewrites its file may format a line differently, which
    // is noise and may show secrets.
    let counts = |lines: &[&'a str]| {
        lines.iter().fold(HashMap::new(), |mut counts, line| {
            *counts.entry(line.trim()).or_insert(0) += 1;
            counts
        })
    };
    let (in_old, in_new): (HashMap<_, i32>, _) = (counts(&old), counts(&new));
    let mut changed = Vec::new();
    for op in TextDiff::from_slices(&old, &new).ops() {
        let (removed, added) = (&old[op.old_range()], &new[op.new_range()]);
        match op {
            DiffOp::Equal { .. } => {}
            DiffOp::Replace { .. } if removed.len() == added.len() => {
                for (old, new) in removed.iter().zip(added) {
                    let (old, new) = shortened(old, new);
                    changed.extend([format!("- {old}"), format!("+ {new}")]);
                }
            }
            _ => {
                let sides = [('-', removed, &in_old, &in_new), ('+', added, &in_new, &in_old)];
                for (sign, lines, own, other) in sides {
                    let is_more = |line: &&&str| own.get(line.trim()) > other.get(line.trim());
                    let lines = lines.iter().filter(is_more);
                    changed.extend(lines.map(|line| format!("{sign} {}", masked(line))));
                }
            }
        }
    }
    changed
}

/// Two lines without what they have in common at both ends, once that is long or may be a secret. The key stays.
fn shortened(old: &str, new: &str) -> (String, String) {
    let (a, b): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
    let head = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let tail =
        a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    // What is inserted into such a line is ours; what is around it is not.
    let is_insertion = head + tail == a.len();
    let is_secret = names_secret(old) || names_secret(new);
    let middle = |line: &[char]| {
        let mut text: String = line[head..line.len() - tail].iter().collect();
        let (before, after): (String, String) =
            (line[..head].iter().collect(), line[line.len() - tail..].iter().collect());
        if is_secret && !is_insertion && !OURS.iter().any(|name| text.contains(name)) {
            "…".clone_into(&mut text);
        }
        let is_cut = |text: &str| is_secret || text.chars().count() > 24;
        let before = match before.find(['=', ':']) {
            _ if !is_cut(&before) => before,
            Some(end) => format!("{} …", &before[..=end]),
            None => "…".to_owned(),
        };
        // Brackets are no secret.
        let is_text = after.contains(char::is_alphanumeric);
        let after = if is_cut(&after) && is_text { "…".to_owned() } else { after };
        format!("{before}{text}{after}").replace("……", "…")
    };
    let shown = |line: &[char]| {
        let text = middle(line);
        if is_secret { sanitize(&text) } else { masked(&text) }
    };
    (shown(&a), shown(&b))
}

/// In every line of ours.
const OURS: [&str; 3] = ["my-token-helper", "my-credential-helper", "credential-my"];

fn names_secret(line: &str) -> bool {
    const NAMES: [&str; 6] = ["token", "password", "secret", "_auth", "\"auth\"", "key-data"];
    let lower = line.to_ascii_lowercase();
    NAMES.iter().any(|name| lower.contains(name))
}

/// A line that names a secret, without its value. A line of ours may have such a word in the name of a host.
fn masked(line: &str) -> String {
    let line = &line.replace('\t', "    ");
    let content = line.trim().trim_end_matches(',');
    let is_ours = OURS.iter().any(|name| line.contains(name))
        || content.starts_with("[credential \"")
        || content.ends_with(": \"my\"");
    match line.find(['=', ':']) {
        _ if is_ours || !names_secret(line) => sanitize(line),
        Some(end) => format!("{} …", sanitize(&line[..=end])),
        None => "…".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn only_changed_lines_of_the_file_are_shown() {
        assert_eq!(lines("a\nsecret\n", "a\nsecret\nb\n"), ["+ b"]);
        assert_eq!(lines("a\n", "a\n"), Vec::<String>::new());
        assert_eq!(
            lines("x = [\"a\"]\n", "x = [\"a\", \"b\"]\n"),
            ["- x = [\"a\"]", "+ x = [\"a\", \"b\"]"]
        );
    }

    #[test]
    fn an_entry_of_ours_in_a_list_of_others_is_readable() {
        let before = "global-credential-providers = [\"cargo:token hunter2\"]\n";
        let after =
            "global-credential-providers = [\"cargo:token hunter2\", \"cargo-credential-my\"]\n";
        assert_eq!(
            lines(before, after),
            [
                "- global-credential-providers = …]",
                "+ global-credential-providers = …, \"cargo-credential-my\"]",
            ]
        );
        let (before, after) = ("x = [\"token hunter2\"]\n", "x = [\"my\", \"token hunter2\"]\n");
        assert_eq!(lines(before, after), ["- x = …", "+ x = …my\", \"…"]);
        let (before, after) = ("//h/:_authToken=hunter2\n", "//h/:_authToken=hunter3\n");
        assert!(!lines(before, after).join("\n").contains("hunter"));
        let (before, after) = ("token = hunter2\n", "token = hunter2; my-credential-helper\n");
        assert_eq!(lines(before, after), ["- token = …", "+ token = …; my-credential-helper"]);
    }

    #[test]
    fn a_line_that_occurs_elsewhere_is_shown() {
        assert_eq!(lines("[a]\n h\n", "[a]\n h\n[b]\n h\n"), ["+ [b]", "+  h"]);
        assert_eq!(lines("[a]\n h\n[b]\n h\n", "[a]\n h\n"), ["- [b]", "-  h"]);
        assert_eq!(lines("a\nb\n", "b\na\n"), Vec::<String>::new());
    }

    #[test]
    fn no_secret_of_another_tool_is_shown() {
        let before = r#"{"auths":{"hub.example":{"auth":"aHVudGVyMjpodW50ZXIy"}}}"#;
        let after =
            r#"{"auths":{"hub.example":{"auth":"aHVudGVyMjpodW50ZXIy"}},"credHelpers":{"h":"my"}}"#;
        let difference = lines(before, after).join("\n");
        assert!(
            difference.contains("credHelpers") && !difference.contains("aHVudGVy"),
            "{difference}"
        );
        // kubectl reformats its file.
        let difference = lines(
            "users:\n- user:\n    token: \"hunter2\"\n",
            "users:\n- name: my\n- user:\n    token: hunter2\n",
        );
        assert!(difference.contains(&"+ - name: my".to_owned()), "{difference:?}");
        assert!(!difference.join("\n").contains("hunter2"), "{difference:?}");
    }
}
