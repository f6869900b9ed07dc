//! The findings of `doctor`, and their output.

use std::io::IsTerminal as _;

use crossterm::style::{Color, Stylize as _};

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
        let (mark, colour) = match self {
            Self::Fine => ('✓', Color::Green),
            Self::Note => ('·', Color::Reset),
            Self::Warning => ('!', Color::Yellow),
            Self::Problem => ('✗', Color::Red),
        };
        let text = format!("{mark} {text}");
        let is_plain = colour == Color::Reset || !terminal::shows_colour(false);
        if is_plain { text } else { text.with(colour).to_string() }
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
    let fixed = fixed.iter().map(|message| format!("fixed    {}\n", sanitize(message)));
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let is_reported = |finding: &&Finding| !quiet || finding.level >= Level::Warning;
    let line = |Finding { check, level, message, fix, .. }: &Finding| {
        let fix = fix.as_ref().map_or_else(String::new, |fix| format!("; {}", sanitize(fix)));
        format!("{} {check:<width$}  {}{fix}\n", level.label(), sanitize(message))
    };
    let lines: String = fixed.chain(findings.iter().filter(is_reported).map(line)).collect();
    if quiet {
        return lines;
    }
    let problems = findings.iter().filter(|finding| finding.level == Level::Problem).count();
    let repairs = findings.iter().filter(|finding| finding.repair.is_some()).count();
    let end = match (problems, repairs) {
        (0, _) => "No problems found.".to_owned(),
        (1, 0) => "1 problem.".to_owned(),
        (count, 0) => format!("{count} problems."),
        (count, repairs) => {
            format!("Problems: {count}; `my-credential-helper doctor --fix` repairs {repairs}.")
        }
    };
    format!("{lines}\n{end}\n")
}
