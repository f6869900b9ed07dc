//! pnpm: a token helper for each registry, a line each in `.npmrc`.

use std::path::PathBuf;

use super::lines;
use super::place::Place;
use super::tools::{Ask, Folder, Probe, SetupTool};
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
    least: Some((9, 0, "is older than what this is tested with")),
};

const LINK: &str = "my-token-helper";

fn file(place: &Place) -> PathBuf {
    let variable = ["npm_config_userconfig", "NPM_CONFIG_USERCONFIG"]
        .into_iter()
        .find_map(|name| place.variable(name));
    variable.unwrap_or_else(|| place.home.join(".npmrc"))
}

/// pnpm wants the helper's absolute path.
fn add(ask: &Ask<'_>, text: &str) -> Result<String> {
    let line = |host: String| format!("//{host}/:tokenHelper={}", ask.link.display());
    Ok(ask
        .exact_hosts()
        .into_iter()
        .fold(text.to_owned(), |text, host| lines::with(&text, &line(host))))
}

fn remove(_: &Place, text: &str) -> Result<String> {
    let is_ours = |line: &str| {
        let helper =
            line.split_once(":tokenHelper=").map(|(_, helper)| std::path::Path::new(helper));
        helper.and_then(std::path::Path::file_stem).is_some_and(|name| name == LINK)
    };
    Ok(lines::without(text, is_ours))
}

fn notes(ask: &Ask<'_>, text: &str) -> Vec<String> {
    let mut notes = Vec::new();
    for host in ask.exact_hosts() {
        if !text.lines().any(|line| line.contains("registry=") && line.contains(&host)) {
            notes.push(format!(
                "say which packages come from there: `@SCOPE:registry=https://{host}/`"
            ));
        }
        if text.contains(&format!("//{host}/:_authToken")) {
            notes.push(format!("the `_authToken` of {host} stands there too; remove it"));
        }
    }
    notes
}
