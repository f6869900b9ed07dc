//! `doctor`: looks at what a login and the tools need, and says what is wrong and how to mend it. It asks each tool's
//! adapter as the tool would, and shows nothing of what that answers.

mod client;
mod files;
mod login;
mod service;
mod tool;

use serde_json::json;

use crate::auth::Engine;
use crate::cli::output::Output;
use crate::cli::setup::place::Place;
use crate::error::{Result, sanitize};
use crate::model::ToolOutput;

/// What `doctor` takes.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  my-credential-helper doctor\n  my-credential-helper doctor --fix"
)]
pub(super) struct Arguments {
    /// Mend what can be mended safely: links, and modes of files
    #[arg(long)]
    fix: bool,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// As it should be.
    Fine,
    /// Worth knowing.
    Note,
    /// Something does not work.
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

/// What was found, and the way out.
struct Finding {
    check: String,
    level: Level,
    message: String,
    fix: Option<String>,
    mend: Option<Mend>,
}

/// What mends it, where that is safe.
type Mend = Box<dyn Fn() -> Result<()>>;

impl Finding {
    fn fine(check: &str, message: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            level: Level::Fine,
            message: message.into(),
            fix: None,
            mend: None,
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

    fn mended_by(self, mend: impl Fn() -> Result<()> + 'static) -> Self {
        Self { mend: Some(Box::new(mend)), ..self }
    }
}

pub(super) fn run(
    engine: &Engine<'_>,
    arguments: &Arguments,
    output: &Output,
) -> Result<ToolOutput> {
    let place = Place::of(engine)?;
    let mut findings = examined(engine, &place);
    let mut fixed = Vec::new();
    if arguments.fix {
        for finding in &findings {
            if let Some(mend) = &finding.mend {
                mend()?;
                fixed.push(finding.message.clone());
            }
        }
        if !fixed.is_empty() {
            findings = examined(engine, &place);
        }
    }
    let is_ok = findings.iter().all(|finding| finding.level != Level::Problem);
    let mut answer = if output.json {
        let fields = json!({ "ok": is_ok, "fixed": fixed, "findings": findings.iter().map(fields).collect::<Vec<_>>() });
        ToolOutput::success(format!("{fields}\n"))
    } else {
        ToolOutput::success(told(&findings, &fixed, output.quiet))
    };
    answer.status = u8::from(!is_ok);
    Ok(answer)
}

fn examined(engine: &Engine<'_>, place: &Place) -> Vec<Finding> {
    let mut findings = files::examine(engine, place);
    let (of_login, is_logged_in) = login::examine(engine);
    findings.extend(of_login);
    findings.extend(service::examine(engine));
    findings.extend(tool::examine(engine, place, is_logged_in));
    findings
}

fn fields(finding: &Finding) -> serde_json::Value {
    let Finding { check, level, message, fix, mend } = finding;
    json!({ "check": check, "level": level.name(), "message": message, "fix": fix, "can_be_fixed": mend.is_some() })
}

/// A line each; with `--quiet` the problems alone.
fn told(findings: &[Finding], fixed: &[String], quiet: bool) -> String {
    let mut lines: Vec<String> =
        fixed.iter().map(|message| format!("fixed    {}\n", sanitize(message))).collect();
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let is_told = |finding: &&Finding| !quiet || finding.level == Level::Problem;
    lines.extend(findings.iter().filter(is_told).map(
        |Finding { check, level, message, fix, .. }| {
            let fix = fix.as_ref().map_or_else(String::new, |fix| format!("; {}", sanitize(fix)));
            format!("{:<8} {check:<width$}  {}{fix}\n", level.name(), sanitize(message))
        },
    ));
    let problems = findings.iter().filter(|finding| finding.level == Level::Problem).count();
    let mends = findings.iter().filter(|finding| finding.mend.is_some()).count();
    if !quiet {
        lines.push(match (problems, mends) {
            (0, _) => "\nNothing is wrong.\n".to_owned(),
            (1, 0) => "\n1 problem.\n".to_owned(),
            (count, 0) => format!("\n{count} problems.\n"),
            (count, mends) => {
                format!("\nProblems: {count}; `my-credential-helper doctor --fix` mends {mends}.\n")
            }
        });
    }
    lines.concat()
}
