//! git: a helper for each host, by `git config`. The helpers of every other host stay as they are.

use std::path::{Path, PathBuf};

use super::copy::Copy;
use super::machine::Machine;
use super::tools::{Folder, Probe, Request, SetupTool};
use crate::error::Result;
use crate::model::HostPattern;
use crate::sys::process::Child;

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
    least: Some((2, 46, "sends the token as a password; 2.46 and later support Bearer")),
};

const LINK: &str = "git-credential-my";

/// The file that `git config --global` writes.
fn file(machine: &Machine) -> PathBuf {
    if let Some(path) = machine.variable("GIT_CONFIG_GLOBAL") {
        return path;
    }
    let (home, other) =
        (machine.home.join(".gitconfig"), machine.configuration().join("git/config"));
    if !home.exists() && other.exists() { other } else { home }
}

fn add(request: &Request<'_>, text: &str) -> Result<String> {
    let copy = Copy::new(request.machine, text)?;
    let git = Git::new(request.machine, copy.path())?;
    // git takes `my` for `git-credential-my`.
    let command = request.command();
    let helper = if command == LINK { "my" } else { &command };
    for host in request.hosts {
        let key = format!("credential.{}.helper", url(host));
        if git.values(&key)?.ends_with(&[String::new(), helper.to_owned()]) {
            continue;
        }
        // The empty one forgets the helpers before it: they would keep a copy of the token in the clear.
        for value in ["", helper] {
            git.config(&["--add", &key, value])?.succeed()?;
        }
    }
    copy.text()
}

fn remove(machine: &Machine, text: &str) -> Result<String> {
    if !text.contains("my") {
        return Ok(text.to_owned());
    }
    let copy = Copy::new(machine, text)?;
    let git = Git::new(machine, copy.path())?;
    let pattern = ["--name-only", "--get-regexp", r"^credential(\..*)?\.helper$"];
    let keys = git.config(&pattern)?.run()?.unwrap_or_default();
    let mut keys: Vec<_> = keys.lines().collect();
    keys.dedup();
    for key in keys {
        let before = git.values(key)?;
        let after = without_ours(&before);
        if after == before {
            continue;
        }
        git.config(&["--unset-all", key])?.succeed()?;
        for value in &after {
            git.config(&["--add", key, value])?.succeed()?;
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

fn notes(request: &Request<'_>, text: &str) -> Vec<String> {
    let helpers = || -> Result<Vec<String>> {
        let copy = Copy::new(request.machine, text)?;
        Git::new(request.machine, copy.path())?.values("credential.helper")
    };
    let mut others = helpers().unwrap_or_default();
    others.retain(|helper| !helper.is_empty() && !is_ours(helper));
    if others.is_empty() {
        return Vec::new();
    }
    let hosts: Vec<_> = request.hosts.iter().map(ToString::to_string).collect();
    vec![format!(
        "`{}` is still used for all other hosts; only this program is used for {}",
        others.join("`, `"),
        hosts.join(", ")
    )]
}

fn url(host: &HostPattern) -> String {
    host.target().map_or_else(|| format!("https://{host}"), |target| target.origin.to_string())
}

/// `git config` on one file.
struct Git<'a> {
    machine: &'a Machine,
    program: PathBuf,
    file: &'a Path,
}

impl<'a> Git<'a> {
    fn new(machine: &'a Machine, file: &'a Path) -> Result<Self> {
        Ok(Self { machine, program: machine.require("git")?, file })
    }

    fn config(&self, arguments: &[&str]) -> Result<Child> {
        let child = self.machine.launcher.child(&self.program)?;
        Ok(child.args(["config", "--file"]).args([self.file]).args(arguments))
    }

    fn values(&self, key: &str) -> Result<Vec<String>> {
        // A value may be empty: each ends with a NUL.
        let values = self.config(&["--null", "--get-all", key])?.run()?.unwrap_or_default();
        Ok(values.split_terminator('\0').map(str::to_owned).collect())
    }
}
