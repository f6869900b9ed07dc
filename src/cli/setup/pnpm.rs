//! pnpm: a token helper for each registry, a line each in `.npmrc`.

use std::path::PathBuf;

use super::lines;
use super::machine::Machine;
use super::tools::{Folder, Probe, Request, SetupTool};
use crate::error::Result;

pub(super) const TOOL: SetupTool = SetupTool {
    name: "pnpm",
    programs: &["pnpm"],
    link: Some((LINK, Folder::Programs)),
    names_hosts: true,
    file,
    add,
    remove,
    notes,
    probe: Probe { arguments: &[], input: "", proof: "Bearer " },
    version: &["--version"],
    least: Some((9, 0, "is older than the versions that this program is tested with")),
};

const LINK: &str = "my-token-helper";

fn file(machine: &Machine) -> PathBuf {
    let variable = ["npm_config_userconfig", "NPM_CONFIG_USERCONFIG"]
        .into_iter()
        .find_map(|name| machine.variable(name));
    variable.unwrap_or_else(|| machine.home.join(".npmrc"))
}

/// pnpm wants the helper's absolute path.
fn add(request: &Request<'_>, text: &str) -> Result<String> {
    let line = |host: String| format!("//{host}/:tokenHelper={}", request.link.display());
    Ok(request
        .exact_hosts()
        .into_iter()
        .fold(text.to_owned(), |text, host| lines::with(&text, &line(host))))
}

fn remove(_: &Machine, text: &str) -> Result<String> {
    let is_ours = |line: &str| {
        let helper =
            line.split_once(":tokenHelper=").map(|(_, helper)| std::path::Path::new(helper));
        helper.and_then(std::path::Path::file_stem).is_some_and(|name| name == LINK)
    };
    Ok(lines::without(text, is_ours))
}

fn notes(request: &Request<'_>, text: &str) -> Vec<String> {
    let mut notes = Vec::new();
    for host in request.exact_hosts() {
        if !text.lines().any(|line| line.contains("registry=") && line.contains(&host)) {
            notes.push(format!(
                "assign the packages to the registry: `@SCOPE:registry=https://{host}/`"
            ));
        }
        if text.contains(&format!("//{host}/:_authToken")) {
            notes.push(format!("the file also has an `_authToken` for {host}; remove it"));
        }
    }
    notes
}
