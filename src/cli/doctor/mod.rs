//! `doctor`: checks what a login and the tools need, and reports each problem with its fix. It sends each tool's protocol
//! the request that the tool would send, and shows nothing of the response.

mod files;
mod identity;
mod login;
mod service;
mod tool;

use serde_json::json;

use crate::auth::Engine;
use crate::cli::output::Output;
use crate::cli::setup::machine::Machine;
use crate::error::{Result, sanitize};
use crate::model::ToolOutput;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  my-credential-helper doctor\n  my-credential-helper doctor --fix"
)]
pub(super) struct Arguments {
    /// Repair what can be repaired safely: links and file modes
    #[arg(long)]
    fix: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Fine,
    Note,
    Problem,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Note => "note",
            Self::Problem => "problem",
        }
    }
}

struct Finding {
    check: String,
    level: Level,
    message: String,
    fix: Option<String>,
    /// Repairs it, where that is safe.
    repair: Option<Repair>,
}

type Repair = Box<dyn Fn() -> Result<()>>;

impl Finding {
    fn fine(check: &str, message: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            level: Level::Fine,
            message: message.into(),
            fix: None,
            repair: None,
        }
    }

    fn note(check: &str, message: impl Into<String>) -> Self {
        Self { level: Level::Note, ..Self::fine(check, message) }
    }

    fn problem(check: &str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { level: Level::Problem, fix: Some(fix.into()), ..Self::fine(check, message) }
    }

    fn with_fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }

    fn with_repair(self, repair: impl Fn() -> Result<()> + 'static) -> Self {
        Self { repair: Some(Box::new(repair)), ..self }
    }
}

pub(super) fn run(
    engine: &Engine<'_>,
    arguments: &Arguments,
    output: &Output,
) -> Result<ToolOutput> {
    let machine = Machine::detect(engine)?;
    let mut findings = examine(engine, &machine);
    let mut fixed = Vec::new();
    if arguments.fix {
        for finding in &findings {
            if let Some(repair) = &finding.repair {
                repair()?;
                fixed.push(finding.message.clone());
            }
        }
        if !fixed.is_empty() {
            findings = examine(engine, &machine);
        }
    }
    let is_ok = findings.iter().all(|finding| finding.level != Level::Problem);
    let mut answer = if output.json {
        let fields = json!({ "ok": is_ok, "fixed": fixed, "findings": findings.iter().map(fields).collect::<Vec<_>>() });
        ToolOutput::success(format!("{fields}\n"))
    } else {
        ToolOutput::success(report(&findings, &fixed, output.quiet))
    };
    answer.status = u8::from(!is_ok);
    Ok(answer)
}

fn examine(engine: &Engine<'_>, machine: &Machine) -> Vec<Finding> {
    let mut findings = files::examine(engine, machine);
    let (login, is_logged_in) = login::examine(engine);
    findings.extend(login);
    findings.extend(identity::examine(engine));
    findings.extend(service::examine(engine));
    findings.extend(tool::examine(engine, machine, is_logged_in));
    findings
}

fn fields(finding: &Finding) -> serde_json::Value {
    let Finding { check, level, message, fix, repair } = finding;
    json!({ "check": check, "level": level.name(), "message": message, "fix": fix, "can_be_fixed": repair.is_some() })
}

/// A line for each finding; with `--quiet` for problems only.
fn report(findings: &[Finding], fixed: &[String], quiet: bool) -> String {
    let mut lines: Vec<String> =
        fixed.iter().map(|message| format!("fixed    {}\n", sanitize(message))).collect();
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let is_reported = |finding: &&Finding| !quiet || finding.level == Level::Problem;
    lines.extend(findings.iter().filter(is_reported).map(
        |Finding { check, level, message, fix, .. }| {
            let fix = fix.as_ref().map_or_else(String::new, |fix| format!("; {}", sanitize(fix)));
            format!("{:<8} {check:<width$}  {}{fix}\n", level.name(), sanitize(message))
        },
    ));
    let problems = findings.iter().filter(|finding| finding.level == Level::Problem).count();
    let repairs = findings.iter().filter(|finding| finding.repair.is_some()).count();
    if !quiet {
        lines.push(match (problems, repairs) {
            (0, _) => "\nNo problems found.\n".to_owned(),
            (1, 0) => "\n1 problem.\n".to_owned(),
            (count, 0) => format!("\n{count} problems.\n"),
            (count, repairs) => {
                format!(
                    "\nProblems: {count}; `my-credential-helper doctor --fix` repairs {repairs}.\n"
                )
            }
        });
    }
    lines.concat()
}
