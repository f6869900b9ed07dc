//! terraform and OpenTofu: a `credentials_helper` block. They accept one in all files together, so where another file has one,
//! a note has the line.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use hcl_edit::Span as _;
use hcl_edit::structure::{Block, Body};
use serde_json::Value;

use super::edit;
use super::machine::Machine;
use super::tools::{Folder, Probe, Removal, Request, Selection, SetupTool};
use crate::error::{Error, Result};

pub(super) const TERRAFORM: SetupTool = SetupTool {
    name: "terraform",
    programs: &["terraform"],
    link: Some(("terraform-credentials-my", Folder::TerraformPlugins)),
    names_hosts: false,
    selection: Selection::Host,
    file: terraform_file,
    add,
    remove,
    notes,
    probe: Probe { arguments: &["get", "{host}"], input: "", proof: "\"token\"" },
    least: Some((0, 12, "does not support credentials helpers; use 0.12 or later")),
};

pub(super) const TOFU: SetupTool =
    SetupTool { name: "tofu", programs: &["tofu"], file: tofu_file, least: None, ..TERRAFORM };

const LINE: &str = "credentials_helper \"my\" {}";
const BLOCK: &str = "credentials_helper";
const NAME: &str = "my";

/// The file that replaces all others. The second variable is the older one (terraform, `cliConfigFileOverride`).
fn named_file(machine: &Machine) -> Option<PathBuf> {
    machine.variable("TF_CLI_CONFIG_FILE").or_else(|| machine.variable("TERRAFORM_CONFIG"))
}

/// The file of that name in the folder of the user, and on Windows in `%APPDATA%`.
pub(super) fn home_file(machine: &Machine, unix: &str, windows: &str) -> PathBuf {
    match &machine.roaming {
        Some(folder) => folder.join(windows),
        None => machine.home.join(unix),
    }
}

fn terraform_file(machine: &Machine) -> PathBuf {
    named_file(machine).unwrap_or_else(|| home_file(machine, ".terraformrc", "terraform.rc"))
}

/// OpenTofu reads the first of its own file, terraform's file, and the one in XDG_CONFIG_HOME (opentofu,
/// internal/command/cliconfig/config_unix.go).
fn tofu_file(machine: &Machine) -> PathBuf {
    let own = home_file(machine, ".tofurc", "tofu.rc");
    let of_terraform = home_file(machine, ".terraformrc", "terraform.rc");
    let xdg = machine.variable("XDG_CONFIG_HOME").filter(|_| cfg!(unix));
    let new = || xdg.map_or_else(|| own.clone(), |folder| folder.join("opentofu/tofurc"));
    let known = [&own, &of_terraform].into_iter().find(|file| file.exists() || file.is_symlink());
    named_file(machine).or_else(|| known.cloned()).unwrap_or_else(new)
}

/// The files that are read: `file`, `*.tfrc` and `*.tfrc.json` of the configuration folder, and what `login` wrote there,
/// which is read in any case (terraform, internal/command/cliconfig).
pub(in crate::cli) fn files(machine: &Machine, file: &Path) -> Vec<PathBuf> {
    let mut folders = vec![home_file(machine, ".terraform.d", "terraform.d")];
    if named_file(machine).is_some() {
        return vec![file.to_owned(), folders[0].join("credentials.tfrc.json")];
    }
    if !folders[0].exists() && file.ends_with("opentofu/tofurc") {
        folders.extend(file.parent().map(Path::to_owned));
    }
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
    let mut paths: Vec<_> = entries.flatten().flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".tfrc") || name.ends_with(".tfrc.json")
    });
    paths.sort();
    paths.insert(0, file.to_owned());
    paths
}

fn parsed(text: &str, file: &Path) -> Result<Body> {
    text.parse().map_err(|_| {
        let message = format!("cannot read {} as HCL or JSON", file.display());
        Error::invalid(message)
            .with_hint(format!("correct the file, or add this line yourself: {LINE}"))
    })
}

/// Kind and label of the blocks of the top level: `credentials`, `acme.dev`. A block with several labels has none here.
pub(in crate::cli) fn blocks(text: &str, file: &Path) -> Result<Vec<(String, String)>> {
    let plain = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    if plain.trim_start().starts_with('{') {
        let object: BTreeMap<String, Value> = serde_json::from_str(&plain).map_err(|_| {
            Error::invalid(format!("cannot read {} as HCL or JSON", file.display()))
        })?;
        let labels = |(kind, labels): (String, Value)| {
            let labels = labels.as_object().into_iter().flatten().map(|(label, _)| label.clone());
            labels.map(|label| (kind.clone(), label)).collect::<Vec<_>>()
        };
        return Ok(object.into_iter().flat_map(labels).collect());
    }
    let body = parsed(&plain, file)?;
    let label = |block: &Block| match &block.labels[..] {
        [label] => label.as_str().to_owned(),
        _ => String::new(),
    };
    Ok(body.blocks().map(|block| (block.ident.to_string(), label(block))).collect())
}

/// The file with a helper, the tool's own or another one, and whether the helper is ours.
fn found(request: &Request<'_>, text: &str) -> Result<Option<(PathBuf, bool)>> {
    for file in files(request.machine, request.file) {
        let other = if file == request.file { None } else { Some(edit::read(&file)?) };
        let text = other.map_or_else(|| text.to_owned(), Option::unwrap_or_default);
        let blocks = blocks(&text, &file)?;
        if let Some((_, label)) = blocks.iter().find(|(kind, _)| kind == BLOCK) {
            return Ok(Some((file, label == NAME)));
        }
    }
    Ok(None)
}

fn add(request: &Request<'_>, text: &str) -> Result<String> {
    if found(request, text)?.is_some() {
        return Ok(text.to_owned());
    }
    if text.trim_start().starts_with('{') {
        return Err(Error::invalid(format!("{} is JSON", request.file.display()))
            .with_hint("add `\"credentials_helper\": {\"my\": {}}` yourself"));
    }
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    Ok(format!("{text}{gap}{LINE}\n"))
}

fn remove(_: &Removal<'_>, text: &str) -> Result<String> {
    // A helper with arguments is one that the user has written.
    let is_ours = |block: &Block| matches!(&block.labels[..], [label] if label.as_str() == NAME);
    let is_written = |block: &&Block| is_ours(block) && block.body.is_empty();
    // Terraform reports what else is wrong with the file.
    let Ok(body) = text.parse::<Body>() else { return Ok(text.to_owned()) };
    let span = body.get_blocks(BLOCK).find(is_written).and_then(Block::span);
    let Some(Range { start, end }) = span else { return Ok(text.to_owned()) };
    let rest = &text[end..];
    let rest = rest.strip_prefix('\n').unwrap_or(rest);
    Ok(format!("{}{rest}", &text[..start]))
}

fn notes(request: &Request<'_>, text: &str) -> Vec<String> {
    let other = found(request, text).ok().flatten().filter(|(_, is_ours)| !is_ours);
    let note = |(file, _): (PathBuf, bool)| {
        format!(
            "{} has another credentials helper, and terraform accepts only one; replace it with: {LINE}",
            file.display()
        )
    };
    other.map(note).into_iter().collect()
}
