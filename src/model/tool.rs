//! How a tool calls this program, and what it receives: arguments, variables and bytes.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use serde::Serialize;

use super::Warning;
use crate::error::Error;

/// The largest JSON request, in bytes.
pub const MAX_OBJECT: usize = 64 * 1024;

/// One call of a tool.
#[derive(Default)]
pub struct Invocation {
    /// The arguments after the protocol's name.
    pub arguments: Vec<String>,
    /// The variables of the protocol that are set.
    pub variables: HashMap<&'static str, String>,
    /// Standard input, as much as belongs to the call.
    pub input: zeroize::Zeroizing<Vec<u8>>,
    /// Why standard input could not be read.
    pub input_error: Option<Error>,
}

/// How much of standard input belongs to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Nothing is read.
    Nothing,
    /// One JSON object; what follows is not waited for.
    Object,
    /// Lines, up to a blank one.
    Paragraph,
    /// Everything, to the end.
    Everything,
    /// A line, and another after the answer, until the end: each is a call. The text is written first.
    Conversation(&'static str),
}

/// What the tool receives. It may contain a secret, so it has no `Debug`.
#[derive(Default)]
pub struct ToolOutput {
    /// Standard output.
    pub output: zeroize::Zeroizing<String>,
    /// Standard error, for people.
    pub messages: String,
    /// The exit status.
    pub status: u8,
}

impl ToolOutput {
    /// Output, and exit status 0.
    pub fn success(output: impl Into<String>) -> Self {
        Self { output: output.into().into(), ..Self::default() }
    }

    /// A JSON value on one line, and exit status 0.
    pub fn json(value: &impl Serialize) -> Self {
        Self::success(super::json::line(value))
    }

    /// Success, where a tool stores the token of a session that it has just received.
    pub fn session_not_stored() -> Self {
        Self::default().with_note(
            "the token is a session's and is not kept here: it is served and renewed while you are logged in",
        )
    }

    /// Nothing on standard output, and an error for people.
    pub fn failure(status: u8, message: impl fmt::Display) -> Self {
        Self { messages: format!("error: {message}\n"), status, ..Self::default() }
    }

    /// Adds a line for people.
    #[must_use]
    pub fn with_note(mut self, note: impl fmt::Display) -> Self {
        let _ = writeln!(self.messages, "note: {note}");
        self
    }

    /// Adds a line for each warning.
    #[must_use]
    pub fn with_warnings(self, warnings: &[Warning]) -> Self {
        warnings.iter().fold(self, Self::with_note)
    }
}
