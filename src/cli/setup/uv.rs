//! uv: the provider of its passwords.

use std::path::PathBuf;

use toml_edit::{DocumentMut, value};

use super::pip::LINK;
use super::place::Place;
use super::tools::{Ask, Folder, Probe, SetupTool};
use crate::error::{Error, Result, sanitize};

pub(super) const TOOL: SetupTool = SetupTool {
    name: "uv",
    programs: &["uv"],
    link: Some((LINK, Folder::Ours)),
    names_hosts: false,
    file,
    add,
    remove,
    notes,
    probe: Probe { arguments: &["get", "{url}/", "token"], input: "", proof: "" },
    version: &["--version"],
    least: None,
};

const KEY: &str = "keyring-provider";

fn file(place: &Place) -> PathBuf {
    let folder = if cfg!(windows) { place.variable("APPDATA") } else { None };
    let file = folder.unwrap_or_else(|| place.configuration()).join("uv/uv.toml");
    place.variable("UV_CONFIG_FILE").unwrap_or(file)
}

fn parsed(text: &str) -> Result<DocumentMut> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        Error::invalid(format!("uv.toml cannot be read: {}", sanitize(error.message())))
    })
}

fn add(_: &Ask<'_>, text: &str) -> Result<String> {
    let mut document = parsed(text)?;
    if document.get(KEY).and_then(|item| item.as_str()) != Some("subprocess") {
        document[KEY] = value("subprocess");
    }
    Ok(document.to_string())
}

fn remove(_: &Place, text: &str) -> Result<String> {
    let mut document = parsed(text)?;
    if document.get(KEY).and_then(|item| item.as_str()) != Some("subprocess") {
        return Ok(text.to_owned());
    }
    document.remove(KEY);
    Ok(document.to_string())
}

fn notes(ask: &Ask<'_>, text: &str) -> Vec<String> {
    if text.contains("[[index]]") {
        return vec![
            "each `[[index]]` that needs the token wants `authenticate = \"always\"`".to_owned(),
        ];
    }
    let host = ask.exact_hosts().into_iter().next().unwrap_or_else(|| "HOST".to_owned());
    vec![format!(
        "name your index there too: `[[index]]`, `url = \"https://{host}/simple/\"`, `authenticate = \"always\"`"
    )]
}
