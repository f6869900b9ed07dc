//! The configuration in force of each tool: whether the tool asks this program, and for which hosts. A value that may
//! contain a secret, as a shell command or a URL with a password, is not shown.

mod bazel;
mod cargo;
mod docker;
mod git;
mod go;
mod kubectl;
mod netrc;
mod pip;
mod pnpm;
mod terraform;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::finding::Finding;
use crate::auth::Engine;
use crate::cli::setup::machine::Machine;
use crate::cli::setup::tools::{SetupTool, is_named};
use crate::cli::setup::{edit, hosts};
use crate::error::{Result, sanitize};
use crate::model::{HostPattern, Origin, Provider, Scheme, Target};

/// The configuration in force of a tool. A tool that is not set up has no commands.
pub(super) struct InForce<'a> {
    subject: &'a Subject<'a>,
    /// The commands that the tool runs for this program: a name for PATH, or a path.
    pub(super) commands: Vec<String>,
    /// The URLs for which the tool asks this program.
    pub(super) targets: Vec<Target>,
    /// The command line of a target, before the arguments that the tool adds: the program and its options.
    pub(super) lines: Vec<(Target, Vec<String>)>,
    pub(super) findings: Vec<Finding>,
    /// The hosts of each provider that the tool is not set up for. The default one has no name.
    missing: BTreeMap<Option<String>, Vec<String>>,
}

/// A tool on this machine.
pub(super) struct Subject<'a> {
    pub(super) engine: &'a Engine<'a>,
    pub(super) machine: &'a Machine,
    pub(super) tool: &'static SetupTool,
    /// The tool's program.
    pub(super) program: &'a Path,
}

impl<'a> InForce<'a> {
    /// Where the tool's configuration cannot be read, a finding has the reason.
    pub(super) fn new(subject: &'a Subject<'a>) -> Self {
        let (commands, targets, lines) = (Vec::new(), Vec::new(), Vec::new());
        let findings: Vec<_> = relative_path(subject).into_iter().collect();
        let missing = BTreeMap::new();
        let mut in_force = Self { subject, commands, targets, lines, findings, missing };
        if in_force.findings.is_empty()
            && let Err(error) = in_force.inspect()
        {
            in_force.commands.clear();
            in_force.findings = vec![Finding::error(subject.tool.name, error, "correct the file")];
        }
        in_force.report_missing();
        in_force
    }

    /// One note for all hosts of a provider. Each may be a host of other tools only.
    fn report_missing(&mut self) {
        let tool = self.subject.tool;
        for (provider, hosts) in std::mem::take(&mut self.missing) {
            let fix = if let [host] = &hosts[..] {
                setup_line(tool, provider.as_deref(), &[host])
            } else {
                let line = setup_line(tool, provider.as_deref(), &["HOST"]);
                format!("{line} for each that {} uses", tool.name)
            };
            let message = format!("is not set up for {}", hosts.join(", "));
            self.findings.push(Finding::note(tool.name, message).with_fix(fix));
        }
    }

    fn inspect(&mut self) -> Result<()> {
        match self.subject.tool.name {
            "git" => git::inspect(self),
            "docker" => docker::inspect(self, docker::of_docker),
            "podman" => docker::inspect(self, docker::of_podman),
            "cargo" => cargo::inspect(self),
            "bazel" => bazel::inspect(self),
            "kubectl" => kubectl::inspect(self),
            "terraform" | "tofu" => terraform::inspect(self),
            "go" => go::inspect(self),
            "pnpm" => pnpm::inspect(self),
            "pip" => pip::inspect_pip(self),
            _ => pip::inspect_uv(self),
        }
    }

    fn problem(&mut self, message: impl Into<String>, fix: impl Into<String>) {
        self.findings.push(self.subject.problem(message, fix));
    }

    fn note(&mut self, message: impl Into<String>) {
        self.findings.push(Finding::note(self.subject.tool.name, message));
    }

    /// As [`Subject::precedes`].
    fn precedes(&mut self, what: &str, target: &dyn std::fmt::Display, fix: impl Into<String>) {
        self.findings.push(self.subject.precedes(what, target, fix));
    }

    fn not_set_up_for(&mut self, target: &Target, host: &dyn std::fmt::Display) {
        let hosts = self.missing.entry(self.subject.other_owner(target)).or_default();
        hosts.push(host.to_string());
    }
}

/// The command that sets the tool up, for these hosts only if there are some.
fn setup_line(tool: &SetupTool, provider: Option<&str>, hosts: &[&str]) -> String {
    let option = provider.map_or_else(String::new, |name| format!("--provider {name} "));
    let name = std::iter::once(tool.name);
    let words: Vec<_> = name.chain(hosts.iter().flat_map(|host| ["--host", host])).collect();
    format!("`my-credential-helper {option}setup {}`", words.join(" "))
}

/// A host as in the command line of `setup`.
fn host_name(target: &Target) -> String {
    match target.origin.scheme() {
        Scheme::Https => target.origin.host_and_port(),
        Scheme::Http => target.origin.to_string(),
    }
}

/// Asks git whether it takes the credential of this program. No other tool has such a command.
pub(super) fn ask_tool(subject: &Subject<'_>, target: &Target) -> Option<Finding> {
    if subject.tool.name == "git" { git::ask(subject, target) } else { None }
}

/// The variables that the tool sets for this program.
pub(super) fn variables(tool: &SetupTool, target: &Target) -> HashMap<&'static str, String> {
    let info = (tool.name == "kubectl").then(|| ("KUBERNETES_EXEC_INFO", kubectl::info(target)));
    info.into_iter().collect()
}

const TERRAFORM: &[&str] = &["TF_CLI_CONFIG_FILE", "TERRAFORM_CONFIG"];

/// The variables that move a tool's configuration.
#[rustfmt::skip]
const MOVED_BY: &[(&str, &[&str])] = &[
    ("git", &["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "XDG_CONFIG_HOME"]),
    ("docker", &["DOCKER_CONFIG"]), ("podman", &["DOCKER_CONFIG", "REGISTRY_AUTH_FILE"]),
    ("cargo", &["CARGO_HOME"]), ("terraform", TERRAFORM), ("tofu", TERRAFORM),
    ("pnpm", &["npm_config_userconfig", "NPM_CONFIG_USERCONFIG"]), ("pip", &["PIP_CONFIG_FILE"]),
    ("uv", &["UV_CONFIG_FILE"]),
];

/// A configuration that differs by working directory.
fn relative_path(subject: &Subject<'_>) -> Option<Finding> {
    let environment = &subject.engine.context.environment;
    let (_, names) = MOVED_BY.iter().find(|(tool, _)| *tool == subject.tool.name)?;
    // Other tools ignore a variable without a value.
    let global = "GIT_CONFIG_GLOBAL";
    let is_set = || environment.with_prefix(global).iter().any(|(name, _)| name == global);
    if subject.tool.name == "git" && environment.get(global).is_none() && is_set() {
        let message = format!("{global} is empty: git reads no configuration of the user");
        return Some(subject.problem(message, format!("run `unset {global}`")));
    }
    let is_relative = |name: &&&str| {
        let value = environment.get(name);
        value.is_some_and(|value| !Path::new(&value).is_absolute())
    };
    let name = names.iter().find(is_relative)?;
    let message = format!("{name} is a relative path: each directory has its own configuration");
    Some(Finding::problem(subject.tool.name, message, format!("set {name} to an absolute path")))
}

impl Subject<'_> {
    fn problem(&self, message: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding::problem(self.tool.name, message, fix)
    }

    /// Something that the tool uses before it asks this program.
    fn precedes(
        &self,
        what: &str,
        target: &dyn std::fmt::Display,
        fix: impl Into<String>,
    ) -> Finding {
        let message = format!("{what} takes precedence over this program for {target}");
        self.problem(message, fix)
    }

    /// The file that `setup` edits.
    fn file(&self) -> PathBuf {
        self.tool.path(self.machine)
    }

    fn read(&self) -> Result<String> {
        Ok(edit::read(&self.file())?.unwrap_or_default())
    }

    fn read_toml(&self) -> Result<toml_edit::DocumentMut> {
        let text = self.read()?;
        edit::parse_toml(&self.file(), &text)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.engine.context.environment.text(name)
    }

    fn providers(&self) -> Vec<Provider> {
        let context = self.engine.context;
        let names = context.configuration().map(|it| it.names()).unwrap_or_default();
        names.iter().filter_map(|name| context.provider(Some(name)).ok()).collect()
    }

    /// The hosts of every provider, without patterns.
    fn hosts(&self) -> Vec<Target> {
        // The hosts of a known service are not necessarily the user's.
        self.providers().iter().flat_map(|provider| self.configured_hosts(provider)).collect()
    }

    fn configured_hosts(&self, provider: &Provider) -> Vec<Target> {
        let configuration = self.engine.context.configuration();
        configuration.map(|it| it.configured_hosts(&provider.name).collect()).unwrap_or_default()
    }

    /// The hosts for a tool that asks this program about every host: those that it was set up for; else the first configured
    /// one, or the API's.
    fn any_host(&self) -> Vec<Target> {
        let mut recorded = hosts::of_tool(self.machine, self.tool).unwrap_or_default();
        recorded.retain(|target| self.owner(target).is_some());
        if !recorded.is_empty() {
            return recorded;
        }
        let context = self.engine.context;
        let provider = context.provider(None).ok();
        let own = provider.iter().flat_map(|it| self.configured_hosts(it)).next();
        let api = || context.api_origin(provider.as_ref()?, None).ok().map(Target::whole_host);
        own.or_else(|| self.hosts().into_iter().next()).or_else(api).into_iter().collect()
    }

    /// `setup` of the tool for these hosts. A host that only a pattern matches is not named.
    pub(super) fn setup_line(&self, targets: &[Target]) -> String {
        let context = self.engine.context;
        let api = context.provider(None).and_then(|it| context.api_origin(&it, None)).ok();
        let known = self.hosts();
        let is_named = |target: &&Target| {
            self.tool.names_hosts
                && (known.contains(target) || api.as_ref() == Some(&target.origin))
        };
        let hosts: Vec<_> = targets.iter().filter(is_named).map(host_name).collect();
        let provider = targets.first().and_then(|target| self.other_owner(target));
        setup_line(
            self.tool,
            provider.as_deref(),
            &hosts.iter().map(String::as_str).collect::<Vec<_>>(),
        )
    }

    /// The provider that owns the target, if it is not the default one: `setup` would add the host to that.
    fn other_owner(&self, target: &Target) -> Option<String> {
        let default = self.engine.context.provider(None).map(|provider| provider.name).ok();
        let owner = self.owner(target).map(|owner| owner.name);
        owner.filter(|name| Some(name) != default.as_ref()).map(|name| name.to_string())
    }

    /// The provider whose token may be sent to the target.
    pub(super) fn owner(&self, target: &Target) -> Option<Provider> {
        self.providers().into_iter().find(|provider| {
            let api = self.engine.context.api_origin(provider, None);
            api.is_ok_and(|api| provider.owns(target, &api))
        })
    }
}

/// A command without its arguments, which may contain a secret.
fn first_word(command: &str) -> String {
    sanitize(command.split_whitespace().next().unwrap_or_default())
}

/// The target of a host as a tool's configuration names it; of a pattern, one of the hosts that match.
fn target_of(host: &str) -> Option<Target> {
    let host = host.replace('*', "any");
    match host.split_once("://") {
        Some(_) => Target::parse(&host).ok(),
        None => HostPattern::parse(&host).ok()?.target(),
    }
}

/// Whether two targets have one host and port.
fn is_same_host(a: &Origin, b: &Origin) -> bool {
    a.host_and_port() == b.host_and_port()
}
