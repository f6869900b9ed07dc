//! go: `GOAUTH`, by `go env -w`.

use std::path::PathBuf;

use super::copy::Copy;
use super::machine::Machine;
use super::tools::{Probe, Request, SetupTool};
use crate::error::Result;

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
    least: Some((1, 24, "does not support GOAUTH; use 1.24 or later")),
};

const COMMAND: &str = "my-credential-helper goauth";

fn file(machine: &Machine) -> PathBuf {
    let folder = if cfg!(windows) { machine.variable("APPDATA") } else { None };
    let folder = folder.unwrap_or_else(|| {
        if cfg!(target_os = "macos") {
            machine.home.join("Library/Application Support")
        } else {
            machine.configuration()
        }
    });
    machine
        .variable("GOENV")
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| folder.join("go/env"))
}

/// The authentication methods of `GOAUTH`, in their order.
fn methods(text: &str) -> Vec<&str> {
    let value = text.lines().find_map(|line| line.strip_prefix("GOAUTH=")).unwrap_or_default();
    value.split(';').map(str::trim).filter(|method| !method.is_empty()).collect()
}

fn add(request: &Request<'_>, text: &str) -> Result<String> {
    let mut methods = methods(text);
    if methods.iter().any(|method| method.ends_with(COMMAND)) {
        return Ok(text.to_owned());
    }
    // The default of go.
    if methods.is_empty() && request.machine.home.join(".netrc").is_file() {
        methods.push("netrc");
    }
    let own = format!("{} goauth", request.command());
    methods.retain(|method| *method != "off");
    methods.push(&own);
    set(request.machine, text, &methods)
}

fn remove(machine: &Machine, text: &str) -> Result<String> {
    let mut rest = methods(text);
    if !rest.iter().any(|method| method.ends_with(COMMAND)) {
        return Ok(text.to_owned());
    }
    rest.retain(|method| !method.ends_with(COMMAND));
    set(machine, text, &rest)
}

fn set(machine: &Machine, text: &str, methods: &[&str]) -> Result<String> {
    let (go, copy) = (machine.require("go")?, Copy::new(machine, text)?);
    // The toolchain of a project must not be downloaded for this.
    let go = machine.launcher.child(&go)?.env("GOENV", copy.path()).env("GOTOOLCHAIN", "local");
    let value = format!("GOAUTH={}", methods.join("; "));
    let words = if methods.is_empty() { ["-u", "GOAUTH"] } else { ["-w", &value] };
    go.args(["env"]).args(words).succeed()?;
    copy.text()
}

fn notes(request: &Request<'_>, text: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let others: Vec<_> =
        methods(text).into_iter().filter(|method| !method.ends_with(COMMAND)).collect();
    if !others.is_empty() {
        notes.push(format!(
            "`{}` was not changed, and is tried before this program",
            others.join("; ")
        ));
    }
    if !text.contains("GOPRIVATE=") && !text.contains("GOPROXY=") {
        let host =
            request.hosts.iter().find_map(|host| Some(host.target()?.origin.host().to_owned()));
        let host = host.unwrap_or_else(|| "HOST".to_owned());
        notes.push(format!(
            "for modules that are fetched directly from their host, run `go env -w GOPRIVATE={host}`"
        ));
    }
    notes
}
