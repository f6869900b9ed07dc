//! The output of commands: rows and tables for people, the same as JSON for programs, and errors in both forms.

use std::cell::RefCell;

use serde_json::{Map, Value};
use unicode_width::UnicodeWidthStr as _;

use crate::error::{Error, printable, sanitize};
use crate::model::{ToolOutput, Warning};
use crate::protocols::json;

pub(super) struct Output {
    /// `--json`
    pub(super) json: bool,
    /// `--quiet`
    pub(super) quiet: bool,
    notes: RefCell<Vec<String>>,
}

/// One subject: rows for people, and fields for programs.
#[derive(Default)]
pub(super) struct Report {
    rows: Vec<[String; 2]>,
    fields: Map<String, Value>,
}

impl Report {
    pub(super) fn row(&mut self, name: impl std::fmt::Display, value: impl Into<String>) {
        self.rows.push([format!("{name}:"), value.into()]);
    }

    pub(super) fn field(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }

    /// A field, and a row if there is a value.
    pub(super) fn add(&mut self, row: &str, field: &str, value: Option<String>) {
        if let Some(value) = &value {
            self.row(row, value);
        }
        self.field(field, value);
    }

    /// A field, and a row that contains `none` if there is no value.
    pub(super) fn add_or(&mut self, row: &str, field: &str, value: Option<String>, none: &str) {
        self.row(row, value.as_deref().unwrap_or(none));
        self.field(field, value);
    }
}

impl Output {
    pub(super) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet, notes: RefCell::default() }
    }

    /// Adds a line that is printed after the result, on standard error.
    pub(super) fn note(&self, note: impl Into<String>) {
        self.notes.borrow_mut().push(note.into());
    }

    pub(super) fn warn<'a>(&self, warnings: impl IntoIterator<Item = &'a Warning>) {
        warnings.into_iter().for_each(|warning| self.note(warning.to_string()));
    }

    /// The notes with the JSON, or with the text for people.
    fn print(&self, fields: &Value, text: impl FnOnce() -> ToolOutput) -> ToolOutput {
        let output = if self.json { ToolOutput::json(fields) } else { text() };
        self.notes.take().into_iter().fold(output, ToolOutput::with_note)
    }

    pub(super) fn report(&self, Report { rows, fields }: Report) -> ToolOutput {
        self.print(&Value::Object(fields), || ToolOutput::success(aligned(&rows, 3)))
    }

    /// A table, or `none` on standard error if it has no rows.
    pub(super) fn table<const N: usize>(
        &self,
        headings: [&str; N],
        rows: Vec<[String; N]>,
        none: &str,
        fields: &Value,
    ) -> ToolOutput {
        self.print(fields, || {
            if rows.is_empty() {
                return ToolOutput { messages: format!("{none}\n"), ..ToolOutput::default() };
            }
            let headings = (!self.quiet).then(|| headings.map(str::to_owned));
            ToolOutput::success(aligned(&headings.into_iter().chain(rows).collect::<Vec<_>>(), 2))
        })
    }

    /// The value itself, also with `--quiet`.
    pub(super) fn value(&self, value: &str, fields: &Value) -> ToolOutput {
        self.print(fields, || ToolOutput::success(printable(&format!("{value}\n"))))
    }

    /// A sentence about what was done.
    pub(super) fn done(&self, sentence: &str, fields: &Value) -> ToolOutput {
        self.print(fields, || {
            if self.quiet {
                return ToolOutput::default();
            }
            ToolOutput::success(printable(&format!("{sentence}\n")))
        })
    }

    /// The error as text on standard error, after the notes, and with `--json` also as an object.
    pub(super) fn failure(&self, error: &Error) -> ToolOutput {
        let output = if self.json { json::failure(error) } else { String::new() };
        let failure = ToolOutput { output: output.into(), ..ToolOutput::error(error) };
        let notes =
            self.notes.take().into_iter().fold(ToolOutput::default(), ToolOutput::with_note);
        ToolOutput { messages: notes.messages + &failure.messages, ..failure }
    }
}

pub(super) fn or(value: Option<&String>, none: &str) -> String {
    value.map_or(none, String::as_str).to_owned()
}

/// Aligns the columns, `gap` apart. Escapes control characters.
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
    fn columns_align_by_width_and_controls_are_escaped() {
        let cells = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        assert_eq!(aligned(&[cells("名前", "x"), cells("abc", "y\n")], 2), "名前  x\nabc   y\\n\n");
    }
}
