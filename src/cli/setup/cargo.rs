//! cargo: one more among the global credential providers, the last of which is asked first.

use std::path::PathBuf;

use toml_edit::{Array, DocumentMut, Item, Table, Value};

use super::machine::Machine;
use super::tools::{Folder, Probe, Removal, Request, Selection, SetupTool, is_named};
use super::{edit, link};
use crate::error::{Error, Result};

pub(super) const TOOL: SetupTool = SetupTool {
    name: "cargo",
    programs: &["cargo"],
    link: Some((LINK, Folder::Programs)),
    names_hosts: false,
    selection: Selection::Host,
    file,
    add,
    remove,
    notes,
    probe: Probe {
        arguments: &["--cargo-plugin"],
        input: "{\"v\":1,\"registry\":{\"index-url\":\"sparse+{url}/\"},\"kind\":\"get\",\"operation\":\"read\",\"args\":[]}\n",
        proof: "\"Ok\"",
    },
    least: Some((1, 74, "does not support credential providers; use 1.74 or later")),
};

const LINK: &str = "cargo-credential-my";
const KEY: &str = "global-credential-providers";
const ALIASES: &str = "credential-alias";

fn file(machine: &Machine) -> PathBuf {
    let folder = machine.variable("CARGO_HOME").unwrap_or_else(|| machine.home.join(".cargo"));
    // cargo reads the name of earlier versions first.
    let old = folder.join("config");
    if old.is_file() { old } else { folder.join("config.toml") }
}

fn parsed(machine: &Machine, text: &str) -> Result<DocumentMut> {
    edit::parse_toml(&file(machine), text)
}

/// Whether cargo runs this program for the provider. Version 0.1.0 wrote a path with blanks, which cargo splits.
fn is_ours(machine: &Machine, value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let mut words = text.split_whitespace();
    words.next().is_some_and(|word| is_named(word, LINK)) && words.next().is_none()
        || link::is_own_path(machine, LINK, text)
}

fn add(request: &Request<'_>, text: &str) -> Result<String> {
    let mut document = parsed(request.machine, text)?;
    let unusable = |key, what| {
        let message = format!("`{key}` in {} is not {what}", request.file.display());
        Error::invalid(message).with_hint("correct the file")
    };
    let list = || unusable("registry.global-credential-providers", "a list");
    let registry = document.entry("registry").or_insert_with(|| Item::Table(Table::new()));
    let registry = registry.as_table_like_mut().ok_or_else(list)?;
    // The default of cargo.
    let providers = registry
        .entry(KEY)
        .or_insert_with(|| Item::Value(Value::from(Array::from_iter(["cargo:token"]))));
    let providers = providers.as_array_mut().ok_or_else(list)?;
    // cargo splits a provider at blanks; an alias is a list (cargo, `PathAndArgs`).
    let (provider, alias) = match request.command()? {
        path if path.contains(char::is_whitespace) => (LINK.to_owned(), Some(path)),
        command => (command, None),
    };
    let index = providers.iter().position(|value| is_ours(request.machine, value));
    match index {
        Some(index) if providers.get(index).and_then(Value::as_str) == Some(&provider) => {}
        Some(index) => drop(providers.replace(index, provider)),
        None => providers.push(provider),
    }
    if let Some(path) = alias {
        let aliases = document.entry(ALIASES).or_insert_with(|| Item::Table(Table::new()));
        let aliases = aliases.as_table_like_mut().ok_or_else(|| unusable(ALIASES, "a table"))?;
        if aliases.get(LINK).and_then(alias_path) != Some(&path) {
            aliases.insert(LINK, Item::Value(Value::from(Array::from_iter([path]))));
        }
    }
    Ok(document.to_string())
}

/// The path of an alias that `setup` wrote.
fn alias_path(item: &Item) -> Option<&str> {
    let list = item.as_array().filter(|list| list.len() == 1)?;
    list.get(0)?.as_str().filter(|path| is_named(path, LINK))
}

fn remove(removal: &Removal<'_>, text: &str) -> Result<String> {
    let (mut document, mut is_removed) = (parsed(removal.machine, text)?, false);
    let was_set = removal
        .original
        .and_then(|original| parsed(removal.machine, original).ok())
        .is_some_and(|it| it.get("registry").is_some_and(|registry| registry.get(KEY).is_some()));
    edit::change_table(document.as_table_mut(), "registry", |registry| {
        let Some(providers) = registry.get_mut(KEY).and_then(Item::as_array_mut) else { return };
        let count = providers.len();
        providers.retain(|value| !is_ours(removal.machine, value));
        is_removed = providers.len() < count;
        // What is left is the default of cargo.
        if is_removed
            && !was_set
            && providers.iter().all(|value| value.as_str() == Some("cargo:token"))
        {
            registry.remove(KEY);
        }
    });
    if !is_removed {
        return Ok(text.to_owned());
    }
    edit::change_table(document.as_table_mut(), ALIASES, |aliases| {
        if aliases.get(LINK).and_then(alias_path).is_some() {
            aliases.remove(LINK);
        }
    });
    Ok(document.to_string())
}

fn notes(request: &Request<'_>, text: &str) -> Vec<String> {
    let has_registries =
        parsed(request.machine, text).is_ok_and(|document| document.contains_key("registries"));
    let origin = request.origins().into_iter().next().filter(|_| !has_registries);
    let note = |origin| {
        format!(
            "add your registry to the same file: `[registries.my]` and `index = \"sparse+{origin}/PATH/\"`"
        )
    };
    origin.map(note).into_iter().collect()
}
