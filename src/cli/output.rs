//! What an account verb prints: rows and tables for people, the same as JSON for programs, and errors in both forms.

use std::cell::RefCell;

use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use crate::error::{Error, sanitize};
use crate::model::{ToolOutput, Warning};
use crate::protocols::json;

/// How a command prints, and what it adds on standard error.
pub(super) struct Output {
    /// `--json`
    pub(super) json: bool,
    /// `--quiet`
    pub(super) quiet: bool,
    notes: RefCell<Vec<String>>,
}

impl Output {
    pub(super) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, notes: RefCell::default() }
    }

    /// Adds a line for the person, printed after the result on standard error.
    pub(super) fn note(&self, note: impl Into<String>) {
        self.notes.borrow_mut().push(note.into());
    }

    /// Adds a line for each warning.
    pub(super) fn warn<'a>(&self, warnings: impl IntoIterator<Item = &'a Warning>) {
        warnings.into_iter().for_each(|warning| self.note(warning.to_string()));
    }

    fn with_notes(&self, output: ToolOutput) -> ToolOutput {
        self.notes.take().into_iter().fold(output, ToolOutput::with_note)
    }

    /// Rows with their values in one column, or the fields as JSON.
    pub(super) fn rows(&self, rows: &[(&str, String)], fields: &Value) -> ToolOutput {
        if self.json {
            return self.with_notes(ToolOutput::success(format!("{fields}\n")));
        }
        let rows: Vec<_> =
            rows.iter().map(|(name, value)| [format!("{name}:"), value.clone()]).collect();
        self.with_notes(ToolOutput::success(aligned(&rows, 3)))
    }

    /// A table with its headings, or the fields as JSON. Without rows: `none`, on standard error.
    pub(super) fn table<const N: usize>(
        &self,
        headings: [&str; N],
        rows: Vec<[String; N]>,
        none: &str,
        fields: &Value,
    ) -> ToolOutput {
        let output = if self.json {
            ToolOutput::success(format!("{fields}\n"))
        } else if rows.is_empty() {
            ToolOutput { messages: format!("{none}\n"), ..ToolOutput::default() }
        } else {
            let headings = (!self.quiet).then(|| headings.map(str::to_owned));
            ToolOutput::success(aligned(&headings.into_iter().chain(rows).collect::<Vec<_>>(), 2))
        };
        self.with_notes(output)
    }

    /// One sentence on what was done, or the fields as JSON.
    pub(super) fn done(&self, sentence: &str, fields: &Value) -> ToolOutput {
        self.with_notes(match self {
            Self { json: true, .. } => ToolOutput::success(format!("{fields}\n")),
            Self { quiet: true, .. } => ToolOutput::default(),
            _ => ToolOutput::success(format!("{sentence}\n")),
        })
    }

    /// An error in words; with `--json` also as an object.
    pub(super) fn failure(&self, error: &Error) -> ToolOutput {
        let output = if self.json { json::failure(error) } else { String::new() };
        ToolOutput { output: output.into(), ..ToolOutput::failure(error.code.exit_status(), error) }
    }
}

/// Lines whose columns begin below each other, `gap` apart; what came from outside is made safe to show.
fn aligned<const N: usize>(rows: &[[String; N]], gap: usize) -> String {
    let rows: Vec<_> = rows.iter().map(|row| row.each_ref().map(|cell| sanitize(cell))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.width() + gap)));
        format!("{}\n", cells.collect::<String>().trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::aligned;

    #[test]
    fn columns_align_by_what_is_seen_and_controls_are_escaped() {
        let cells = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        assert_eq!(aligned(&[cells("名前", "x"), cells("abc", "y\n")], 2), "名前  x\nabc   y\\n\n");
    }
}
