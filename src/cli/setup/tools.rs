//! The tools that `setup` connects, and the facts about each.

use std::path::{Path, PathBuf};

use super::machine::Machine;
use super::{bazel, cargo, docker, git, go, kubectl, pip, pnpm, terraform, uv};
use crate::error::{Error, Result, sanitize};
use crate::model::{HostPattern, Origin};
use crate::sys::os;

pub(in crate::cli) const ALL: &[SetupTool] = &[
    git::TOOL,
    docker::DOCKER,
    docker::PODMAN,
    cargo::TOOL,
    kubectl::TOOL,
    terraform::TERRAFORM,
    terraform::TOFU,
    bazel::TOOL,
    go::TOOL,
    pnpm::TOOL,
    pip::TOOL,
    uv::TOOL,
];

pub(in crate::cli) struct SetupTool {
    /// As in `setup git`.
    pub(in crate::cli) name: &'static str,
    /// The tool is installed if PATH has one of these.
    pub(in crate::cli) programs: &'static [&'static str],
    /// The program that the tool looks for, and where.
    pub(in crate::cli) link: Option<(&'static str, Folder)>,
    /// Whether its configuration names the hosts that a helper is for.
    pub(in crate::cli) names_hosts: bool,
    /// How `--provider` and `--account` reach the helper.
    pub(in crate::cli) selection: Selection,
    /// The tool's own configuration.
    pub(super) file: fn(&Machine) -> PathBuf,
    /// Returns the configuration with our part; the same text where it is there already.
    pub(in crate::cli) add: fn(&Request<'_>, &str) -> Result<String>,
    /// Returns the configuration without our part.
    pub(in crate::cli) remove: fn(&Removal<'_>, &str) -> Result<String>,
    /// Notes on what the user has to do.
    pub(in crate::cli) notes: fn(&Request<'_>, &str) -> Vec<String>,
    /// A request of the tool.
    pub(in crate::cli) probe: Probe,
    /// The lowest version that supports the setup, and what an earlier one lacks.
    pub(in crate::cli) least: Option<(u32, u32, &'static str)>,
}

/// A request as the tool sends it; `{url}`, `{scheme}` and `{host}` are filled in.
pub(in crate::cli) struct Probe {
    /// Behind the link's name, or this program's.
    pub(in crate::cli) arguments: &'static [&'static str],
    /// On standard input.
    pub(in crate::cli) input: &'static str,
    /// A text that every successful response contains.
    pub(in crate::cli) proof: &'static str,
}

/// How a tool's helper gets the provider and the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Selection {
    /// The tool passes the host, and `config.toml` has the provider and the account of the host.
    Host,
    /// The tool passes arguments.
    Arguments,
    /// The tool passes nothing: the name of the link ends with the provider.
    LinkName,
}

/// Where a tool looks for a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Folder {
    /// On PATH.
    Programs,
    /// A folder of ours, for a name that another program may have.
    Ours,
    /// Terraform's plugins.
    TerraformPlugins,
}

/// The input of `add`, which writes into a tool's configuration.
pub(in crate::cli) struct Request<'a> {
    pub(in crate::cli) machine: &'a Machine,
    /// The tool's own configuration.
    pub(in crate::cli) file: &'a Path,
    /// The hosts that the tool is set up for.
    pub(in crate::cli) hosts: &'a [HostPattern],
    /// The link, or this program for a tool without one.
    pub(in crate::cli) link: &'a Path,
    /// Whether the file begins with a byte order mark, which `add` does not get.
    pub(in crate::cli) has_mark: bool,
    /// Whether the configuration is shared between machines: it has no path of this one.
    pub(in crate::cli) is_portable: bool,
    /// `--provider` and `--account`, for a tool that passes arguments and does not always name a host.
    pub(in crate::cli) options: &'a [String],
}

/// The input of `remove`.
pub(in crate::cli) struct Removal<'a> {
    pub(in crate::cli) machine: &'a Machine,
    /// The entries of these hosts only; all entries if it is empty.
    pub(in crate::cli) hosts: &'a [HostPattern],
    /// The configuration before the setup, if it is known.
    pub(in crate::cli) original: Option<&'a str>,
}

impl Removal<'_> {
    /// Whether an entry is removed: for the hosts, `is_entry` returns whether the entry belongs to one of them.
    pub(super) fn includes(&self, is_entry: impl Fn(&HostPattern) -> bool) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(is_entry)
    }
}

impl Request<'_> {
    /// The link's name if PATH finds it or the configuration is portable, else its path, which needs the quoting of the
    /// tool that reads it.
    pub(super) fn command(&self) -> Result<String> {
        let folder = self.link.parent().unwrap_or(self.link);
        if self.is_portable || self.machine.is_on_path(folder) {
            let name = self.link.file_stem().unwrap_or_default();
            return Ok(name.to_string_lossy().into_owned());
        }
        self.path()
    }

    /// The link's path. A configuration is UTF-8, and none of the tools has an escape for a control character.
    pub(super) fn path(&self) -> Result<String> {
        let unusable = |reason| unusable_path(self.link, reason);
        let path = self.link.to_str().ok_or_else(|| unusable("is not UTF-8"))?;
        if path.contains(char::is_control) {
            return Err(unusable("contains a control character"));
        }
        Ok(path.to_owned())
    }

    /// The hosts without patterns, as the URLs of their origins.
    pub(super) fn origins(&self) -> Vec<Origin> {
        let targets = self.hosts.iter().filter_map(HostPattern::target);
        targets.map(|target| target.origin).collect()
    }

    /// The hosts without patterns: `git.acme.dev:8443`.
    pub(super) fn exact_hosts(&self) -> Vec<String> {
        self.origins().iter().map(Origin::host_and_port).collect()
    }

    /// The URL of the first host, for a note with an example.
    pub(super) fn example_url(&self) -> String {
        self.origins().first().map_or_else(|| "https://HOST".to_owned(), ToString::to_string)
    }

    /// Notes for a tool that is configured by host and has no patterns.
    pub(super) fn wildcard_notes(&self) -> Vec<String> {
        let patterns = self.hosts.iter().filter(|host| host.target().is_none());
        let note = |host| format!("{host} was left out: this tool has no patterns; name each host");
        patterns.map(note).collect()
    }
}

/// Commands of other programs in a tool's configuration, without their arguments, which may contain a secret.
pub(in crate::cli) fn shown_commands(commands: &[&str]) -> String {
    let shown = |command: &&str| match command.trim_start() {
        shell if shell.starts_with('!') => "a shell command".to_owned(),
        command => format!("`{}`", sanitize(command.split_whitespace().next().unwrap_or_default())),
    };
    commands.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// The error for a path that the tool's configuration cannot contain.
pub(super) fn unusable_path(path: &Path, reason: &str) -> Error {
    let path = sanitize(&path.to_string_lossy());
    Error::invalid(format!("the path {path} {reason}; nothing was changed")).with_hint(
        "install this program in a folder on PATH whose name has only letters, digits and `/._-`",
    )
}

impl SetupTool {
    /// The tool's own configuration.
    pub(in crate::cli) fn path(&self, machine: &Machine) -> PathBuf {
        os::native((self.file)(machine))
    }

    /// The tool's program, where it is installed.
    pub(in crate::cli) fn program(&self, machine: &Machine) -> Option<PathBuf> {
        self.programs.iter().find_map(|name| machine.find(name))
    }
}

/// Whether a command is this program: by the stem of its file name.
pub(in crate::cli) fn is_named(command: &str, name: &str) -> bool {
    Path::new(command).file_stem().is_some_and(|stem| stem == name)
}
