//! Foreign protocols as pure functions: one file each, one line in [`ALL`]. An adapter turns a [`Invocation`] into a
//! [`Operation`] and what came of it into an [`ToolOutput`]; it knows no store, no network and no clock.

pub mod bazel;
pub mod cargo;
pub mod dispatch;
pub mod docker;
pub mod git;
pub mod goauth;
pub mod json;
pub mod keyring;
pub mod kubectl;
pub mod pnpm;
pub mod run;
pub mod terraform;

use std::collections::HashMap;

use crate::error::Result;
use crate::model::request::{Operation, Response};

/// Every adapter.
pub const ALL: &[Tool] = &[
    json::TOOL,
    git::TOOL,
    docker::TOOL,
    bazel::TOOL,
    cargo::TOOL,
    kubectl::TOOL,
    terraform::TOOL,
    goauth::TOOL,
    pnpm::TOOL,
    keyring::TOOL,
];

/// A protocol.
pub struct Tool {
    /// What it is called as: `my-credential-helper git get`.
    pub name: &'static str,
    /// The operations that follow.
    pub operations: &'static [&'static str],
    /// The name that the tool looks for: `git-credential-my`.
    pub program: Option<&'static str>,
    /// The variables that the tool speaks through.
    pub variables: &'static [&'static str],
    /// How much of standard input belongs to a call.
    pub input: fn(&[String]) -> Input,
    /// Reads a call.
    pub decode: fn(&Invocation) -> Result<Operation>,
    /// Writes what came of it.
    pub encode: fn(&Invocation, Result<Response>) -> ToolOutput,
}

/// How a tool called.
#[derive(Default)]
pub struct Invocation {
    /// The arguments behind the adapter's name.
    pub arguments: Vec<String>,
    /// The adapter's variables, as far as they are set.
    pub variables: HashMap<&'static str, String>,
    /// Standard input, as much as belongs to the call.
    pub input: zeroize::Zeroizing<Vec<u8>>,
}

/// How much of standard input belongs to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Nothing: it is not touched.
    Nothing,
    /// One JSON object; what follows is not waited for.
    Object,
    /// Lines, up to a blank one.
    Paragraph,
    /// Everything.
    Everything,
    /// A line, and another after the answer, until the end: each is a call of its own. This is said first.
    Conversation(&'static str),
}

/// What the tool is told. It may hold a secret, so it cannot be shown.
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
    /// Output, and success.
    pub fn success(output: impl Into<String>) -> Self {
        Self { output: output.into().into(), ..Self::default() }
    }

    /// Nothing on standard output, and this for people.
    pub fn failure(status: u8, message: impl std::fmt::Display) -> Self {
        Self { messages: format!("error: {message}\n"), status, ..Self::default() }
    }

    /// Adds a note for people.
    #[must_use]
    pub fn with_notes(mut self, notes: &[String]) -> Self {
        for note in notes {
            self.messages.extend(["note: ", note, "\n"]);
        }
        self
    }
}
