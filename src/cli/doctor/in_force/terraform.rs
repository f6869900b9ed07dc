//! terraform and OpenTofu: a variable or a `credentials` block for a host precedes the credentials helper. Neither has a
//! command that prints its configuration.

use super::InForce;
use crate::cli::setup::{edit, terraform};
use crate::error::Result;

const NAME: &str = "my";

pub(super) fn inspect(in_force: &mut InForce<'_>) -> Result<()> {
    let (subject, program) = (in_force.subject, in_force.subject.tool.name);
    let mut blocks = Vec::new();
    for place in terraform::files(subject.machine, &subject.file()) {
        let text = edit::read(&place)?.unwrap_or_default();
        let found = terraform::blocks(&text, &place)?.into_iter();
        blocks.extend(found.map(|block| (block, place.display().to_string())));
    }
    let is_helper = |(kind, _): &(String, String)| kind == "credentials_helper";
    let helpers: Vec<_> = blocks.iter().filter(|(block, _)| is_helper(block)).collect();
    if helpers.iter().all(|((_, label), _)| label != NAME) {
        return Ok(());
    }
    in_force.commands.push("terraform-credentials-my".to_owned());
    if let [(_, first), (_, second), ..] = &helpers[..] {
        let message = format!(
            "{program} accepts one `credentials_helper`; there is one in {first} and one in {second}"
        );
        in_force.problem(message, format!("remove one of them; {program} fails until then"));
    }
    let hosts = subject.hosts();
    let targets = if hosts.is_empty() { subject.any_host() } else { hosts };
    for target in targets {
        let host = target.origin.host_and_port();
        // terraform accepts a hyphen as it is, and as two underscores.
        let plain = host.replace(['.', ':'], "_");
        let names = [format!("TF_TOKEN_{plain}"), format!("TF_TOKEN_{}", plain.replace('-', "__"))];
        if let Some(name) = names.iter().find(|name| subject.variable(name).is_some()) {
            in_force.precedes(name, &host, format!("run `unset {name}`"));
        }
        let login = ("credentials".to_owned(), host.clone());
        if let Some((_, place)) = blocks.iter().find(|(block, _)| *block == login) {
            let what = format!("`credentials \"{host}\"` in {place}");
            let fix = format!(
                "remove it from {place}; `{program} logout {host}` removes what `{program} login` wrote"
            );
            in_force.precedes(&what, &host, fix);
        }
        if !in_force.targets.contains(&target) {
            in_force.targets.push(target);
        }
    }
    Ok(())
}
