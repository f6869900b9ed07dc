//! `doctor`: checks what a login and the tools need, and reports each problem with its fix. It says that a tool is fine
//! only if the configuration in force of that tool, in the tool's own words where it has a command for that, names this
//! program, and this program has a credential for the request that the tool would send. Nothing of the response is shown.

mod files;
mod finding;
mod identity;
mod in_force;
mod login;
mod service;
mod tool;
mod vault;

use std::time::Duration;

use serde_json::json;

use crate::auth::Engine;
use crate::cli::output::Output;
use crate::cli::setup::machine::Machine;
use crate::model::ToolOutput;
use finding::{Finding, Level};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  my-credential-helper doctor\n  my-credential-helper doctor --fix"
)]
pub(super) struct Arguments {
    /// Repair what can be repaired safely: links and file modes
    #[arg(long)]
    fix: bool,
}

/// For everything that is read from a shared store together.
const SHARED_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn run(engine: &Engine<'_>, arguments: &Arguments, output: &Output) -> ToolOutput {
    engine.in_time(SHARED_TIMEOUT, |engine| report(engine, arguments, output))
}

fn report(engine: &Engine<'_>, arguments: &Arguments, output: &Output) -> ToolOutput {
    let mut findings = examine(engine);
    let mut fixed = Vec::new();
    if arguments.fix {
        let mut failed = Vec::new();
        for Finding { check, message, repair, .. } in &findings {
            let by_hand = "repair it by hand, as the other message says";
            match repair.as_ref().map(|repair| repair()) {
                None => {}
                Some(Ok(())) => fixed.push(message.clone()),
                Some(Err(error)) => failed.push(Finding::error(check, error, by_hand)),
            }
        }
        if !fixed.is_empty() || !failed.is_empty() {
            findings = examine(engine);
            // A repair without effect is not reported as one.
            fixed.retain(|message| findings.iter().all(|finding| finding.message != *message));
            findings.extend(failed);
        }
    }
    let is_ok = findings.iter().all(|finding| finding.level != Level::Problem);
    let mut answer = if output.json {
        let findings: Vec<_> = findings.iter().map(Finding::fields).collect();
        ToolOutput::json(&json!({ "ok": is_ok, "fixed": fixed, "findings": findings }))
    } else {
        ToolOutput::success(finding::report(&findings, &fixed, output.quiet))
    };
    answer.status = u8::from(!is_ok);
    answer
}

fn examine(engine: &Engine<'_>) -> Vec<Finding> {
    let machine = Machine::detect(engine);
    let mut findings = files::examine(engine, machine.as_ref().ok());
    if engine.context.configuration().is_err() {
        let message = "the rest is not checked: it depends on the settings";
        findings.push(Finding::note("settings", message));
        return findings;
    }
    let (mut logins, error) = login::logins(engine);
    let has_first = error.is_none();
    let (found, providers) = login::examine(engine, &logins, error);
    findings.extend(found);
    findings.extend(identity::examine(engine));
    // An unknown provider is a finding about the login.
    let first = has_first.then(|| logins.swap_remove(0));
    findings.extend(first.iter().flat_map(|login| vault::examine(engine, login)));
    findings.extend(first.iter().flat_map(|login| service::examine(engine, &login.provider)));
    match machine {
        Ok(machine) => findings.extend(tool::examine(engine, &machine, &providers)),
        Err(error) => {
            findings.push(Finding::error("home", error, "set HOME to your home directory"));
            let message = "not checked: their configuration is in the home directory";
            findings.push(Finding::note("tools", message));
        }
    }
    findings
}
