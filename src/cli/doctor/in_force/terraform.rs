//! terraform and OpenTofu: a variable or a `credentials` block for a host precedes the credentials helper. Neither has a
//! command that prints its configuration.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{InForce, Subject};
use crate::cli::setup::edit;
use crate::error::{Result, sanitize};

const NAME: &str = "my";

/// A block of the top level with a label: `credentials_helper "my"`.
struct Block {
    kind: String,
    label: String,
    place: PathBuf,
}

pub(super) fn inspect(subject: &Subject<'_>) -> Result<InForce> {
    let (program, mut in_force) = (subject.tool.name, InForce::default());
    let blocks = files(subject).iter().map(|path| blocks(path)).collect::<Result<Vec<_>>>()?;
    let blocks: Vec<_> = blocks.into_iter().flatten().collect();
    let helpers: Vec<_> = blocks.iter().filter(|it| it.kind == "credentials_helper").collect();
    if helpers.iter().all(|helper| helper.label != NAME) {
        return Ok(in_force);
    }
    in_force.commands.push("terraform-credentials-my".to_owned());
    if let [first, second, ..] = &helpers[..] {
        let (first, second) = (first.place.display(), second.place.display());
        let message = format!(
            "{program} accepts one `credentials_helper`; there is one in {first} and one in {second}"
        );
        in_force.findings.push(
            subject.problem(message, format!("remove one of them; {program} fails until then")),
        );
    }
    let hosts = subject.hosts();
    let targets = if hosts.is_empty() { subject.any_host() } else { hosts };
    for target in targets {
        let host = target.origin.host_and_port();
        // terraform accepts a hyphen as it is, and as two underscores.
        let plain = host.replace(['.', ':'], "_");
        let names = [format!("TF_TOKEN_{plain}"), format!("TF_TOKEN_{}", plain.replace('-', "__"))];
        if let Some(name) = names.iter().find(|name| subject.variable(name).is_some()) {
            in_force.findings.push(subject.precedes(name, &host, format!("run `unset {name}`")));
        }
        if let Some(block) = blocks.iter().find(|it| it.kind == "credentials" && it.label == host) {
            let place = block.place.display();
            let what = format!("`credentials \"{host}\"` in {place}");
            let fix = format!(
                "remove it from {place}; `{program} logout {host}` removes what `{program} login` wrote"
            );
            in_force.findings.push(subject.precedes(&what, &host, fix));
        }
        if !in_force.targets.contains(&target) {
            in_force.targets.push(target);
        }
    }
    Ok(in_force)
}

/// The files of the configuration (terraform, internal/command/cliconfig).
fn files(subject: &Subject<'_>) -> Vec<PathBuf> {
    let folder = subject.machine.home.join(".terraform.d");
    let logins = folder.join("credentials.tfrc.json");
    for name in ["TF_CLI_CONFIG_FILE", "TERRAFORM_CONFIG"] {
        if let Some(path) = subject.variable(name) {
            return vec![path.into(), logins];
        }
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|it| it.path());
    let is_read = |path: &PathBuf| {
        let name = path.to_string_lossy();
        name.ends_with(".tfrc") || name.ends_with(".tfrc.json")
    };
    [subject.file()].into_iter().chain(entries.filter(is_read)).collect()
}

fn blocks(path: &Path) -> Result<Vec<Block>> {
    let text = edit::read(path)?.unwrap_or_default();
    let found = if path.extension().is_some_and(|it| it == "json") {
        of_json(&text)
    } else {
        of_hcl(&text)
    };
    let block = |(kind, label): (String, String)| Block {
        kind,
        label: sanitize(&label),
        place: path.to_owned(),
    };
    Ok(found.into_iter().map(block).collect())
}

fn of_json(text: &str) -> Vec<(String, String)> {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let labels = |kind: &str| {
        let labels = value.get(kind).and_then(Value::as_object).into_iter().flatten();
        labels.map(|(label, _)| (kind.to_owned(), label.clone())).collect::<Vec<_>>()
    };
    [labels("credentials_helper"), labels("credentials")].concat()
}

/// The blocks of the top level. Only names, strings, comments and braces matter, which are the same in both versions of
/// HCL.
fn of_hcl(text: &str) -> Vec<(String, String)> {
    let (mut blocks, mut depth, mut words) = (Vec::new(), 0_usize, Vec::<String>::new());
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        if rest.starts_with('#') || rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
            continue;
        }
        if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, rest)| rest);
            continue;
        }
        let mut length = char.len_utf8();
        match char {
            '"' => {
                let (mut is_escaped, mut end) = (false, rest.len() - 1);
                for (index, char) in rest[1..].char_indices() {
                    if char == '"' && !is_escaped {
                        end = index;
                        break;
                    }
                    is_escaped = char == '\\' && !is_escaped;
                }
                words.push(rest[1..=end].to_owned());
                length = (end + 2).min(rest.len());
            }
            '{' => {
                // A string before them is the value of an attribute.
                if let ([.., kind, label], 0) = (&words[..], depth) {
                    blocks.push((kind.clone(), label.clone()));
                }
                depth += 1;
                words.clear();
            }
            '}' => {
                depth = depth.saturating_sub(1);
                words.clear();
            }
            char if char.is_alphanumeric() || char == '_' => {
                let end =
                    rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')));
                length = end.unwrap_or(rest.len());
                words.push(rest[..length].to_owned());
            }
            char if char.is_whitespace() => {}
            _ => words.clear(),
        }
        rest = &rest[length..];
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::of_hcl;

    #[test]
    fn blocks_of_the_top_level_are_found() {
        let text = "# credentials \"a.dev\" {}\n// credentials \"b.dev\" {}\n/* credentials \"c.dev\" {} */\n\
                    plugin_cache_dir = \"/x/credentials {\" \r\ncredentials_helper\t\"my\" {\n args = [\"}\", \"\\\"{\"]\n}\n\
                    credentials \"d.dev\" { token = \"t\" }host \"x\"{ credentials \"e.dev\" {} }\n\
                    credentials \"ü.dev\"\n{\n token = \"unterminated";
        let found: Vec<_> =
            of_hcl(text).into_iter().map(|(kind, label)| format!("{kind} {label}")).collect();
        assert_eq!(
            found,
            ["credentials_helper my", "credentials d.dev", "host x", "credentials ü.dev"]
        );
        for text in ["", "\"", "\"\\", "{", "}", "a \"", "/*", "#", "ü"] {
            assert!(of_hcl(text).is_empty(), "{text}");
        }
    }
}
