//! kubectl and other clients of Kubernetes: a user of the kubeconfig that asks this program, by `kubectl config`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::copy::Copy;
use super::machine::Machine;
use super::tools::{Probe, Removal, Request, Selection, SetupTool};
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
    version: &["version", "--client"],
    least: Some((1, 22, "does not support exec plugins of `v1`; use 1.22 or later")),
};

/// The user of the kubeconfig. Version 0.1.0 wrote the other one, which somebody else may have too.
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
    let (machine, name) = (request.machine, user(request));
    let command = request.command()?.verbatim();
    let arguments = [request.options, &["kubectl".to_owned()]].concat();
    let users = users(machine, text)?;
    let is_wanted = |user: &&Named<User>| user.exec().is_some_and(|it| it.runs(&arguments));
    if let Some(known) = users.iter().find(is_wanted)
        && known.exec().is_some_and(|exec| exec.command == command)
    {
        return Ok(text.to_owned());
    }
    // The user of version 0.1.0 stays the one of its contexts.
    let name = users.iter().find(is_wanted).map_or(name, |user| user.name.clone());
    if users.iter().any(|user| user.name == name && !user.is_ours()) {
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
    let arguments = arguments.iter().map(|word| format!("--exec-arg={word}"));
    let words = words.iter().map(ToString::to_string).chain(arguments);
    change(machine, text, &words.collect::<Vec<_>>())
}

fn remove(removal: &Removal<'_>, text: &str) -> Result<String> {
    if !text.contains(USER) {
        return Ok(text.to_owned());
    }
    let machine = removal.machine;
    if machine.require("kubectl").is_err() {
        return Ok(emptied(without_kubectl(text)));
    }
    let Kubeconfig { users, contexts } = parsed(machine, text)?;
    let former = removal.original.map(|text| parsed(machine, text)).transpose()?;
    let mut rest = text.to_owned();
    for user in users.iter().filter(|user| user.is_ours()) {
        // kubectl refuses a context whose user does not exist.
        for Named { name, .. } in contexts.iter().filter(|it| it.value.user == user.name) {
            let former = former.iter().flat_map(|it| &it.contexts).find(|it| it.name == *name);
            let former = former.map(|it| &it.value.user).filter(|it| **it != user.name);
            let option = format!("--user={}", former.map_or("", String::as_str));
            rest = change(machine, &rest, &["set-context".to_owned(), name.clone(), option])?;
        }
        rest = change(machine, &rest, &["delete-user".to_owned(), user.name.clone()])?;
    }
    Ok(if rest == text { rest } else { emptied(rest) })
}

/// Nothing, where nothing is left but the frame that kubectl wrote.
fn emptied(text: String) -> String {
    const FRAME: [&str; 7] = [
        "apiVersion: v1",
        "kind: Config",
        "clusters:",
        "contexts:",
        "users:",
        "current-context: \"\"",
        "preferences:",
    ];
    let frame = |line: &str| {
        let line = line.trim_end_matches(" null").trim_end_matches(" []").trim_end_matches(" {}");
        FRAME.contains(&line)
    };
    if text.lines().all(frame) { String::new() } else { text }
}

#[derive(Default, Deserialize)]
struct Kubeconfig {
    #[serde(default, deserialize_with = "or_default")]
    users: Vec<Named<User>>,
    #[serde(default, deserialize_with = "or_default")]
    contexts: Vec<Named<Context>>,
}

#[derive(Deserialize)]
#[serde(bound = "T: Default + Deserialize<'de>")]
struct Named<T> {
    name: String,
    #[serde(default, alias = "user", alias = "context", deserialize_with = "or_default")]
    value: T,
}

#[derive(Default, Deserialize)]
struct User {
    exec: Option<Exec>,
}

#[derive(Default, Deserialize)]
struct Context {
    #[serde(default)]
    user: String,
}

#[derive(Deserialize)]
struct Exec {
    command: String,
    args: Option<Vec<String>>,
}

/// kubectl prints `null` for an empty list.
fn or_default<'de, T, D>(deserializer: D) -> std::result::Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Exec {
    /// Whether it runs this program with these arguments.
    fn runs(&self, arguments: &[String]) -> bool {
        self.is_this_program() && self.args.as_deref() == Some(arguments)
    }

    fn is_this_program(&self) -> bool {
        let name = Path::new(&self.command).file_stem();
        name.is_some_and(|name| name == "my-credential-helper")
            && self.args.as_ref().is_some_and(|args| args.last().is_some_and(|it| it == "kubectl"))
    }
}

impl Named<User> {
    fn exec(&self) -> Option<&Exec> {
        self.value.exec.as_ref()
    }

    fn is_ours(&self) -> bool {
        is_our_name(&self.name) && self.exec().is_some_and(Exec::is_this_program)
    }
}

fn is_our_name(name: &str) -> bool {
    let rest = name.strip_prefix(USER);
    name == FORMER_USER || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The users of the kubeconfig, by kubectl's own parser. None of a text that does not name this program: neither the name
/// nor the command of a user is ours.
fn users(machine: &Machine, text: &str) -> Result<Vec<Named<User>>> {
    let is_named = text.contains(USER);
    Ok(if is_named { parsed(machine, text)?.users } else { Vec::new() })
}

fn parsed(machine: &Machine, text: &str) -> Result<Kubeconfig> {
    let printed = run(machine, text, &["view", "--raw", "--output=json"].map(str::to_owned))?.0;
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
            let command = line.trim().strip_prefix("command: ").map(Path::new);
            command.and_then(Path::file_stem).is_some_and(|name| name == "my-credential-helper")
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
        lines[heading] = "users: []\n".to_owned();
    }
    for line in lines.iter_mut().filter(|line| removed.iter().any(|user| line.trim() == user)) {
        *line = line.replace(line.trim(), "user: \"\"");
    }
    lines.concat()
}

fn change(machine: &Machine, text: &str, arguments: &[String]) -> Result<String> {
    run(machine, text, arguments)?.1.text()
}

/// Runs `kubectl config` on a copy; returns what it prints, and the copy.
fn run(machine: &Machine, text: &str, arguments: &[String]) -> Result<(Zeroizing<String>, Copy)> {
    let (kubectl, copy) = (machine.require("kubectl")?, Copy::new(machine, text)?);
    let kubectl = machine.launcher.child(&kubectl)?.args(["config", "--kubeconfig"]);
    let printed = kubectl.args([copy.path()]).args(arguments).succeed()?;
    Ok((printed, copy))
}

fn notes(request: &Request<'_>, text: &str) -> Vec<String> {
    let known = users(request.machine, text).unwrap_or_default();
    let mut known = known.iter().filter(|user| user.is_ours());
    let name = known.next().map_or_else(|| user(request), |user| user.name.clone());
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
