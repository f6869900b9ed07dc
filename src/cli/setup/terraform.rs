//! terraform and OpenTofu: they accept one credentials helper. Where there is another, a note has the line.

use std::path::PathBuf;

use super::lines;
use super::machine::Machine;
use super::tools::{Folder, Probe, Request, SetupTool};
use crate::error::Result;

pub(super) const TOOL: SetupTool = SetupTool {
    name: "terraform",
    programs: &["terraform", "tofu"],
    link: Some(("terraform-credentials-my", Folder::TerraformPlugins)),
    names_hosts: false,
    file,
    add,
    remove,
    notes,
    probe: Probe { arguments: &["get", "{host}"], input: "", proof: "\"token\"" },
    version: &["--version"],
    least: Some((0, 12, "does not support credentials helpers; use 0.12 or later")),
};

const LINE: &str = "credentials_helper \"my\" {}";

fn file(machine: &Machine) -> PathBuf {
    let name = if cfg!(windows) { "terraform.rc" } else { ".terraformrc" };
    let folder = machine
        .variable("APPDATA")
        .filter(|_| cfg!(windows))
        .unwrap_or_else(|| machine.home.clone());
    machine.variable("TF_CLI_CONFIG_FILE").unwrap_or_else(|| folder.join(name))
}

/// terraform refuses a file with two.
fn has_another(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("credentials_helper") && !is_ours(line))
}

fn is_ours(line: &str) -> bool {
    line.split_whitespace().collect::<String>().starts_with("credentials_helper\"my\"{")
}

fn add(_: &Request<'_>, text: &str) -> Result<String> {
    let is_there = text.lines().any(is_ours);
    Ok(if has_another(text) || is_there { text.to_owned() } else { lines::with(text, LINE) })
}

fn remove(_: &Machine, text: &str) -> Result<String> {
    Ok(lines::without(text, |line| line == LINE))
}

fn notes(_: &Request<'_>, text: &str) -> Vec<String> {
    let note = format!(
        "the file has another credentials helper, and terraform accepts only one; replace it with: {LINE}"
    );
    has_another(text).then_some(note).into_iter().collect()
}
