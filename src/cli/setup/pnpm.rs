//! pnpm: a token helper for each registry, a line each in `.npmrc`.

use std::path::PathBuf;

use super::lines;
use super::machine::Machine;
use super::tools::{Folder, Probe, Removal, Request, Selection, SetupTool, unusable_path};
use crate::error::{Error, Result};
use crate::model::HostPattern;

pub(super) const TOOL: SetupTool = SetupTool {
    name: "pnpm",
    programs: &["pnpm"],
    link: Some((LINK, Folder::Programs)),
    names_hosts: true,
    selection: Selection::LinkName,
    file,
    add,
    remove,
    notes,
    probe: Probe { arguments: &[], input: "", proof: "Bearer " },
    least: Some((9, 0, "is older than the versions that this program is tested with")),
};

const LINK: &str = "my-token-helper";

fn file(machine: &Machine) -> PathBuf {
    let variable = ["npm_config_userconfig", "NPM_CONFIG_USERCONFIG"]
        .into_iter()
        .find_map(|name| machine.variable(name));
    variable.unwrap_or_else(|| machine.home.join(".npmrc"))
}

/// pnpm requires an absolute path, looks for a file with exactly that name, and then runs the name in a shell (pnpm 9 and 10,
/// `loadToken`): no quoting satisfies both.
fn helper(request: &Request<'_>) -> Result<String> {
    let path = request.path()?;
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+@:,".contains(c);
    if request.is_portable {
        return Err(Error::invalid("pnpm needs the absolute path of its helper")
            .with_hint("omit `--portable`"));
    }
    if path.chars().all(is_plain) || cfg!(windows) {
        return Ok(path);
    }
    Err(unusable_path(
        request.link,
        "has a character that the shell interprets, and pnpm runs it in a shell",
    ))
}

fn add(request: &Request<'_>, text: &str) -> Result<String> {
    let helper = helper(request)?;
    Ok(request.exact_hosts().iter().fold(text.to_owned(), |text, host| {
        let line = format!("//{host}/:tokenHelper={helper}");
        lines::replaced(&text, &line, |known| own_host(known) == Some(host))
    }))
}

/// The host of a line of ours.
fn own_host(line: &str) -> Option<&str> {
    let (host, helper) = line.strip_prefix("//")?.split_once("/:tokenHelper=")?;
    is_ours(helper).then_some(host)
}

/// The link may name the provider: `my-token-helper-acme`.
pub(in crate::cli) fn is_ours(helper: &str) -> bool {
    let name = std::path::Path::new(helper).file_stem().unwrap_or_default().to_string_lossy();
    name.strip_prefix(LINK).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn remove(removal: &Removal<'_>, text: &str) -> Result<String> {
    let is_of = |pattern: &HostPattern, host: &str| {
        pattern.target().is_some_and(|target| target.origin.host_and_port() == host)
    };
    let is_removed = |host: &str| removal.includes(|pattern| is_of(pattern, host));
    Ok(lines::without(text, |line| own_host(line).is_some_and(is_removed)))
}

fn notes(request: &Request<'_>, text: &str) -> Vec<String> {
    let mut notes = request.wildcard_notes();
    for origin in request.origins() {
        let host = origin.host_and_port();
        if !text.lines().any(|line| line.contains("registry=") && line.contains(&host)) {
            notes.push(format!("assign the packages to the registry: `@SCOPE:registry={origin}/`"));
        }
        if text.contains(&format!("//{host}/:_authToken")) {
            notes.push(format!("the file also has an `_authToken` for {host}; remove it"));
        }
    }
    notes
}
