//! `setup`: connects tools. It links the helper under the name that a tool looks for and edits the tool's own
//! configuration; what is about to change is shown first, and `--undo` takes it back.

#![allow(
    clippy::unnecessary_wraps,
    reason = "the edit of one tool cannot fail, and that of the next can"
)]

mod bazel;
mod cargo;
mod copy;
mod difference;
mod docker;
pub(super) mod edit;
mod git;
mod go;
mod kubectl;
mod lines;
pub(super) mod link;
pub(super) mod machine;
mod pip;
mod plan;
mod pnpm;
mod terraform;
pub(super) mod tools;
mod transaction;
mod uv;

use serde_json::json;

use crate::auth::Engine;
use crate::cli::output::Output;
use crate::cli::terminal;
use crate::config::edit as settings;
use crate::error::{Error, Result};
use crate::model::{HostPattern, Origin, Provider, ToolOutput};
use crate::sys::atomic_file::Policy;
use edit::Edit;
use machine::Machine;
use plan::Plan;
use tools::{ALL, SetupTool};
use transaction::Step;

#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  my-credential-helper setup git --host git.acme.dev\n  \
                        my-credential-helper setup --all --dry-run\n  my-credential-helper setup docker --undo")]
pub(super) struct Arguments {
    /// The tool
    #[arg(required_unless_present = "all", value_name = "TOOL",
          value_parser = clap::builder::PossibleValuesParser::new(ALL.iter().map(|tool| tool.name)))]
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
    /// Undo the setup
    #[arg(long, conflicts_with = "host")]
    undo: bool,
    /// Do not prompt for confirmation
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(
    engine: &Engine<'_>,
    arguments: &Arguments,
    output: &Output,
) -> Result<ToolOutput> {
    let machine = Machine::detect(engine)?;
    let provider = engine.context.provider(None)?;
    let api = engine.context.api_origin(&provider, None)?;
    let new_hosts = new_hosts(&provider, &api, &arguments.host)?;
    let hosts = wanted_hosts(&provider, &arguments.host)?;
    let mut plans = Vec::new();
    let tools = chosen(arguments, &machine)?;
    let undone = arguments.undo.then_some(&*tools);
    for tool in &tools {
        match plan(&machine, tool, &hosts, undone) {
            Ok(plan) => plans.push(plan),
            // One that cannot be set up is no reason to leave the others alone.
            Err(Error { message, hint, .. }) if arguments.all => {
                output.note(format!("{message}; {}", hint.unwrap_or_default()));
            }
            Err(error) => return Err(error),
        }
    }
    let mut report = report(&provider, &new_hosts, &plans, arguments.dry_run);
    let changes = !new_hosts.is_empty() || plans.iter().any(Plan::changes);
    if changes && !arguments.dry_run {
        if !arguments.yes && terminal::is_interactive() {
            terminal::print(&report);
            if !terminal::confirm_interactive("Change this?")? {
                return Err(Error::invalid("nothing was changed"));
            }
            "Done.\n".clone_into(&mut report);
        }
        let hosts = new_hosts_step(engine, &provider, &new_hosts)?;
        transaction::run(hosts.into_iter().chain(plans.iter().flat_map(Plan::steps)))?;
    }
    let tools: Vec<_> = plans.iter().map(Plan::fields).collect();
    let fields = json!({ "dry_run": arguments.dry_run, "hosts_added": new_hosts, "tools": tools });
    Ok(output.done(report.trim_end(), &fields))
}

fn chosen(arguments: &Arguments, machine: &Machine) -> Result<Vec<&'static SetupTool>> {
    if let Some(name) = &arguments.tool {
        return Ok(ALL.iter().filter(|tool| tool.name == name).collect());
    }
    let installed: Vec<_> = ALL.iter().filter(|tool| tool.program(machine).is_some()).collect();
    if installed.is_empty() {
        return Err(Error::invalid("no supported tool is on PATH").with_hint(
            "specify a tool to set it up anyway; run `my-credential-helper setup --help` for the list of tools",
        ));
    }
    Ok(installed)
}

fn plan(
    machine: &Machine,
    tool: &'static SetupTool,
    hosts: &[HostPattern],
    undone: Option<&[&SetupTool]>,
) -> Result<Plan> {
    if let Some(undone) = undone {
        return Plan::undo(machine, tool, undone);
    }
    if tool.names_hosts && hosts.is_empty() {
        let message = format!(
            "{} is configured by host, and the provider has no configured hosts",
            tool.name
        );
        return Err(Error::invalid(message).with_hint(format!(
            "specify the host that the token may be sent to: `my-credential-helper setup {} --host HOST`",
            tool.name
        )));
    }
    Plan::set_up(machine, tool, hosts)
}

/// The hosts of `--host` that are none of the provider's yet.
fn new_hosts(provider: &Provider, api: &Origin, named: &[String]) -> Result<Vec<String>> {
    let mut new = Vec::new();
    for pattern in parsed(named)? {
        let is_api = pattern.target().is_some_and(|target| target.origin == *api);
        if !is_api && !provider.hosts.contains(&pattern) && !new.contains(&pattern.to_string()) {
            new.push(pattern.to_string());
        }
    }
    Ok(new)
}

/// The hosts that a tool is set up for: those that are named, else all of the provider's.
fn wanted_hosts(provider: &Provider, named: &[String]) -> Result<Vec<HostPattern>> {
    Ok(if named.is_empty() { provider.hosts.clone() } else { parsed(named)? })
}

fn parsed(hosts: &[String]) -> Result<Vec<HostPattern>> {
    hosts.iter().map(|host| HostPattern::parse(host.trim().trim_end_matches('/'))).collect()
}

/// Adds the hosts to the provider's in `config.toml`.
fn new_hosts_step(
    engine: &Engine<'_>,
    provider: &Provider,
    new: &[String],
) -> Result<Option<Step>> {
    if new.is_empty() {
        return Ok(None);
    }
    let known = provider.hosts.iter().map(ToString::to_string);
    let hosts: toml_edit::Array = known.chain(new.iter().cloned()).collect();
    let (paths, name) = (&engine.context.paths, Some(&*provider.name));
    let settings::Edit { path, before, after } =
        settings::plan(paths, name, "hosts", Some(hosts.into()))?;
    Ok(Some(Step::Edit(Edit { path, before, after: Some(after), policy: Policy::Preserve })))
}

fn report(provider: &Provider, new_hosts: &[String], plans: &[Plan], dry_run: bool) -> String {
    let hosts = new_hosts
        .iter()
        .map(|host| format!("{host} is added to the hosts of {}.\n", provider.name));
    let end = dry_run.then(|| "Nothing was changed (--dry-run).\n".to_owned());
    let parts: Vec<_> = hosts.chain(plans.iter().map(Plan::to_string)).chain(end).collect();
    parts.join("\n")
}
