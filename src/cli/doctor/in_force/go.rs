//! go: `go env GOAUTH`. Of two methods that have a credential for a URL the first is used (cmd/go/internal/auth).

use super::{InForce, Subject, first_word, is_named, netrc};
use crate::cli::setup::go;
use crate::error::Result;

pub(super) fn inspect(in_force: &mut InForce<'_>) -> Result<()> {
    let subject = in_force.subject;
    let value = goauth(subject, &["GOAUTH", "GOENV"])?;
    let methods: Vec<_> = value.split(';').map(str::trim).filter(|it| !it.is_empty()).collect();
    let Some(position) = methods.iter().position(|method| is_ours(method)) else {
        for variable in ["GOAUTH", "GOENV"] {
            if subject.variable(variable).is_some() && goauth(subject, &[])?.split(';').any(is_ours)
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

/// `GOAUTH` as go sees it with these of the variables.
fn goauth(subject: &Subject<'_>, variables: &[&str]) -> Result<String> {
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
    Ok(go.args(["env", "GOAUTH"]).succeed()?.trim().to_owned())
}
