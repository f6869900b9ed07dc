//! `setup`: connects tools. It links the helper under the name that a tool looks for and edits the tool's own
//! configuration; what is about to change is shown first, and `--undo` takes it back.

#![allow(
    clippy::unnecessary_wraps,
    reason = "the edit of one tool cannot fail, and that of the next can"
)]

pub(super) mod bazel;
mod cargo;
mod copy;
mod difference;
pub(super) mod docker;
pub(super) mod edit;
mod git;
pub(super) mod go;
pub(super) mod hosts;
mod ini;
pub(super) mod kubectl;
mod layout;
mod lines;
pub(super) mod link;
pub(super) mod machine;
mod pip;
mod plan;
pub(super) mod pnpm;
pub(super) mod terraform;
pub(super) mod tools;
mod transaction;
mod uv;
mod vault;
mod written;

use std::collections::HashSet;
use std::io::IsTerminal as _;

use serde_json::json;

use crate::auth::Engine;
use crate::cli::output::Output;
use crate::cli::terminal;
use crate::config::edit as settings;
use crate::error::{Error, Result};
use crate::model::{HostPattern, Origin, Provider, ToolOutput};
use hosts::HostChange;
use machine::Machine;
use plan::{Choice, Plan};
use tools::{ALL, Selection, SetupTool};
use transaction::Step;
use written::Written;

#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Default, clap::Args)]
#[command(after_help = "Examples:\n  my-credential-helper setup git --host git.acme.dev\n  \
                        my-credential-helper setup --all --dry-run\n  my-credential-helper setup docker --undo")]
pub(super) struct Arguments {
    /// The tool; `vault` prints the policies and the commands for the server of [stores.vault]
    #[arg(required_unless_present = "all", value_name = "TOOL",
          value_parser = clap::builder::PossibleValuesParser::new(ALL.iter().map(|tool| tool.name).chain([vault::NAME])))]
    tool: Option<String>,
    /// Every tool that is installed
    #[arg(long, conflicts_with = "tool")]
    all: bool,
    /// A host that the provider's token may be sent to; it is added to the hosts of the provider. Can be repeated
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// Show the changes without making them
    #[arg(long)]
    dry_run: bool,
    /// Undo the setup; with --host only for this host
    #[arg(long, conflicts_with = "portable")]
    undo: bool,
    /// Write the name of the program instead of its path, for a configuration that is shared between machines
    #[arg(long)]
    portable: bool,
    /// Do not prompt for confirmation
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(
    engine: &Engine<'_>,
    arguments: &Arguments,
    output: &Output,
) -> Result<ToolOutput> {
    if arguments.tool.as_deref() == Some(vault::NAME) {
        return vault::run(engine, output);
    }
    let machine = Machine::detect(engine)?;
    let (tools, written) = (chosen(arguments, &machine)?, Written::load(&machine)?);
    let setup = Setup { engine, arguments, output, machine: &machine, tools, written };
    let (plans, hosts) = if arguments.undo { setup.undo()? } else { setup.set_up()? };
    let mut report = report(&hosts, &plans, arguments.dry_run);
    // The record alone is no change that a person has to confirm.
    let is_shown = arguments.undo || !hosts.report.is_empty();
    let changes = is_shown && !hosts.edits.is_empty() || plans.iter().any(Plan::changes);
    if changes && !arguments.dry_run {
        if !arguments.yes && !terminal::is_interactive() {
            terminal::print(&report);
            return Err(Error::invalid("nothing was changed: there is no terminal to confirm on")
                .with_hint("add `--yes`, or `--dry-run` to only see the changes"));
        }
        if !arguments.yes {
            terminal::print(&report);
            if !terminal::confirm_interactive("Change this?")? {
                return Err(Error::invalid("nothing was changed"));
            }
            "Done.\n".clone_into(&mut report);
        }
        // The transaction reads every file again, and no other process changes config.toml until it ends.
        let is_locked = !hosts.edits.is_empty();
        let _editor =
            is_locked.then(|| settings::Editor::lock(&engine.context.paths)).transpose()?;
        let hosts = hosts.edits.iter().cloned().map(Step::Edit);
        let written = setup.written.edit(&plans).map(Step::Edit);
        transaction::run(hosts.chain(plans.iter().flat_map(Plan::steps)).chain(written))?;
    }
    let tools: Vec<_> = plans.iter().map(Plan::fields).collect();
    let fields = json!({
        "dry_run": arguments.dry_run, "hosts_added": hosts.added, "hosts_removed": hosts.removed,
        "tools": tools,
    });
    Ok(output.done(report.trim_end(), &fields))
}

/// After a login: on a terminal, connects the installed tools if the person agrees. A failure does not undo the login.
pub(super) fn offer(engine: &Engine<'_>, login: ToolOutput, output: &Output) -> ToolOutput {
    let is_asked = terminal::is_interactive() && std::io::stdout().is_terminal();
    if login.status != 0 || output.json || output.quiet || !is_asked {
        return login;
    }
    let Ok(machine) = Machine::detect(engine) else { return login };
    let is_open = |tool: &&SetupTool| {
        tool.program(&machine).is_some() && !is_set_up(&machine, tool).unwrap_or(true)
    };
    let names: Vec<_> = ALL.iter().filter(is_open).map(|tool| tool.name).collect();
    if names.is_empty() {
        return login;
    }
    terminal::print(format!("{}{}", *login.output, login.messages).trim_end());
    let question = format!("Connect the installed tools ({})?", names.join(", "));
    let mut result = ToolOutput::default();
    if let Ok(true) = terminal::confirm_interactive(&question) {
        match run(engine, &Arguments { all: true, ..Arguments::default() }, output) {
            Ok(done) if !done.output.is_empty() => return done,
            Ok(_) => {}
            Err(error) => result = result.with_note(error.message),
        }
    }
    let provider = engine.context.provider(None);
    let later = provider.map(|it| it.command("setup --all")).unwrap_or_default();
    result.with_note(format!("run `{later}` to connect the tools later"))
}

/// A call of `setup`.
struct Setup<'a> {
    engine: &'a Engine<'a>,
    arguments: &'a Arguments,
    output: &'a Output,
    machine: &'a Machine,
    tools: Vec<&'static SetupTool>,
    written: Written,
}

impl Setup<'_> {
    /// Plans the setup of the tools.
    fn set_up(&self) -> Result<(Vec<Plan>, HostChange)> {
        let Self { engine, arguments, machine, .. } = *self;
        let provider = engine.context.provider(None)?;
        let api = engine.context.api_origin(&provider, None)?;
        let named = parsed(&arguments.host, &self.tools)?;
        let new_hosts = new_hosts(&provider, &api, &named);
        for host in named.iter().filter(|host| new_hosts.contains(&host.to_string())) {
            engine.context.check_free(&provider.name, host)?;
        }
        let hosts = if named.is_empty() { &provider.hosts } else { &named };
        // A tool is started without the variables of this shell.
        let default = engine.context.configuration()?.provider.as_deref();
        let default = default.unwrap_or(Provider::DEFAULT_NAME);
        let other = (*provider.name != *default).then_some(&*provider.name);
        let account = engine.context.overrides.account.as_ref();
        let account =
            account.map(|name| engine.context.account(&provider.name, name)).transpose()?;
        let options = [("--provider", other), ("--account", account.as_deref())];
        let options = options.iter().filter_map(|(option, value)| Some([*option, (*value)?]));
        let options: Vec<_> = options.flatten().map(str::to_owned).collect();
        let choice =
            Choice { hosts, is_portable: arguments.portable, options: &options, provider: other };
        let plans = self.plan_each(|tool| {
            check_hosts(tool, hosts)?;
            check_account(tool, account.is_some(), &arguments.host)?;
            Plan::set_up(machine, tool, &choice, &self.written)
        })?;
        if plans.is_empty() {
            return Ok((plans, HostChange::default()));
        }
        let selects_by_host = plans.iter().any(|plan| plan.tool.selection == Selection::Host);
        let account = account.filter(|_| selects_by_host);
        let names: Vec<_> = plans.iter().map(|plan| plan.tool.name).collect();
        let change = (named.as_slice(), new_hosts);
        let hosts = HostChange::add(engine, machine, &provider, account.as_ref(), change, &names)?;
        Ok((plans, hosts))
    }

    fn undo(&self) -> Result<(Vec<Plan>, HostChange)> {
        let Self { engine, machine, .. } = *self;
        let overrides = &engine.context.overrides;
        if overrides.provider.is_some() || overrides.account.is_some() {
            let tool = self.arguments.tool.as_deref().unwrap_or("--all");
            return Err(Error::invalid("`--undo` is for every provider and account").with_hint(
                format!(
                    "run `my-credential-helper setup {tool} --undo`, with `--host HOST` for one host"
                ),
            ));
        }
        let hosts = parsed(&self.arguments.host, &self.tools)?;
        let plans = self.plan_each(|tool| {
            if !hosts.is_empty() && !tool.names_hosts {
                return Plan::unchanged(machine, tool);
            }
            Plan::undo(machine, tool, &hosts, &self.tools, &self.written)
        })?;
        let is_undone = |tool: &&SetupTool| {
            plans.iter().any(|plan| plan.tool.path(machine) == tool.path(machine))
        };
        let names: Vec<_> = ALL.iter().filter(is_undone).map(|tool| tool.name).collect();
        let mut change = HostChange::undo(engine, machine, &hosts, &names)?;
        for host in hosts.iter().map(ToString::to_string) {
            if !change.removed.contains(&host) && is_configured(engine, &host)? {
                change.report.push(format!(
                    "{host} stays in `hosts`: another tool uses it, or `setup` did not add it.\n"
                ));
            }
        }
        Ok((plans, change))
    }

    /// With `--all`, an error for one tool is a note, and does not prevent the setup of the others.
    fn plan_each(&self, plan: impl Fn(&'static SetupTool) -> Result<Plan>) -> Result<Vec<Plan>> {
        let mut plans = Vec::new();
        for tool in &self.tools {
            match plan(tool) {
                Ok(plan) => plans.push(plan),
                Err(Error { message, hint, .. }) if self.arguments.all => {
                    self.output.note(format!("{message}; {}", hint.unwrap_or_default()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(plans)
    }
}

fn is_configured(engine: &Engine<'_>, host: &str) -> Result<bool> {
    let configuration = engine.context.configuration()?;
    let providers = configuration.names().into_iter().map(|name| configuration.provider(name));
    let providers = providers.collect::<Result<Vec<_>>>()?;
    Ok(providers.iter().flat_map(|it| &it.hosts).any(|known| known.to_string() == host))
}

/// Whether a tool's configuration has entries of ours.
pub(super) fn is_set_up(machine: &Machine, tool: &SetupTool) -> Result<bool> {
    let text = edit::read(&tool.path(machine))?;
    text.map_or(Ok(false), |text| edit::has_ours(machine, tool, &text))
}

fn chosen(arguments: &Arguments, machine: &Machine) -> Result<Vec<&'static SetupTool>> {
    if let Some(name) = &arguments.tool {
        return Ok(ALL.iter().filter(|tool| tool.name == name).collect());
    }
    let is_undone = |tool: &SetupTool| arguments.undo && is_set_up(machine, tool).unwrap_or(true);
    let is_installed = |tool: &SetupTool| tool.program(machine).is_some();
    let mut installed: Vec<_> =
        ALL.iter().filter(|tool| is_installed(tool) || is_undone(tool)).collect();
    if arguments.undo {
        // Two tools may have one file: it is listed for the one that is installed.
        let mut files = HashSet::new();
        installed.sort_by_key(|tool| !is_installed(tool));
        installed.retain(|tool| files.insert(tool.path(machine)));
    }
    if installed.is_empty() && !arguments.undo {
        return Err(Error::invalid("no supported tool is on PATH").with_hint(
            "specify a tool to set it up anyway; run `my-credential-helper setup --help` for the list of tools",
        ));
    }
    Ok(installed)
}

fn check_hosts(tool: &SetupTool, hosts: &[HostPattern]) -> Result<()> {
    if !tool.names_hosts || !hosts.is_empty() {
        return Ok(());
    }
    let name = tool.name;
    let message = format!("{name} is configured by host, and the provider has no configured hosts");
    Err(Error::invalid(message).with_hint(format!(
        "specify the host that the token may be sent to: `my-credential-helper setup {name} --host HOST`"
    )))
}

/// An error if the tool's requests could not select the account.
fn check_account(tool: &SetupTool, is_named: bool, hosts: &[String]) -> Result<()> {
    match tool.selection {
        Selection::Host if is_named && hosts.is_empty() => {
            Err(Error::invalid(format!("{} selects the account by the host", tool.name))
                .with_hint("specify the host that the account is for: `--host HOST`"))
        }
        Selection::LinkName if is_named => {
            Err(Error::invalid(format!("{} passes neither a host nor an account", tool.name))
                .with_hint("run `my-credential-helper account use NAME` to select the account"))
        }
        _ => Ok(()),
    }
}

/// The hosts of `--host` that are not the provider's yet.
fn new_hosts(provider: &Provider, api: &Origin, named: &[HostPattern]) -> Vec<String> {
    let is_api = |host: &HostPattern| host.target().is_some_and(|target| target.origin == *api);
    let is_new = |host: &&HostPattern| !is_api(host) && !provider.hosts.contains(host);
    let mut new: Vec<_> = named.iter().filter(is_new).map(ToString::to_string).collect();
    let mut known = HashSet::new();
    new.retain(|host| known.insert(host.clone()));
    new
}

/// Parses the hosts of `--host`.
fn parsed(hosts: &[String], tools: &[&SetupTool]) -> Result<Vec<HostPattern>> {
    let is_docker = tools.iter().any(|tool| matches!(tool.name, "docker" | "podman"));
    let canonical = |host: &String| match host.trim().trim_end_matches('/') {
        // Docker's adapter requests the credential of Docker Hub by this name.
        "docker.io" | "registry-1.docker.io" if is_docker => HostPattern::parse("index.docker.io"),
        host => HostPattern::parse(host),
    };
    hosts.iter().map(canonical).collect()
}

fn report(hosts: &HostChange, plans: &[Plan], dry_run: bool) -> String {
    let mut parts = hosts.report.clone();
    parts.extend(plans.iter().map(Plan::to_string));
    if dry_run {
        parts.push("Nothing was changed (--dry-run).\n".to_owned());
    }
    if parts.is_empty() { "No tool is set up.".to_owned() } else { parts.join("\n") }
}
