//! pip: the provider of its passwords. `pip config` would drop the comments of the file, so the line is set here.

use std::path::PathBuf;

use super::lines;
use super::place::Place;
use super::tools::{Ask, Folder, Probe, SetupTool};
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
        "asks only where the index names a user: `index-url = https://token@HOST/…`",
    )),
};

/// Python's own keyring has this name too: it is never replaced.
pub(super) const LINK: &str = "keyring";

const LINE: &str = "keyring-provider = subprocess";

/// The first that is there of those that pip reads, else the one that it writes.
fn file(place: &Place) -> PathBuf {
    if let Some(path) = place.variable("PIP_CONFIG_FILE").filter(|path| path.is_absolute()) {
        return path;
    }
    if let Some(folder) = place.variable("APPDATA").filter(|_| cfg!(windows)) {
        return folder.join("pip/pip.ini");
    }
    let current = place.configuration().join("pip/pip.conf");
    let of_macos = place.home.join("Library/Application Support/pip");
    if cfg!(target_os = "macos") && of_macos.is_dir() { of_macos.join("pip.conf") } else { current }
}

fn add(_: &Ask<'_>, text: &str) -> Result<String> {
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

fn remove(_: &Place, text: &str) -> Result<String> {
    let rest = lines::without(text, is_ours);
    // The section that was made for the line.
    Ok(if rest != text && rest.trim() == "[global]" { String::new() } else { rest })
}

fn notes(ask: &Ask<'_>, text: &str) -> Vec<String> {
    if text.lines().any(|line| matches!(lines::key_of(line), Some("index-url" | "extra-index-url")))
    {
        return Vec::new();
    }
    let host = ask.exact_hosts().into_iter().next().unwrap_or_else(|| "HOST".to_owned());
    vec![format!(
        "name your index below `[global]` too: `index-url = https://{host}/simple/`; `{LINE}` alone asks for none"
    )]
}
