//! pip: the provider of its passwords. `pip config` would drop the comments of the file, so the line is set here.

use std::path::PathBuf;

use super::lines;
use super::machine::Machine;
use super::tools::{Folder, Probe, Request, SetupTool};
use crate::error::Result;

pub(super) const TOOL: SetupTool = SetupTool {
    name: "pip",
    programs: &["pip", "pip3"],
    link: Some((LINK, Folder::Ours)),
    names_hosts: false,
    file,
    add,
    remove,
    notes,
    probe: Probe { arguments: &["--mode", "creds", "get", "{url}/"], input: "", proof: "token" },
    version: &["--version"],
    least: Some((
        26,
        2,
        "uses the keyring only if the index URL has a user name: `index-url = https://token@HOST/…`",
    )),
};

/// Python's own keyring has this name too: it is never replaced.
pub(super) const LINK: &str = "keyring";

const LINE: &str = "keyring-provider = subprocess";

/// The first that is there of those that pip reads, else the one that it writes.
fn file(machine: &Machine) -> PathBuf {
    if let Some(path) = machine.variable("PIP_CONFIG_FILE").filter(|path| path.is_absolute()) {
        return path;
    }
    if let Some(folder) = machine.variable("APPDATA").filter(|_| cfg!(windows)) {
        return folder.join("pip/pip.ini");
    }
    let current = machine.configuration().join("pip/pip.conf");
    let of_macos = machine.home.join("Library/Application Support/pip");
    if cfg!(target_os = "macos") && of_macos.is_dir() { of_macos.join("pip.conf") } else { current }
}

fn add(_: &Request<'_>, text: &str) -> Result<String> {
    Ok(if is_set(text) {
        text.to_owned()
    } else {
        lines::with_key(text, "global", "keyring-provider", "subprocess")
    })
}

fn is_set(text: &str) -> bool {
    text.lines().any(is_ours)
}

fn is_ours(line: &str) -> bool {
    lines::key_of(line) == Some("keyring-provider")
        && line.split(['=', ':']).nth(1).is_some_and(|value| value.trim() == "subprocess")
}

fn remove(_: &Machine, text: &str) -> Result<String> {
    let rest = lines::without(text, is_ours);
    // The section that was made for the line.
    Ok(if rest != text && rest.trim() == "[global]" { String::new() } else { rest })
}

fn notes(request: &Request<'_>, text: &str) -> Vec<String> {
    if text.lines().any(|line| matches!(lines::key_of(line), Some("index-url" | "extra-index-url")))
    {
        return Vec::new();
    }
    let host = request.exact_hosts().into_iter().next().unwrap_or_else(|| "HOST".to_owned());
    vec![format!(
        "add your index below `[global]`: `index-url = https://{host}/simple/`; `{LINE}` does not add an index"
    )]
}
