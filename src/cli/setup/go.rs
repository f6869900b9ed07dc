//! go: `GOAUTH`, by `go env -w`.

use std::path::PathBuf;
use std::process::Command;

use super::copy::{self, Copy};
use super::place::Place;
use super::tools::{Ask, Probe, SetupTool};
use crate::error::{Error, Result};

pub(super) const TOOL: SetupTool = SetupTool {
    name: "go",
    programs: &["go"],
    link: None,
    names_hosts: false,
    file,
    add,
    remove,
    notes,
    probe: Probe { arguments: &["goauth"], input: "", proof: "Authorization" },
    version: &["version"],
    least: Some((1, 24, "knows no GOAUTH; 1.24 is the first that does")),
};

const COMMAND: &str = "my-credential-helper goauth";

fn file(place: &Place) -> PathBuf {
    let folder = if cfg!(windows) { place.variable("APPDATA") } else { None };
    let folder = folder.unwrap_or_else(|| {
        if cfg!(target_os = "macos") {
            place.home.join("Library/Application Support")
        } else {
            place.configuration()
        }
    });
    place
        .variable("GOENV")
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| folder.join("go/env"))
}

/// The ways that are configured, in their order.
fn ways(text: &str) -> Vec<&str> {
    let value = text.lines().find_map(|line| line.strip_prefix("GOAUTH=")).unwrap_or_default();
    value.split(';').map(str::trim).filter(|way| !way.is_empty()).collect()
}

fn add(ask: &Ask<'_>, text: &str) -> Result<String> {
    let mut ways = ways(text);
    if ways.iter().any(|way| way.ends_with(COMMAND)) {
        return Ok(text.to_owned());
    }
    // What go reads where nothing is configured.
    if ways.is_empty() && ask.place.home.join(".netrc").is_file() {
        ways.push("netrc");
    }
    let own = format!("{} goauth", ask.command());
    ways.retain(|way| *way != "off");
    ways.push(&own);
    set(ask.place, text, &ways)
}

fn remove(place: &Place, text: &str) -> Result<String> {
    let mut rest = ways(text);
    if !rest.iter().any(|way| way.ends_with(COMMAND)) {
        return Ok(text.to_owned());
    }
    rest.retain(|way| !way.ends_with(COMMAND));
    set(place, text, &rest)
}

fn set(place: &Place, text: &str, ways: &[&str]) -> Result<String> {
    let go = place.find("go").ok_or_else(|| {
        Error::invalid("go is not on PATH").with_hint("install it, and run this again")
    })?;
    let copy = Copy::of(text)?;
    let mut command = Command::new(go);
    // The version of a project must not be fetched for this, nor its variables be in the way.
    command
        .env("GOENV", copy.path())
        .env("GOTOOLCHAIN", "local")
        .env_remove("GOAUTH")
        .current_dir(&place.home)
        .arg("env");
    if ways.is_empty() {
        command.args(["-u", "GOAUTH"])
    } else {
        command.arg("-w").arg(format!("GOAUTH={}", ways.join("; ")))
    };
    copy::must(command)?;
    copy.text()
}

fn notes(ask: &Ask<'_>, text: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let others: Vec<_> = ways(text).into_iter().filter(|way| !way.ends_with(COMMAND)).collect();
    if !others.is_empty() {
        notes.push(format!("`{}` stays, and is asked before this program", others.join("; ")));
    }
    if !text.contains("GOPRIVATE=") && !text.contains("GOPROXY=") {
        let host = ask.hosts.iter().find_map(|host| Some(host.target()?.origin.host().to_owned()));
        let host = host.unwrap_or_else(|| "HOST".to_owned());
        notes.push(format!(
            "modules that are asked for at their own host: `go env -w GOPRIVATE={host}`"
        ));
    }
    notes
}
