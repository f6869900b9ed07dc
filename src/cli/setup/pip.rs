//! pip: the provider of its passwords.

use std::path::PathBuf;

use super::ini::{Ini, IniOption};
use super::machine::Machine;
use super::tools::{Folder, Probe, Removal, Request, Selection, SetupTool};
use crate::error::{Error, Result};

pub(super) const TOOL: SetupTool = SetupTool {
    name: "pip",
    programs: &["pip", "pip3"],
    link: Some((LINK, Folder::Ours)),
    names_hosts: false,
    selection: Selection::Host,
    file,
    add,
    remove,
    notes,
    probe: Probe { arguments: &["--mode", "creds", "get", "{url}/"], input: "", proof: "token" },
    least: Some((
        26,
        2,
        "uses the keyring only if the index URL has a user name: `index-url = https://token@HOST/…`",
    )),
};

/// Python's `keyring` has this name too, and is never replaced.
pub(super) const LINK: &str = "keyring";

/// pip normalizes the names of options (pip, `_normalize_name`).
const KEY: &str = "keyring-provider";

const LINE: &str = "keyring-provider = subprocess";

/// The file that `pip config set` writes.
fn file(machine: &Machine) -> PathBuf {
    if let Some(path) = machine.variable("PIP_CONFIG_FILE").filter(|path| path.is_absolute()) {
        return path;
    }
    if let Some(folder) = &machine.roaming {
        return folder.join("pip/pip.ini");
    }
    let current = machine.configuration().join("pip/pip.conf");
    let of_macos = machine.home.join("Library/Application Support/pip");
    if cfg!(target_os = "macos") && of_macos.is_dir() { of_macos.join("pip.conf") } else { current }
}

fn parsed<'a>(machine: &Machine, text: &'a str) -> Result<Ini<'a>> {
    Ini::parse(text).map_err(|error| {
        let message = format!("pip cannot read {}: {}", file(machine).display(), error.message);
        Error { message, ..error }
    })
}

fn add(request: &Request<'_>, text: &str) -> Result<String> {
    let file = parsed(request.machine, text)?;
    Ok(match file.option("global", KEY) {
        Some(known) if known.value == "subprocess" => text.to_owned(),
        Some(known) => file.replaced(known, "subprocess"),
        None => file.with("global", LINE),
    })
}

fn remove(removal: &Removal<'_>, text: &str) -> Result<String> {
    let file = parsed(removal.machine, text)?;
    let known = file.option("global", KEY).filter(|known| known.value == "subprocess");
    Ok(known.map_or_else(|| text.to_owned(), |known| file.without(known)))
}

fn notes(request: &Request<'_>, text: &str) -> Vec<String> {
    let Ok(file) = Ini::parse(text) else { return Vec::new() };
    let mut notes = Vec::new();
    let overrides = |option: &&IniOption| option.section != "global" && option.key == KEY;
    if let Some(IniOption { section, value, .. }) = file.options.iter().find(overrides) {
        notes.push(format!("`{KEY} = {value}` in `[{section}]` takes precedence for that command"));
    }
    let is_index = |option: &IniOption| matches!(&*option.key, "index-url" | "extra-index-url");
    if !file.options.iter().any(is_index) {
        notes.push(format!(
            "add your index below `[global]`: `index-url = {}/simple/`; `{LINE}` does not add an index",
            request.example_url()
        ));
    }
    notes
}
