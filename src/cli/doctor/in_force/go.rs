//! go: `go env GOAUTH`. Of two methods that have a credential for a URL the first is used (cmd/go/internal/auth).

use super::{InForce, Subject, first_word, is_named, netrc};
use crate::cli::doctor::finding::Finding;
use crate::cli::setup::{go, hosts};
use crate::error::Result;

pub(super) fn inspect(in_force: &mut InForce<'_>) -> Result<()> {
    let subject = in_force.subject;
    let value = setting(subject, "GOAUTH", &["GOAUTH", "GOENV"])?;
    let methods: Vec<_> = value.split(';').map(str::trim).filter(|it| !it.is_empty()).collect();
    let Some(position) = methods.iter().position(|method| is_ours(method)) else {
        for variable in ["GOAUTH", "GOENV"] {
            if subject.variable(variable).is_some()
                && setting(subject, "GOAUTH", &[])?.split(';').any(is_ours)
            {
                let message =
                    format!("the variable {variable} replaces the GOAUTH that `setup` has set");
                in_force.problem(message, format!("run `unset {variable}`"));
                break;
            }
        }
        return Ok(());
    };
    let words = go::words(methods[position]).into_iter().take_while(|word| *word != "goauth");
    let line: Vec<_> = words.map(str::to_owned).collect();
    in_force.commands.extend(line.first().cloned());
    in_force.targets = subject.any_host();
    in_force.lines = in_force.targets.iter().map(|it| (it.clone(), line.clone())).collect();
    if methods.contains(&"off") {
        let message = "GOAUTH has `off` and another method, which go refuses";
        in_force.problem(message, "run `go env -u GOAUTH`, and `setup` again");
    }
    report_public(in_force)?;
    for method in &methods[..position] {
        if *method == "netrc" {
            netrc::examine(in_force);
        } else {
            let method = first_word(method);
            in_force.note(format!("`{method}` in GOAUTH is tried before this program"));
        }
    }
    Ok(())
}

fn is_ours(method: &str) -> bool {
    let words = go::words(method);
    words.first().is_some_and(|command| is_named(command, "my-credential-helper"))
        && words.contains(&"goauth")
}

/// Notes the hosts whose modules go gets from the public proxy.
fn report_public(in_force: &mut InForce<'_>) -> Result<()> {
    let subject = in_force.subject;
    let names = ["GOPRIVATE", "GONOPROXY", "GOPROXY"];
    let values = names.map(|name| setting(subject, name, &["GOENV", name]));
    let [private, direct, proxy] = values;
    let (private, direct, proxy) = (private?, direct?, proxy?);
    // Without a value of its own, GONOPROXY has that of GOPRIVATE.
    let direct = if direct == private { "" } else { &*direct };
    for target in hosts::of_tool(subject.machine, subject.tool).unwrap_or_default() {
        let host = target.origin.host();
        if let Some(note) = go::public(host, &private, direct, &proxy) {
            let message = format!("go asks the public proxy for the modules of {host}");
            in_force.findings.push(Finding::note(subject.tool.name, message).with_fix(note));
        }
    }
    Ok(())
}

/// A setting as go sees it with these of the variables.
fn setting(subject: &Subject<'_>, name: &str, variables: &[&str]) -> Result<String> {
    // The toolchain of a project must not be downloaded for this.
    let mut go = subject.machine.launcher.child(subject.program)?.env("GOTOOLCHAIN", "local");
    if variables.is_empty() {
        // An empty variable is the same as none.
        go = go.env("GOENV", "");
    }
    for name in variables {
        if let Some(value) = subject.variable(name) {
            go = go.env(name, value);
        }
    }
    Ok(go.args(["env", name]).succeed()?.trim().to_owned())
}
