//! cargo: one more among the global credential providers, the last of which is asked first.

use std::path::PathBuf;

use toml_edit::{Array, DocumentMut, Item, Table, Value};

use super::machine::Machine;
use super::tools::{Folder, Probe, Request, SetupTool};
use crate::error::{Error, Result, sanitize};

pub(super) const TOOL: SetupTool = SetupTool {
    name: "cargo",
    programs: &["cargo"],
    link: Some((LINK, Folder::Programs)),
    names_hosts: false,
    file,
    add,
    remove,
    notes,
    probe: Probe {
        arguments: &["--cargo-plugin"],
        input: "{\"v\":1,\"registry\":{\"index-url\":\"sparse+{url}/\"},\"kind\":\"get\",\"operation\":\"read\",\"args\":[]}\n",
        proof: "\"Ok\"",
    },
    version: &["--version"],
    least: Some((1, 74, "does not support credential providers; use 1.74 or later")),
};

const LINK: &str = "cargo-credential-my";
const KEY: &str = "global-credential-providers";

fn file(machine: &Machine) -> PathBuf {
    let folder = machine.variable("CARGO_HOME").unwrap_or_else(|| machine.home.join(".cargo"));
    // The name of old; cargo reads it where it is there.
    let old = folder.join("config");
    if old.is_file() { old } else { folder.join("config.toml") }
}

fn parsed(text: &str) -> Result<DocumentMut> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        Error::invalid(format!("cannot read cargo's config.toml: {}", sanitize(error.message())))
    })
}

fn is_ours(value: &Value) -> bool {
    let name = value.as_str().map(std::path::Path::new).and_then(std::path::Path::file_stem);
    name.is_some_and(|name| name == LINK)
}

fn add(request: &Request<'_>, text: &str) -> Result<String> {
    let mut document = parsed(text)?;
    let unusable = || Error::invalid(format!("cargo's `registry.{KEY}` is not a list"));
    let registry = document.entry("registry").or_insert_with(|| Item::Table(Table::new()));
    let registry = registry.as_table_like_mut().ok_or_else(unusable)?;
    // What cargo asks where nothing is configured.
    let providers = registry
        .entry(KEY)
        .or_insert_with(|| Item::Value(Value::from(Array::from_iter(["cargo:token"]))));
    let providers = providers.as_array_mut().ok_or_else(unusable)?;
    if !providers.iter().any(is_ours) {
        providers.push(request.command());
    }
    Ok(document.to_string())
}

fn remove(_: &Machine, text: &str) -> Result<String> {
    let mut document = parsed(text)?;
    let Some(registry) = document.get_mut("registry").and_then(Item::as_table_like_mut) else {
        return Ok(text.to_owned());
    };
    let Some(providers) = registry.get_mut(KEY).and_then(Item::as_array_mut) else {
        return Ok(text.to_owned());
    };
    if !providers.iter().any(is_ours) {
        return Ok(text.to_owned());
    }
    providers.retain(|value| !is_ours(value));
    // Without us it says what cargo does anyway.
    if providers.iter().all(|value| value.as_str() == Some("cargo:token")) {
        registry.remove(KEY);
        if registry.is_empty() {
            document.remove("registry");
        }
    }
    Ok(document.to_string())
}

fn notes(request: &Request<'_>, text: &str) -> Vec<String> {
    let known = parsed(text).ok().and_then(|document| document.get("registries").map(|_| ()));
    match (known, request.exact_hosts().first()) {
        (None, Some(host)) => vec![format!(
            "add your registry to the same file: `[registries.my]` and `index = \"sparse+https://{host}/PATH/\"`"
        )],
        _ => Vec::new(),
    }
}
