//! terraform and OpenTofu: a variable or a `credentials` block for a host precedes the credentials helper. Neither has a
//! command that prints its configuration.

use std::path::PathBuf;

use super::{InForce, Subject};
use crate::cli::setup::{edit, terraform};
use crate::error::Result;

const NAME: &str = "my";

/// A block of the top level with a label: `credentials_helper "my"`.
struct Block {
    kind: String,
    label: String,
    place: PathBuf,
}

pub(super) fn inspect(subject: &Subject<'_>) -> Result<InForce> {
    let (program, mut in_force) = (subject.tool.name, InForce::default());
    let mut blocks = Vec::new();
    for place in terraform::files(subject.machine, &subject.file()) {
        let text = edit::read(&place)?.unwrap_or_default();
        let found = terraform::blocks(&text, &place)?.into_iter();
        blocks.extend(found.map(|(kind, label)| Block { kind, label, place: place.clone() }));
    }
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
