//! kubectl and other clients of Kubernetes: a user of the kubeconfig that asks this program, by `kubectl config`.

use std::path::PathBuf;

use super::copy::Copy;
use super::machine::Machine;
use super::tools::{Probe, Request, SetupTool};
use crate::error::Result;

pub(super) const TOOL: SetupTool = SetupTool {
    name: "kubectl",
    programs: &["kubectl"],
    link: None,
    names_hosts: false,
    file,
    add,
    remove,
    notes,
    probe: Probe { arguments: &["kubectl"], input: "", proof: "\"token\"" },
    version: &["version", "--client"],
    least: Some((1, 22, "does not support exec plugins of `v1`; use 1.22 or later")),
};

/// The user of the kubeconfig.
const USER: &str = "mycli";

/// The first of the files that `KUBECONFIG` lists: the one that `kubectl config` writes.
fn file(machine: &Machine) -> PathBuf {
    let listed = machine.variable("KUBECONFIG");
    let first = listed.and_then(|listed| {
        std::env::split_paths(&listed).find(|path| !path.as_os_str().is_empty())
    });
    first.unwrap_or_else(|| machine.home.join(".kube/config"))
}

fn add(request: &Request<'_>, text: &str) -> Result<String> {
    if has_user(text) {
        return Ok(text.to_owned());
    }
    let command = format!("--exec-command={}", request.command());
    change(
        request.machine,
        text,
        &[
            "set-credentials",
            USER,
            "--exec-api-version=client.authentication.k8s.io/v1",
            &command,
            "--exec-arg=kubectl",
            "--exec-interactive-mode=IfAvailable",
            "--exec-provide-cluster-info=true",
        ],
    )
}

fn remove(machine: &Machine, text: &str) -> Result<String> {
    if !has_user(text) {
        return Ok(text.to_owned());
    }
    let rest = change(machine, text, &["delete-user", USER])?;
    Ok(if is_empty(&rest) { String::new() } else { rest })
}

/// Whether nothing is left but the frame that kubectl made.
fn is_empty(text: &str) -> bool {
    const FRAME: [&str; 6] = [
        "apiVersion: v1",
        "kind: Config",
        "clusters:",
        "contexts:",
        "users:",
        "current-context: \"\"",
    ];
    let frame =
        |line: &str| FRAME.contains(&line.trim_end_matches(" null").trim_end_matches(" []"));
    text.lines().all(|line| frame(line) || line == "preferences: {}")
}

/// Whether a user runs this program. What stands around it is kubectl's business.
fn has_user(text: &str) -> bool {
    let command = |line: &str| {
        let value = line.trim_start_matches(['-', ' ']).strip_prefix("command:")?;
        let value = std::path::Path::new(value.trim().trim_matches(['"', '\''])).file_stem()?;
        (value == "my-credential-helper").then_some(())
    };
    text.lines().any(|line| command(line.trim()).is_some())
}

fn change(machine: &Machine, text: &str, arguments: &[&str]) -> Result<String> {
    let (kubectl, copy) = (machine.require("kubectl")?, Copy::new(machine, text)?);
    let kubectl = machine.launcher.child(&kubectl)?.args(["config", "--kubeconfig"]);
    kubectl.args([copy.path()]).args(arguments).succeed()?;
    copy.text()
}

fn notes(_: &Request<'_>, text: &str) -> Vec<String> {
    let is_used = text.lines().any(|line| line.trim() == format!("user: {USER}"));
    let note =
        format!("run `kubectl config set-context CONTEXT --user={USER}` to use it in a context");
    (!is_used).then_some(note).into_iter().collect()
}
