//! kubectl: `kubectl config view`, which merges the files of `KUBECONFIG` and hides secrets.

use serde_json::Value;

use super::{InForce, is_named};
use crate::cli::doctor::finding::Finding;
use crate::cli::setup::kubectl::{self, text_of};
use crate::error::{Error, Result, sanitize};
use crate::model::Target;

pub(super) fn inspect(in_force: &mut InForce<'_>) -> Result<()> {
    let subject = in_force.subject;
    // The launcher passes a variable with an absolute path; this one has several.
    let mut child = subject.machine.launcher.child(subject.program)?;
    if let Some(files) = subject.variable("KUBECONFIG") {
        let relative = std::env::split_paths(&files)
            .any(|path| !path.as_os_str().is_empty() && !path.is_absolute());
        if relative {
            let message =
                "KUBECONFIG has a relative path: each directory has its own configuration";
            in_force.problem(message, "set KUBECONFIG to absolute paths");
            return Ok(());
        }
        child = child.env("KUBECONFIG", files);
    }
    let text = child.args(["config", "view", "--output=json"]).outcome()?;
    let parsed = text.and_then(|text| {
        serde_json::from_str(&text).map_err(|_| "it did not print JSON".to_owned())
    });
    let configuration: Value = parsed.map_err(|reason| {
        Error::invalid(format!("kubectl cannot read its configuration: {reason}"))
            .with_hint("correct the file")
    })?;
    let list = |name| kubectl::list(&configuration, name);
    for entry in list("users") {
        let (name, user) = (text_of(entry, "/name"), entry.get("user").unwrap_or(&Value::Null));
        let command = text_of(user, "/exec/command");
        if !is_named(command, "my-credential-helper") {
            continue;
        }
        in_force.commands.push(command.to_owned());
        let shown = sanitize(name);
        let secrets =
            ["token", "tokenFile", "client-certificate", "client-certificate-data", "username"];
        if let Some(secret) =
            secrets.iter().find(|name| user.get(**name).is_some_and(|it| *it != ""))
        {
            let fix = format!("run `kubectl config unset users.{shown}.{secret}`");
            in_force.precedes(&format!("its `{secret}`"), &format!("user `{shown}`"), fix);
        }
        let arguments = user.pointer("/exec/args").and_then(Value::as_array).into_iter().flatten();
        let arguments: Vec<_> = arguments.filter_map(Value::as_str).collect();
        let position = arguments.iter().position(|it| *it == "kubectl");
        let options = &arguments[..position.unwrap_or(0)];
        let line: Vec<_> =
            [&command].into_iter().chain(options).map(|it| (*it).to_owned()).collect();
        if position.is_none() {
            let message =
                format!("user `{shown}` runs this program without the argument `kubectl`");
            in_force.problem(message, "`my-credential-helper setup kubectl`");
        }
        let contexts: Vec<_> =
            list("contexts").filter(|context| text_of(context, "/context/user") == name).collect();
        if contexts.is_empty() {
            let fix = format!("run `kubectl config set-context CONTEXT --user={shown}`");
            let message = format!("no context has the user `{shown}`, which asks this program");
            in_force.findings.push(Finding::note(subject.tool.name, message).with_fix(fix));
        }
        for context in contexts {
            let cluster = text_of(context, "/context/cluster");
            let cluster = list("clusters").find(|entry| text_of(entry, "/name") == cluster);
            let server = cluster.map(|cluster| text_of(cluster, "/cluster/server"));
            let target = server.and_then(|server| Target::parse(server).ok());
            if let Some(target) = target.filter(|it| !in_force.targets.contains(it)) {
                in_force.lines.push((target.clone(), line.clone()));
                in_force.targets.push(target);
            }
        }
    }
    Ok(())
}

/// The description of the cluster that kubectl gives to an exec plugin.
pub(in crate::cli::doctor) fn info(target: &Target) -> String {
    serde_json::json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "spec": { "interactive": false, "cluster": { "server": target.to_string() } },
    })
    .to_string()
}
