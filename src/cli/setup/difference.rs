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

/// Two lines without what they have in common at both ends, once that is long or may be a secret.
fn shortened(old: &str, new: &str) -> (String, String) {
    let (a, b): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
    let head = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let tail =
        a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    // What is inserted into such a line is ours; what is around it is not.
    let is_insertion = head + tail == a.len();
    let is_secret = names_secret(old) && is_insertion;
    let middle = |line: &[char]| {
        let text: String = line[head..line.len() - tail].iter().collect();
        let (before, after): (String, String) =
            (line[..head].iter().collect(), line[line.len() - tail..].iter().collect());
        let is_cut = |text: &String| is_secret || text.chars().count() > 24;
        let cut = |text: String| if is_cut(&text) { "…".to_owned() } else { text };
        format!("{}{text}{}", cut(before), cut(after))
    };
    let shown = |line: &[char]| {
        let text = middle(line);
        if is_secret { sanitize(&text) } else { masked(&text) }
    };
    (shown(&a), shown(&b))
}

fn names_secret(line: &str) -> bool {
    const NAMES: [&str; 6] = ["token", "password", "secret", "_auth", "\"auth\"", "key-data"];
    let lower = line.to_ascii_lowercase();
    NAMES.iter().any(|name| lower.contains(name))
}

/// A line that names a secret, without its value. A line of ours may have such a word in the name of a host.
fn masked(line: &str) -> String {
    const OURS: [&str; 3] = ["my-token-helper", "my-credential-helper", "credential-my"];
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
