//! What is about to change in a file, line by line. Only what changes is shown: what else stands in a tool's
//! configuration may be a secret.

use std::collections::HashSet;

use similar::{DiffOp, TextDiff};

use crate::error::sanitize;

/// The changed lines, `-` before and `+` after.
pub(super) fn lines(before: &str, after: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    // A tool that rewrites its file may format a line differently, which is noise and may show secrets.
    let kept =
        |lines: &[&str]| lines.iter().map(|line| line.trim().to_owned()).collect::<HashSet<_>>();
    let (in_old, in_new) = (kept(&old), kept(&new));
    let mut changed = Vec::new();
    for op in TextDiff::from_slices(&old, &new).ops() {
        let (removed, added) = (&old[op.old_range()], &new[op.new_range()]);
        match op {
            DiffOp::Equal { .. } => {}
            DiffOp::Replace { .. } if removed.len() == added.len() => {
                for (old, new) in removed.iter().zip(added) {
                    let (old, new) = shortened(old, new);
                    changed.extend([format!("- {}", masked(&old)), format!("+ {}", masked(&new))]);
                }
            }
            _ => {
                let is_new = |line: &&&str, others: &HashSet<String>| !others.contains(line.trim());
                changed.extend(
                    removed
                        .iter()
                        .filter(|line| is_new(line, &in_new))
                        .map(|line| format!("- {}", masked(line))),
                );
                changed.extend(
                    added
                        .iter()
                        .filter(|line| is_new(line, &in_old))
                        .map(|line| format!("+ {}", masked(line))),
                );
            }
        }
    }
    changed
}

/// Two lines without what they have in common at both ends, once that is long.
fn shortened(old: &str, new: &str) -> (String, String) {
    let (a, b): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
    let head = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let tail =
        a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let middle = |line: &[char]| {
        let text: String = line[head..line.len() - tail].iter().collect();
        let (before, after): (String, String) =
            (line[..head].iter().collect(), line[line.len() - tail..].iter().collect());
        let cut = |text: String| if text.chars().count() > 24 { "…".to_owned() } else { text };
        format!("{}{text}{}", cut(before), cut(after))
    };
    (middle(&a), middle(&b))
}

/// A line that names a secret, without its value.
fn masked(line: &str) -> String {
    const NAMES: [&str; 6] = ["token", "password", "secret", "_auth", "\"auth\"", "key-data"];
    const OURS: [&str; 3] = ["my-token-helper", "my-credential-helper", "credential-my"];
    let line = &line.replace('\t', "    ");
    let lower = line.to_ascii_lowercase();
    let is_secret = NAMES.iter().any(|name| lower.contains(name))
        && !OURS.iter().any(|name| lower.contains(name));
    match line.find(['=', ':']) {
        Some(end) if is_secret => format!("{} …", sanitize(&line[..=end])),
        None if is_secret => "…".to_owned(),
        _ => sanitize(line),
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
