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
mod docker;
pub(super) mod edit;
mod git;
pub(super) mod go;
mod hosts;
mod ini;
mod kubectl;
mod layout;
mod lines;
pub(super) mod link;
pub(super) mod machine;
mod pip;
mod plan;
mod pnpm;
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
#[derive(clap::Args)]
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
    let tools = chosen(arguments, &machine)?;
    let (plans, hosts) = if arguments.undo {
        undo(engine, arguments, output, &machine, &tools)?
    } else {
        set_up(engine, arguments, output, &machine, &tools)?
    };
    let mut report = report(&hosts, &plans, arguments.dry_run);
    let changes = !hosts.edits.is_empty() || plans.iter().any(Plan::changes);
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
        let written = Written::load(&machine)?.edit(&plans).map(Step::Edit);
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
    let arguments = Arguments {
        tool: None,
        all: true,
        host: Vec::new(),
        dry_run: false,
        undo: false,
        portable: false,
        yes: false,
    };
    let question = format!("Connect the installed tools ({})?", names.join(", "));
    let result = match terminal::confirm_interactive(&question) {
        Ok(true) => run(engine, &arguments, output),
        _ => Ok(ToolOutput::default()),
    };
    let provider = engine.context.provider(None);
    let later = provider.map(|it| it.command("setup --all")).unwrap_or_default();
    let later = format!("run `{later}` to connect the tools later");
    match result {
        Ok(done) if !done.output.is_empty() => done,
        Ok(_) => ToolOutput::default().with_note(later),
        Err(error) => ToolOutput::default().with_note(error.message).with_note(later),
    }
}

/// Plans the setup of the tools. With `--all`, a tool that cannot be set up is a note.
fn set_up(
    engine: &Engine<'_>,
    arguments: &Arguments,
    output: &Output,
    machine: &Machine,
    tools: &[&'static SetupTool],
) -> Result<(Vec<Plan>, HostChange)> {
    let provider = engine.context.provider(None)?;
    let api = engine.context.api_origin(&provider, None)?;
    let named = parsed(&arguments.host, tools)?;
    let new_hosts = new_hosts(&provider, &api, &named);
    for host in named.iter().filter(|host| new_hosts.contains(&host.to_string())) {
        engine.context.check_free(&provider.name, host)?;
    }
    let hosts = if named.is_empty() { &provider.hosts } else { &named };
    let configuration = engine.context.configuration()?;
    // A tool is started without the variables of this shell.
    let default = configuration.provider.as_deref().unwrap_or(Provider::DEFAULT_NAME);
    let other = (*provider.name != *default).then_some(&*provider.name);
    let account = match &engine.context.overrides.account {
        Some(name) => Some(engine.context.account(&provider.name, name)?),
        None => None,
    };
    let account_option = account.as_ref().map(|account| ("--account", &**account));
    let options = other.map(|name| ("--provider", name)).into_iter().chain(account_option);
    let options: Vec<_> =
        options.flat_map(|(option, value)| [option.to_owned(), value.to_owned()]).collect();
    let choice =
        Choice { hosts, is_portable: arguments.portable, options: &options, provider: other };
    let written = Written::load(machine)?;
    let mut plans = Vec::new();
    for tool in tools {
        let plan = check_hosts(tool, hosts)
            .and_then(|()| check_account(tool, account.is_some(), &arguments.host))
            .and_then(|()| Plan::set_up(machine, tool, &choice, &written));
        keep(plan, arguments.all, output, &mut plans)?;
    }
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

fn undo(
    engine: &Engine<'_>,
    arguments: &Arguments,
    output: &Output,
    machine: &Machine,
    tools: &[&'static SetupTool],
) -> Result<(Vec<Plan>, HostChange)> {
    let overrides = &engine.context.overrides;
    if overrides.provider.is_some() || overrides.account.is_some() {
        return Err(Error::invalid("`--undo` is for every provider and account")
            .with_hint("omit `--provider` and `--account`, and specify a host with `--host`"));
    }
    let hosts = parsed(&arguments.host, tools)?;
    let written = Written::load(machine)?;
    let mut plans = Vec::new();
    for tool in tools {
        let plan = if hosts.is_empty() || tool.names_hosts {
            Plan::undo(machine, tool, &hosts, tools, &written)
        } else {
            Plan::unchanged(machine, tool)
        };
        keep(plan, arguments.all, output, &mut plans)?;
    }
    let is_undone =
        |tool: &&SetupTool| plans.iter().any(|plan| plan.tool.path(machine) == tool.path(machine));
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

fn is_configured(engine: &Engine<'_>, host: &str) -> Result<bool> {
    let configuration = engine.context.configuration()?;
    for name in configuration.names() {
        if configuration.provider(name)?.hosts.iter().any(|known| known.to_string() == host) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// With `--all`, an error for one tool does not prevent the setup of the others.
fn keep(plan: Result<Plan>, all: bool, output: &Output, plans: &mut Vec<Plan>) -> Result<()> {
    match plan {
        Ok(plan) => plans.push(plan),
        Err(Error { message, hint, .. }) if all => {
            output.note(format!("{message}; {}", hint.unwrap_or_default()));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Whether a tool's configuration has entries of ours.
pub(super) fn is_set_up(machine: &Machine, tool: &SetupTool) -> Result<bool> {
    match edit::read(&tool.path(machine))? {
        Some(text) => Ok(edit::without_ours(machine, tool, &[], &text)? != text),
        None => Ok(false),
    }
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
    let message =
        format!("{} is configured by host, and the provider has no configured hosts", tool.name);
    Err(Error::invalid(message).with_hint(format!(
        "specify the host that the token may be sent to: `my-credential-helper setup {} --host HOST`",
        tool.name
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
    let mut new = Vec::new();
    for pattern in named {
        let is_api = pattern.target().is_some_and(|target| target.origin == *api);
        if !is_api && !provider.hosts.contains(pattern) && !new.contains(&pattern.to_string()) {
            new.push(pattern.to_string());
        }
    }
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
    let end = dry_run.then(|| "Nothing was changed (--dry-run).\n".to_owned());
    let hosts = hosts.report.iter().cloned();
    let parts: Vec<_> = hosts.chain(plans.iter().map(Plan::to_string)).chain(end).collect();
    if parts.is_empty() {
        return "No tool is set up.".to_owned();
    }
    parts.join("\n")
}
