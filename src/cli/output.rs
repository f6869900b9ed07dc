//! What an account verb prints: rows for people, the same as JSON for programs, and errors in the same two forms.

use serde_json::{Value, json};

use crate::adapters::Answer;
use crate::error::{Error, shown};

/// How to print.
pub(super) struct Output {
    /// `--json`
    pub(super) json: bool,
    /// `--quiet`
    pub(super) quiet: bool,
}

impl Output {
    /// Rows with their values in one column, or the fields as JSON.
    pub(super) fn rows(&self, rows: &[(&str, String)], fields: &Value) -> Answer {
        if self.json {
            return Answer::success(format!("{fields}\n"));
        }
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 4;
        let lines = rows.iter().map(|(name, value)| format!("{:width$}{}\n", format!("{name}:"), shown(value)));
        Answer::success(lines.collect::<String>())
    }

    /// One sentence on what was done, or the fields as JSON.
    pub(super) fn done(&self, sentence: &str, fields: &Value) -> Answer {
        match self {
            Self { json: true, .. } => Answer::success(format!("{fields}\n")),
            Self { quiet: true, .. } => Answer::default(),
            _ => Answer::success(format!("{sentence}\n")),
        }
    }

    /// An error in words; with `--json` also as an object.
    pub(super) fn failure(&self, error: &Error) -> Answer {
        let mut answer = Answer::failure(error.code.exit_status(), error);
        if self.json {
            let mut fields = json!({ "code": error.code.name(), "message": error.one_line() });
            if let Some(hint) = &error.hint {
                fields["hint"] = hint.as_str().into();
            }
            answer.output = format!("{}\n", json!({ "error": fields })).into();
        }
        answer
    }
}
