//! A call of this program by a tool: arguments, variables, input and output.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;
use zeroize::Zeroizing;

use super::Warning;
use crate::error::{Error, printable};

/// The largest JSON request, in bytes.
pub const MAX_OBJECT: usize = 64 * 1024;

#[derive(Default)]
pub struct Invocation {
    pub arguments: Vec<String>,
    pub variables: HashMap<&'static str, String>,
    /// The part of standard input that belongs to the call.
    pub input: Zeroizing<Vec<u8>>,
    pub input_error: Option<Error>,
}

/// How much of standard input belongs to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Nothing,
    /// One JSON object. The end of the input is not needed.
    Object,
    /// Lines, up to a blank one.
    Paragraph,
    /// Everything, to the end.
    Everything,
    /// Each line is a request, until the end. The text is the greeting, which is written first.
    Conversation(&'static str),
}

/// The output for the tool. It may contain a secret, so it has no `Debug`.
#[derive(Default)]
pub struct ToolOutput {
    /// Standard output.
    pub output: Zeroizing<String>,
    /// Standard error before the output: commands for the log of a CI system, which may contain a secret.
    pub masks: Zeroizing<String>,
    pub messages: String,
    pub status: u8,
}

impl ToolOutput {
    pub fn success(output: impl Into<String>) -> Self {
        Self { output: output.into().into(), ..Self::default() }
    }

    pub fn json(value: &impl Serialize) -> Self {
        Self::success(super::json::line(value))
    }

    /// Success, for a tool that stores the token of a session, which it has just received from `get`.
    pub fn session_not_stored() -> Self {
        Self::default().with_note(
            "the token belongs to a session and is not stored: it is returned and refreshed while you are logged in",
        )
    }

    /// Nothing on standard output, and an error for people.
    pub fn failure(status: u8, message: impl fmt::Display) -> Self {
        let messages = printable(&format!("error: {message}\n"));
        Self { messages, status, ..Self::default() }
    }

    pub fn error(error: &Error) -> Self {
        Self::failure(error.code.exit_status(), error)
    }

    #[must_use]
    pub fn with_note(mut self, note: impl fmt::Display) -> Self {
        self.messages.push_str(&printable(&format!("note: {note}\n")));
        self
    }

    #[must_use]
    pub fn with_warnings(self, warnings: &[Warning]) -> Self {
        warnings.iter().fold(self, Self::with_note)
    }
}
