//! git: a helper for each host, by `git config`. The helpers of every other host stay as they are.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::copy::{self, Copy};
use super::place::Place;
use super::tools::{Ask, Folder, Probe, SetupTool};
use crate::error::{Error, Result};
use crate::model::HostPattern;

pub(super) const TOOL: SetupTool = SetupTool {
    name: "git",
    programs: &["git"],
    link: Some((LINK, Folder::Programs)),
    names_hosts: true,
    file,
    add,
    remove,
    notes,
    probe: Probe {
        arguments: &["get"],
        input: "protocol={scheme}\nhost={host}\n\n",
        proof: "password=",
    },
    version: &["--version"],
    least: Some((2, 46, "sends the token as a password; 2.46 and later carry Bearer")),
};

const LINK: &str = "git-credential-my";

/// The file that `git config --global` writes.
fn file(place: &Place) -> PathBuf {
    if let Some(path) = place.variable("GIT_CONFIG_GLOBAL") {
        return path;
    }
    let (home, other) = (place.home.join(".gitconfig"), place.configuration().join("git/config"));
    if !home.exists() && other.exists() { other } else { home }
}

fn add(ask: &Ask<'_>, text: &str) -> Result<String> {
    let git = program(ask.place)?;
    let copy = Copy::of(text)?;
    // git takes `my` for `git-credential-my`.
    let command = ask.command();
    let helper = if command == LINK { "my" } else { &command };
    for host in ask.hosts {
        let key = format!("credential.{}.helper", url(host));
        if values(&git, copy.path(), &key)?.ends_with(&[String::new(), helper.to_owned()]) {
            continue;
        }
        // The empty one forgets the helpers before it: they would keep a copy of the token in the clear.
        for value in ["", helper] {
            copy::must(config(&git, copy.path(), &["--add", &key, value]))?;
        }
    }
    copy.text()
}

fn remove(place: &Place, text: &str) -> Result<String> {
    if !text.contains("my") {
        return Ok(text.to_owned());
    }
    let git = program(place)?;
    let copy = Copy::of(text)?;
    let pattern = ["--name-only", "--get-regexp", r"^credential(\..*)?\.helper$"];
    let keys = copy::run(config(&git, copy.path(), &pattern))?.unwrap_or_default();
    let mut keys: Vec<_> = keys.lines().collect();
    keys.dedup();
    for key in keys {
        let before = values(&git, copy.path(), key)?;
        let after = without_ours(&before);
        if after == before {
            continue;
        }
        copy::must(config(&git, copy.path(), &["--unset-all", key]))?;
        for value in &after {
            copy::must(config(&git, copy.path(), &["--add", key, value]))?;
        }
    }
    copy.text()
}

/// Without our helper and the empty one that came with it.
fn without_ours(values: &[String]) -> Vec<String> {
    let mut rest: Vec<String> = Vec::new();
    for value in values {
        if is_ours(value) {
            rest.pop_if(|last| last.is_empty());
        } else {
            rest.push(value.clone());
        }
    }
    rest
}

fn is_ours(helper: &str) -> bool {
    helper == "my"
        || Path::new(helper).file_stem().is_some_and(|name| name == LINK)
        || helper.ends_with("my-credential-helper git")
}

fn notes(ask: &Ask<'_>, text: &str) -> Vec<String> {
    let Ok(git) = program(ask.place) else { return Vec::new() };
    let others = || -> Option<Vec<String>> {
        let copy = Copy::of(text).ok()?;
        Some(
            values(&git, copy.path(), "credential.helper")
                .ok()?
                .into_iter()
                .filter(|value| !value.is_empty() && !is_ours(value))
                .collect(),
        )
    };
    let others = others().filter(|others| !others.is_empty());
    let hosts: Vec<_> = ask.hosts.iter().map(ToString::to_string).collect();
    others
        .map(|others| {
            format!(
                "`{}` stays the helper of every other host; for {} only this program is asked",
                others.join("`, `"),
                hosts.join(", ")
            )
        })
        .into_iter()
        .collect()
}

fn url(host: &HostPattern) -> String {
    host.target().map_or_else(|| format!("https://{host}"), |target| target.origin.to_string())
}

fn program(place: &Place) -> Result<PathBuf> {
    place.find("git").ok_or_else(|| {
        Error::invalid("git is not on PATH").with_hint("install it, and run this again")
    })
}

fn values(git: &Path, file: &Path, key: &str) -> Result<Vec<String>> {
    // A value may be empty: each ends with a NUL.
    let values = copy::run(config(git, file, &["--null", "--get-all", key]))?.unwrap_or_default();
    Ok(values.split_terminator('\0').map(str::to_owned).collect())
}

fn config(git: &Path, file: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(git);
    command.arg("config").arg("--file").arg(file).args(arguments);
    command
}
