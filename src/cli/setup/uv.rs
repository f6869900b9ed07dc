//! uv: the provider of its passwords.

use std::path::PathBuf;

use toml_edit::{Item, value};

use super::edit;
use super::machine::Machine;
use super::pip::LINK;
use super::tools::{Folder, Probe, Removal, Request, Selection, SetupTool};
use crate::error::Result;

pub(super) const TOOL: SetupTool = SetupTool {
    name: "uv",
    programs: &["uv"],
    link: Some((LINK, Folder::Ours)),
    names_hosts: false,
    selection: Selection::Host,
    file,
    add,
    remove,
    notes,
    probe: Probe { arguments: &["get", "{url}/", "token"], input: "", proof: "" },
    least: None,
};

const KEY: &str = "keyring-provider";

fn file(machine: &Machine) -> PathBuf {
    let file =
        machine.roaming.clone().unwrap_or_else(|| machine.configuration()).join("uv/uv.toml");
    machine.variable("UV_CONFIG_FILE").unwrap_or(file)
}

fn add(request: &Request<'_>, text: &str) -> Result<String> {
    let mut document = edit::parse_toml(request.file, text)?;
    match document.get_mut(KEY).and_then(Item::as_value_mut) {
        Some(known) if known.as_str() == Some("subprocess") => {}
        Some(known) => {
            let decor = known.decor().clone();
            *known = "subprocess".into();
            *known.decor_mut() = decor;
        }
        None => document[KEY] = value("subprocess"),
    }
    Ok(document.to_string())
}

fn remove(removal: &Removal<'_>, text: &str) -> Result<String> {
    let mut document = edit::parse_toml(&file(removal.machine), text)?;
    if document.get(KEY).and_then(|item| item.as_str()) != Some("subprocess") {
        return Ok(text.to_owned());
    }
    document.remove(KEY);
    Ok(document.to_string())
}

fn notes(request: &Request<'_>, text: &str) -> Vec<String> {
    let always = "`authenticate = \"always\"`";
    if text.contains("[[index]]") {
        return vec![format!("add {always} to each `[[index]]` that needs the token")];
    }
    vec![format!(
        "add your index to the same file: `[[index]]`, `url = \"{}/simple/\"`, {always}",
        request.example_url()
    )]
}
