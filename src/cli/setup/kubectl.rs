//! kubectl and other clients of Kubernetes: a user of the kubeconfig that asks this program, by `kubectl config`.

use std::path::PathBuf;

use serde_json::Value;
use zeroize::Zeroizing;

use super::copy::Copy;
use super::machine::Machine;
use super::tools::{Probe, Removal, Request, Selection, SetupTool, is_named};
use crate::error::{Error, Result};

pub(super) const TOOL: SetupTool = SetupTool {
    name: "kubectl",
    programs: &["kubectl"],
    link: None,
    names_hosts: false,
    selection: Selection::Arguments,
    file,
    add,
    remove,
    notes,
    probe: Probe { arguments: &["kubectl"], input: "", proof: "\"token\"" },
    least: Some((1, 22, "does not support exec plugins of `v1`; use 1.22 or later")),
};

/// This program, and the user of the kubeconfig. Version 0.1.0 wrote the other one, which somebody else may have too.
const USER: &str = "my-credential-helper";
const FORMER_USER: &str = "mycli";

/// The first of the files that `KUBECONFIG` lists: the one that `kubectl config` writes.
fn file(machine: &Machine) -> PathBuf {
    let listed = machine.variable("KUBECONFIG");
    let first = listed.and_then(|listed| {
        std::env::split_paths(&listed).find(|path| !path.as_os_str().is_empty())
    });
    first.unwrap_or_else(|| machine.home.join(".kube/config"))
}

/// The user for these options: `my-credential-helper`, or `my-credential-helper-acme`.
fn user(request: &Request<'_>) -> String {
    let values = request.options.iter().filter(|word| !word.starts_with("--"));
    std::iter::once(USER).chain(values.map(|value| &**value)).collect::<Vec<_>>().join("-")
}

fn add(request: &Request<'_>, text: &str) -> Result<String> {
    let (machine, command) = (request.machine, request.command()?);
    let arguments = [request.options, &["kubectl".to_owned()]].concat();
    let users = users(machine, text)?;
    let known = users.iter().find(|user| runs_us(user) && arguments_of(user) == arguments);
    if known.is_some_and(|user| text_of(user, COMMAND) == command) {
        return Ok(text.to_owned());
    }
    // The user of version 0.1.0 stays the one of its contexts.
    let name = known.map_or_else(|| user(request), |user| text_of(user, "/name").to_owned());
    if users.iter().any(|user| text_of(user, "/name") == name && !is_ours(user)) {
        let message = format!("the kubeconfig has a user `{name}` that does not run this program");
        return Err(Error::invalid(message).with_hint("rename that user; it was not changed"));
    }
    let command = format!("--exec-command={command}");
    let words = [
        "set-credentials",
        &name,
        "--exec-api-version=client.authentication.k8s.io/v1",
        &command,
        "--exec-interactive-mode=IfAvailable",
        "--exec-provide-cluster-info=true",
    ];
    let arguments: Vec<_> = arguments.iter().map(|word| format!("--exec-arg={word}")).collect();
    let arguments = arguments.iter().map(String::as_str);
    change(machine, text, &words.into_iter().chain(arguments).collect::<Vec<_>>())
}

fn remove(removal: &Removal<'_>, text: &str) -> Result<String> {
    if !text.contains(USER) {
        return Ok(text.to_owned());
    }
    let machine = removal.machine;
    if machine.require("kubectl").is_err() {
        return Ok(emptied(without_kubectl(text)));
    }
    let configuration = parsed(machine, text)?;
    let original = removal.original.map(|text| parsed(machine, text)).transpose()?;
    let mut rest = text.to_owned();
    for user in list(&configuration, "users").filter(|user| is_ours(user)) {
        let user = text_of(user, "/name");
        // kubectl refuses a context whose user does not exist.
        for context in list(&configuration, "contexts").filter(|it| text_of(it, CONTEXT) == user) {
            let name = text_of(context, "/name");
            let mut former = original.iter().flat_map(|it| list(it, "contexts"));
            let former = former.find(|it| text_of(it, "/name") == name);
            let former = former.map(|it| text_of(it, CONTEXT)).filter(|it| *it != user);
            let former = former.unwrap_or_default();
            rest = change(machine, &rest, &["set-context", name, &format!("--user={former}")])?;
        }
        rest = change(machine, &rest, &["delete-user", user])?;
    }
    Ok(if rest == text { rest } else { emptied(rest) })
}

/// Nothing, where nothing is left but the frame that kubectl wrote.
fn emptied(text: String) -> String {
    const KEYS: &str = "apiVersion kind clusters contexts users current-context preferences";
    const VALUES: [&str; 7] = ["v1", "Config", "null", "[]", "{}", "\"\"", ""];
    let is_frame = |line: &str| {
        let (key, value) = line.split_once(':').unwrap_or_default();
        KEYS.split(' ').any(|it| it == key) && VALUES.contains(&value.trim())
    };
    if text.lines().all(is_frame) { String::new() } else { text }
}

const COMMAND: &str = "/user/exec/command";
const CONTEXT: &str = "/context/user";

/// The entries of a list, which may be `null`.
pub(in crate::cli) fn list<'a>(
    configuration: &'a Value,
    name: &str,
) -> impl Iterator<Item = &'a Value> {
    configuration.get(name).and_then(Value::as_array).into_iter().flatten()
}

pub(in crate::cli) fn text_of<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn arguments_of(user: &Value) -> Vec<&str> {
    let arguments = user.pointer("/user/exec/args").and_then(Value::as_array);
    arguments.into_iter().flatten().filter_map(Value::as_str).collect()
}

fn runs_us(user: &Value) -> bool {
    is_named(text_of(user, COMMAND), USER) && arguments_of(user).last() == Some(&"kubectl")
}

fn is_ours(user: &Value) -> bool {
    is_our_name(text_of(user, "/name")) && runs_us(user)
}

fn is_our_name(name: &str) -> bool {
    let rest = name.strip_prefix(USER);
    name == FORMER_USER || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The users of the kubeconfig. None of a text that does not name this program: neither the name nor the command of a user
/// is ours.
fn users(machine: &Machine, text: &str) -> Result<Vec<Value>> {
    if !text.contains(USER) {
        return Ok(Vec::new());
    }
    Ok(list(&parsed(machine, text)?, "users").cloned().collect())
}

/// The kubeconfig, by kubectl's own parser.
fn parsed(machine: &Machine, text: &str) -> Result<Value> {
    let printed = run(machine, text, &["view", "--raw", "--output=json"])?.0;
    serde_json::from_str(&printed)
        .map_err(|_| Error::invalid_state("kubectl did not print its configuration as JSON"))
}

/// Removes a user in the form that kubectl writes, where kubectl is no longer installed.
fn without_kubectl(text: &str) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let mut removed = Vec::new();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut start =
        lines.iter().position(|line| line.trim_end() == "users:").unwrap_or(lines.len());
    while let Some(line) = lines.get(start) {
        let is_in = |other: &&String| indent(other) > indent(line) || other.trim().is_empty();
        let end = start + 1 + lines[start + 1..].iter().take_while(is_in).count();
        let name = line.trim().strip_prefix("- name: ").unwrap_or_default();
        let runs_us = lines[start..end].iter().any(|line| {
            line.trim().strip_prefix("command: ").is_some_and(|command| is_named(command, USER))
        });
        if is_our_name(name) && runs_us {
            removed.push(format!("user: {name}"));
            lines.drain(start..end);
        } else {
            start = end;
        }
    }
    let heading = lines.iter().position(|line| line.trim_end() == "users:");
    if let Some(heading) = heading
        && lines.get(heading + 1).is_none_or(|next| !next.trim_start().starts_with('-'))
    {
        "users: []\n".clone_into(&mut lines[heading]);
    }
    for line in lines.iter_mut().filter(|line| removed.iter().any(|user| line.trim() == user)) {
        *line = line.replace(line.trim(), "user: \"\"");
    }
    lines.concat()
}

fn change(machine: &Machine, text: &str, arguments: &[&str]) -> Result<String> {
    run(machine, text, arguments)?.1.text()
}

/// Runs `kubectl config` on a copy; returns what it prints, and the copy.
fn run(machine: &Machine, text: &str, arguments: &[&str]) -> Result<(Zeroizing<String>, Copy)> {
    let (kubectl, copy) = (machine.require("kubectl")?, Copy::new(machine, &TOOL, text)?);
    let kubectl = machine.launcher.child(&kubectl)?.args(["config", "--kubeconfig"]);
    let printed = copy.run(kubectl.args([copy.path()]).args(arguments))?;
    Ok((printed, copy))
}

fn notes(request: &Request<'_>, text: &str) -> Vec<String> {
    let known = users(request.machine, text).unwrap_or_default();
    let known = known.iter().find(|user| is_ours(user));
    let name = known.map_or_else(|| user(request), |user| text_of(user, "/name").to_owned());
    let is_used = text.lines().any(|line| line.trim() == format!("user: {name}"));
    let note =
        format!("run `kubectl config set-context CONTEXT --user={name}` to use it in a context");
    (!is_used).then_some(note).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::without_kubectl;

    #[test]
    fn a_user_is_removed_without_kubectl() {
        let ours = "- name: mycli\n  user:\n    exec:\n      args:\n      - kubectl\n      command: /x/my-credential-helper\n";
        let other = "- name: other\n  user:\n    token: x\n";
        let static_token = "- name: mycli\n  user:\n    token: x\n";
        for (before, after) in [
            (
                format!("kind: Config\nusers:\n{ours}{other}"),
                format!("kind: Config\nusers:\n{other}"),
            ),
            (
                format!("users:\n{other}{ours}kind: Config\n"),
                format!("users:\n{other}kind: Config\n"),
            ),
            (format!("users:\n{ours}"), "users: []\n".to_owned()),
            (format!("users:\n{static_token}"), format!("users:\n{static_token}")),
        ] {
            assert_eq!(without_kubectl(&before), after);
        }
    }
}
