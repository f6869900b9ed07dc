//! Bazel: a credential helper for each host, a line each in `~/.bazelrc`.

use std::path::PathBuf;

use super::lines;
use super::machine::Machine;
use super::tools::{Folder, Probe, Request, SetupTool, no_notes};
use crate::error::Result;

pub(super) const TOOL: SetupTool = SetupTool {
    name: "bazel",
    programs: &["bazel", "bazelisk"],
    link: Some((LINK, Folder::Programs)),
    names_hosts: true,
    file,
    add,
    remove,
    notes: no_notes,
    probe: Probe { arguments: &["get"], input: "{\"uri\":\"{url}/\"}", proof: "Authorization" },
    version: &["--version"],
    least: Some((7, 0, "has only `--experimental_credential_helper`")),
};

const LINK: &str = "bazel-credential-my";

fn file(machine: &Machine) -> PathBuf {
    machine.home.join(".bazelrc")
}

/// Bazel knows hosts without ports, and the patterns that the configuration does.
fn add(request: &Request<'_>, text: &str) -> Result<String> {
    let host = |pattern: &crate::model::HostPattern| {
        pattern
            .target()
            .map_or_else(|| pattern.to_string(), |target| target.origin.host().to_owned())
    };
    let line = |host: String| format!("common --credential_helper={host}={}", request.command());
    Ok(request
        .hosts
        .iter()
        .map(host)
        .fold(text.to_owned(), |text, host| lines::with(&text, &line(host))))
}

fn remove(_: &Machine, text: &str) -> Result<String> {
    Ok(lines::without(text, |line| line.contains("--credential_helper=") && line.ends_with(LINK)))
}
