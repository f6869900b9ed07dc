//! The credential protocol of each tool: one file for each protocol, and one line in [`ALL`]. A [`Protocol`] decodes an
//! [`Invocation`] to an [`Operation`], and encodes the result as a [`ToolOutput`]. It uses no store, no network and no
//! clock; [`run`] does the I/O.

mod bazel;
mod cargo;
mod challenges;
mod docker;
mod git;
mod goauth;
pub mod json;
mod keyring;
mod kubectl;
mod pnpm;
pub mod run;
mod terraform;

use crate::error::Result;
use crate::model::{Framing, Invocation, Operation, Response, ToolOutput};

/// Every protocol, first this program's own. `setup`, `doctor`, the usage texts and the fuzz targets iterate over this list.
pub const ALL: &[Tool] = &[
    Tool::new::<json::Json>(),
    Tool::new::<git::Git>(),
    Tool::new::<docker::Docker>(),
    Tool::new::<bazel::Bazel>(),
    Tool::new::<cargo::Cargo>(),
    Tool::new::<kubectl::Kubectl>(),
    Tool::new::<terraform::Terraform>(),
    Tool::new::<goauth::GoAuth>(),
    Tool::new::<pnpm::Pnpm>(),
    Tool::new::<keyring::Keyring>(),
];

/// A tool's credential protocol.
pub trait Protocol {
    /// The name as an argument: `my-credential-helper git get`.
    const NAME: &'static str;
    /// The name of the program that the tool runs: `git-credential-my`.
    const PROGRAM: Option<&'static str> = None;
    /// The operations, as arguments.
    const OPERATIONS: &'static [&'static str] = &[];
    /// The environment variables that are part of a request.
    const VARIABLES: &'static [&'static str] = &[];

    /// The parsed invocation. `encode` receives it also after a failure.
    type Parsed<'a>;

    /// How much of standard input belongs to a call with these arguments.
    fn framing(arguments: &[String]) -> Framing;

    fn decode(invocation: &Invocation) -> (Self::Parsed<'_>, Result<Operation>);

    fn encode(parsed: &Self::Parsed<'_>, result: Result<Response>) -> ToolOutput;
}

/// A [`Protocol`] without its type parameter, so that all are in one list.
pub struct Tool {
    pub name: &'static str,
    pub program: Option<&'static str>,
    pub operations: &'static [&'static str],
    pub variables: &'static [&'static str],
    pub framing: fn(&[String]) -> Framing,
    /// Decodes the invocation, performs the operation, and encodes the result.
    pub answer: fn(&Invocation, Perform<'_>) -> ToolOutput,
}

pub type Perform<'a> = &'a mut dyn FnMut(Operation) -> Result<Response>;

impl Tool {
    pub const fn new<P: Protocol>() -> Self {
        Self {
            name: P::NAME,
            program: P::PROGRAM,
            operations: P::OPERATIONS,
            variables: P::VARIABLES,
            framing: P::framing,
            answer: answer::<P>,
        }
    }
}

fn answer<P: Protocol>(invocation: &Invocation, perform: Perform<'_>) -> ToolOutput {
    let (parsed, operation) = P::decode(invocation);
    let name = (P::NAME != json::NAME).then_some(P::NAME);
    // A request that could not be read must not count as empty.
    let result = match &invocation.input_error {
        Some(error) => Err(error.clone()),
        None => operation.and_then(|operation| perform(operation.from_tool(name))),
    };
    P::encode(&parsed, result)
}

/// Name and value of `--name=value`; an option without `=` has its value in the next argument.
fn split_option(argument: &str) -> (&str, Option<&str>) {
    argument.split_once('=').map_or((argument, None), |(name, value)| (name, Some(value)))
}
