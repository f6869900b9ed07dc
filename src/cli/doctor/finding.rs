//! The findings of `doctor`, and their output.

use std::io::IsTerminal as _;

use crossterm::style::Stylize as _;

use crate::cli::terminal;
use crate::error::{Error, Result, sanitize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Fine,
    Note,
    /// Works, and may disclose a secret.
    Warning,
    Problem,
}

impl Level {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }

    /// The name, with a mark on a terminal.
    fn label(self) -> String {
        let text = format!("{:<8}", self.name());
        if !std::io::stdout().is_terminal() {
            return text;
        }
        let mark = match self {
            Self::Fine => '✓',
            Self::Note => '·',
            Self::Warning => '!',
            Self::Problem => '✗',
        };
        let text = format!("{mark} {text}");
        match self {
            _ if !terminal::shows_colour(false) => text,
            Self::Fine => text.green().to_string(),
            Self::Note => text,
            Self::Warning => text.yellow().to_string(),
            Self::Problem => text.red().to_string(),
        }
    }
}

pub(super) struct Finding {
    pub(super) check: String,
    pub(super) level: Level,
    pub(super) message: String,
    pub(super) fix: Option<String>,
    /// Repairs it, where that is safe.
    pub(super) repair: Option<Repair>,
}

pub(super) type Repair = Box<dyn Fn() -> Result<()>>;

impl Finding {
    fn new(level: Level, check: &str, message: impl Into<String>) -> Self {
        Self { check: check.to_owned(), level, message: message.into(), fix: None, repair: None }
    }

    pub(super) fn fine(check: &str, message: impl Into<String>) -> Self {
        Self::new(Level::Fine, check, message)
    }

    pub(super) fn note(check: &str, message: impl Into<String>) -> Self {
        Self::new(Level::Note, check, message)
    }

    pub(super) fn warning(check: &str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Level::Warning, check, message).with_fix(fix)
    }

    pub(super) fn problem(check: &str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Level::Problem, check, message).with_fix(fix)
    }

    /// A problem with the hint of the error, or with `fix`.
    pub(super) fn error(check: &str, error: Error, fix: &str) -> Self {
        Self::problem(check, error.message, error.hint.unwrap_or_else(|| fix.to_owned()))
    }

    pub(super) fn with_fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }

    pub(super) fn with_repair(self, repair: impl Fn() -> Result<()> + 'static) -> Self {
        Self { repair: Some(Box::new(repair)), ..self }
    }

    pub(super) fn fields(&self) -> serde_json::Value {
        let Self { check, level, message, fix, repair } = self;
        serde_json::json!({
            "check": check, "level": level.name(), "message": message, "fix": fix,
            "can_be_fixed": repair.is_some(),
        })
    }
}

/// A line for each finding; with `--quiet` for warnings and problems only.
pub(super) fn report(findings: &[Finding], fixed: &[String], quiet: bool) -> String {
    let mut lines: Vec<String> =
        fixed.iter().map(|message| format!("fixed    {}\n", sanitize(message))).collect();
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let is_reported = |finding: &&Finding| !quiet || finding.level >= Level::Warning;
    lines.extend(findings.iter().filter(is_reported).map(
        |Finding { check, level, message, fix, .. }| {
            let fix = fix.as_ref().map_or_else(String::new, |fix| format!("; {}", sanitize(fix)));
            format!("{} {check:<width$}  {}{fix}\n", level.label(), sanitize(message))
        },
    ));
    if quiet {
        return lines.concat();
    }
    let problems = findings.iter().filter(|finding| finding.level == Level::Problem).count();
    let repairs = findings.iter().filter(|finding| finding.repair.is_some()).count();
    lines.push(match (problems, repairs) {
        (0, _) => "\nNo problems found.\n".to_owned(),
        (1, 0) => "\n1 problem.\n".to_owned(),
        (count, 0) => format!("\n{count} problems.\n"),
        (count, repairs) => {
            format!("\nProblems: {count}; `my-credential-helper doctor --fix` repairs {repairs}.\n")
        }
    });
    lines.concat()
}
