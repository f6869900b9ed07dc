//! docker, podman, buildah, skopeo, helm: `credHelpers` in docker's configuration, which all of them read. The rest of the
//! file stays byte for byte.

use std::path::{Path, PathBuf};

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstNode, CstObject, CstObjectProp, CstRootNode};

use serde::de::IgnoredAny;

use super::machine::Machine;
use super::tools::{Folder, Probe, Removal, Request, Selection, SetupTool};
use crate::error::{Error, Result};
use crate::model::{DOCKER_HUB, HostPattern, Origin, Scheme};

pub(super) const DOCKER: SetupTool = SetupTool {
    name: "docker",
    programs: &["docker"],
    link: Some(("docker-credential-my", Folder::Programs)),
    names_hosts: true,
    selection: Selection::Host,
    file,
    add,
    remove,
    notes,
    probe: Probe { arguments: &["get"], input: "{host}", proof: "Secret" },
    least: None,
};

pub(super) const PODMAN: SetupTool =
    SetupTool { name: "podman", programs: &["podman", "buildah", "skopeo"], ..DOCKER };

const HELPERS: &str = "credHelpers";

fn file(machine: &Machine) -> PathBuf {
    machine
        .variable("DOCKER_CONFIG")
        .unwrap_or_else(|| machine.home.join(".docker"))
        .join("config.json")
}

/// An error if docker cannot read the file: the parser of the edit accepts commas and comments that Go's does not.
pub(in crate::cli) fn check(file: &Path, text: &str, has_mark: bool) -> Result<()> {
    let error = match serde_json::from_str::<IgnoredAny>(text) {
        _ if has_mark => "it begins with a byte order mark".to_owned(),
        Err(error) if !text.trim().is_empty() => error.to_string(),
        _ => return Ok(()),
    };
    Err(Error::invalid(format!("{} is not JSON: {error}", file.display()))
        .with_hint("correct the file"))
}

fn parse(machine: &Machine, text: &str) -> Result<(CstRootNode, CstObject)> {
    // docker writes with tabs.
    let text = if text.trim().is_empty() { "{\n}\n" } else { text };
    let unreadable = || {
        Error::invalid(format!("{} is not a JSON object", file(machine).display()))
            .with_hint("correct the file")
    };
    let root = CstRootNode::parse(text, &ParseOptions::default()).map_err(|_| unreadable())?;
    let object = root.object_value().ok_or_else(unreadable)?;
    Ok((root, object))
}

fn helper_name(entry: &CstObjectProp) -> Option<String> {
    entry.value().as_ref().and_then(CstNode::as_string_lit)?.decoded_value().ok()
}

/// The keys of a host: docker and helm look up Docker Hub by a URL (docker/cli, cli/registry; oras-go), podman and skopeo by
/// the name in images (containers/image, docker/config).
fn keys(host: &str) -> Vec<String> {
    if Origin::parse(Scheme::Https, host).is_ok_and(|origin| origin.host() == DOCKER_HUB) {
        return vec!["https://index.docker.io/v1/".to_owned(), "docker.io".to_owned()];
    }
    vec![host.to_owned()]
}

fn add(request: &Request<'_>, text: &str) -> Result<String> {
    check(request.file, text, request.has_mark)?;
    let (root, object) = parse(request.machine, text)?;
    let helpers = object.object_value_or_create(HELPERS).ok_or_else(|| {
        Error::invalid(format!("`{HELPERS}` in {} is not an object", request.file.display()))
            .with_hint("correct the file")
    })?;
    for host in request.exact_hosts().iter().flat_map(|host| keys(host)) {
        if helpers.get(&host).is_none() {
            helpers.append(&host, CstInputValue::String("my".to_owned()));
        }
    }
    Ok(root.to_string())
}

fn remove(removal: &Removal<'_>, text: &str) -> Result<String> {
    let is_removed = |entry: &CstObjectProp| {
        let name = entry.name().and_then(|name| name.decoded_value().ok()).unwrap_or_default();
        let is_entry = |host: &HostPattern| {
            host.target().is_some_and(|it| keys(&it.origin.host_and_port()).contains(&name))
        };
        helper_name(entry).as_deref() == Some("my") && removal.includes(is_entry)
    };
    let (root, object) = parse(removal.machine, text)?;
    let Some(entry) = object.get(HELPERS) else { return Ok(text.to_owned()) };
    let helpers = entry.object_value().map(|helpers| helpers.properties()).unwrap_or_default();
    let (ours, others): (Vec<_>, Vec<_>) = helpers.into_iter().partition(is_removed);
    if ours.is_empty() {
        return Ok(text.to_owned());
    }
    let was_set = removal.original.is_some_and(|original| {
        parse(removal.machine, original).is_ok_and(|(_, object)| object.get(HELPERS).is_some())
    });
    if others.is_empty() && !was_set {
        entry.remove();
    } else {
        ours.into_iter().for_each(CstObjectProp::remove);
    }
    Ok(root.to_string())
}

fn notes(request: &Request<'_>, text: &str) -> Vec<String> {
    let Ok((_, object)) = parse(request.machine, text) else { return Vec::new() };
    let mut notes = request.wildcard_notes();
    let other = |entry: Option<CstObjectProp>| helper_name(&entry?).filter(|it| it != "my");
    if let Some(store) = other(object.get("credsStore")) {
        notes.push(format!("`{store}` is still used for all other registries"));
    }
    let helpers = object.object_value(HELPERS);
    for host in request.exact_hosts().iter().flat_map(|host| keys(host)) {
        if let Some(other) = other(helpers.as_ref().and_then(|helpers| helpers.get(&host))) {
            notes.push(format!("`{other}` is already the helper for {host} and was not changed; remove it from `credHelpers` to use this program"));
        }
    }
    notes
}
