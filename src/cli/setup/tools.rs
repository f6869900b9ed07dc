//! The tools that `setup` connects, and what it has to know of each.

use std::path::{Path, PathBuf};

use super::machine::Machine;
use super::{bazel, cargo, docker, git, go, kubectl, pip, pnpm, terraform, uv};
use crate::error::Result;
use crate::model::HostPattern;

pub(in crate::cli) const ALL: &[SetupTool] = &[
    git::TOOL,
    docker::DOCKER,
    docker::PODMAN,
    cargo::TOOL,
    kubectl::TOOL,
    terraform::TOOL,
    bazel::TOOL,
    go::TOOL,
    pnpm::TOOL,
    pip::TOOL,
    uv::TOOL,
];

pub(in crate::cli) struct SetupTool {
    /// `setup git`
    pub(in crate::cli) name: &'static str,
    /// It is installed where one of these is on PATH.
    pub(in crate::cli) programs: &'static [&'static str],
    /// The program that the tool looks for, and where.
    pub(in crate::cli) link: Option<(&'static str, Folder)>,
    /// Whether its configuration names the hosts that a helper is for.
    pub(in crate::cli) names_hosts: bool,
    /// The tool's own configuration.
    pub(in crate::cli) file: fn(&Machine) -> PathBuf,
    /// Returns the configuration with our part; the same text where it is there already.
    pub(in crate::cli) add: fn(&Request<'_>, &str) -> Result<String>,
    /// Returns the configuration without our part.
    pub(in crate::cli) remove: fn(&Machine, &str) -> Result<String>,
    /// What stays for the user to do.
    pub(in crate::cli) notes: fn(&Request<'_>, &str) -> Vec<String>,
    /// What the tool would send.
    pub(in crate::cli) probe: Probe,
    /// The arguments with which the program prints its version.
    pub(in crate::cli) version: &'static [&'static str],
    /// The least version that supports all of it, and what an earlier one lacks.
    pub(in crate::cli) least: Option<(u32, u32, &'static str)>,
}

/// A request as the tool sends it; `{url}`, `{scheme}` and `{host}` are filled in.
pub(in crate::cli) struct Probe {
    /// Behind the link's name, or this program's.
    pub(in crate::cli) arguments: &'static [&'static str],
    /// On standard input.
    pub(in crate::cli) input: &'static str,
    /// What every successful response contains.
    pub(in crate::cli) proof: &'static str,
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

/// What a tool is connected with.
pub(in crate::cli) struct Request<'a> {
    pub(in crate::cli) machine: &'a Machine,
    /// The hosts that the tool is set up for.
    pub(in crate::cli) hosts: &'a [HostPattern],
    /// The link, or this program without one.
    pub(in crate::cli) link: &'a Path,
}

impl Request<'_> {
    /// The link's name where PATH finds it, else its path.
    pub(in crate::cli) fn command(&self) -> String {
        let name = self.link.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let folder = self.link.parent().unwrap_or(self.link);
        if self.machine.is_on_path(folder) { name } else { self.link.display().to_string() }
    }

    /// Each host for a tool without patterns: `git.acme.dev:8443`.
    pub(in crate::cli) fn exact_hosts(&self) -> Vec<String> {
        let port = |origin: &crate::model::Origin| origin.host_and_port();
        self.hosts
            .iter()
            .filter_map(HostPattern::target)
            .map(|target| port(&target.origin))
            .collect()
    }
}

impl SetupTool {
    /// The tool's program, where it is installed.
    pub(in crate::cli) fn program(&self, machine: &Machine) -> Option<PathBuf> {
        self.programs.iter().find_map(|name| machine.find(name))
    }
}

/// For a tool without notes.
pub(super) fn no_notes(_: &Request<'_>, _: &str) -> Vec<String> {
    Vec::new()
}
