//! A single credential helper for git, Docker, Cargo, Bazel, kubectl, Terraform, Go, pnpm and pip. This page is the map
//! of the code.
//!
//! A tool calls this program in its own protocol. The program finds a credential in a variable, the keyring or a file,
//! refreshes an expired session, and answers in the tool's protocol. People call it to log in and to connect tools.
//!
//! # One `git get`
//!
//! 1. `src/main.rs` starts the process (`src/start.rs` on Linux with glibc). [`run::dispatch`] selects the [`Tool`] by
//!    the name of the program or its first argument. If it selects none, [`cli::run`] parses the line: a person's
//!    command, or an invalid one.
//! 2. [`with_engine`] builds the stores, the endpoints, the locks and the clock. None of them connects before its first
//!    use. [`Context`] has the environment, the paths and the configuration.
//! 3. [`run::run`] reads as much of standard input as belongs to the call. `protocols/git.rs` decodes it, without I/O,
//!    to an [`Operation`] with a [`Target`]. The target's [`Origin`] is the parsed scheme, host and port.
//! 4. [`Engine::get`] (`auth/resolve.rs`) finds the provider that owns the origin. It returns the first of: the token
//!    in the provider's variable ([`store::env`]), the token for the identity of a job (`auth/identity.rs`), a
//!    credential stored for the URL ([`store::url_credentials`]), the session of the selected account
//!    ([`store::session`]). For a host that no provider owns, it returns only a stored credential.
//! 5. A session that is due is refreshed by `auth/refresh/state.rs`, the one place that spends a refresh token: take
//!    the lock, read the stores again, prepare the endpoint and the write, send one request, save. A process that does
//!    not get the lock returns the token if it has not expired, and waits for the new one otherwise. A session in a
//!    store that other machines share is refreshed by `auth/fleet`, whose rules `tests/fleet-model` explores.
//! 6. `protocols/git.rs` encodes the result to a [`ToolOutput`]. [`run::write`] writes it, and the
//!    process exits with its status.
//!
//! # The rooms
//!
//! Each room answers one question. A room uses only rooms below it:
//!
//! ```text
//! main → cli → protocols → auth → store, http → config → sys → model → error
//! ```
//!
//! | room | question |
//! |---|---|
//! | [`cli`] | What do people see? One file per command. |
//! | [`protocols`] | How does each tool say it? One pure file per tool; [`protocols::run`] has the I/O. |
//! | [`auth`] | Which credential is the right answer? The order of the sources, accounts, refresh. |
//! | [`store`] | Where is it stored? Variables, keyring, files. |
//! | [`http`] | Which service is called over the network? |
//! | [`config`] | What did the user configure? |
//! | [`sys`] | What does the operating system do for this program? |
//! | [`model`] | What are the terms? Types without I/O. |
//! | [`error`] | What went wrong? |
//!
//! # Reading order
//!
//! `main`; `protocols/{mod,run,git}`; `model/{request,target,origin,credential,provider}`; `auth/{engine,resolve}`,
//! `auth/refresh/{mod,state}`; `config/context`; `store/{mod,session,url_credentials,file,env}`; `sys/atomic_file`.
//!
//! # Where to add something
//!
//! - A tool: a file in `protocols/` and a line in [`protocols::ALL`]; see `protocol/ADDING-A-TOOL.md`.
//! - A provider: `config.toml` is enough for API keys and OAuth 2. A well-known OAuth 2 service: [`model::known::ALL`].
//! - Another kind of login: a variant of [`model::LoginKind`], its API in [`http`], its flow in `cli/login/`.
//! - A command: a file in `cli/` and a variant of the enum in `cli/mod.rs`.
//!
//! [`run::dispatch`]: protocols::run::dispatch
//! [`run::run`]: protocols::run::run
//! [`run::write`]: protocols::run::write
//! [`Tool`]: protocols::Tool
//! [`with_engine`]: auth::with_engine
//! [`Context`]: config::Context
//! [`Engine::get`]: auth::Engine::get
//! [`Operation`]: model::Operation
//! [`Origin`]: model::Origin
//! [`Target`]: model::Target
//! [`ToolOutput`]: model::ToolOutput

#![forbid(unsafe_code)]

pub mod auth;
pub mod cli;
pub mod config;
pub mod error;
pub mod http;
pub mod model;
pub mod protocols;
pub mod store;
pub mod sys;

/// Compiles and runs the example of `protocol/ADDING-A-TOOL.md`.
#[cfg(doctest)]
#[doc = include_str!("../protocol/ADDING-A-TOOL.md")]
pub struct AddingATool;
