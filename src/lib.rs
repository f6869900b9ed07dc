//! One program that any tool asks for a token. This page is the map of the code.
//!
//! # The life of one request
//!
//! git runs `git-credential-my get`. [`call`] sees by the name which [adapter](adapters::ALL) is meant and hands over to
//! [`serve`], which reads standard input as far as it belongs to the call. The adapter [`git`](adapters::git) decodes it
//! into a [`Request`](reply::Request). [`resolve`] looks for the credential: whose host is it, is the variable set, is a
//! login stored for that URL, is there a session, and is it fresh; a stale one is renewed by [`refresh`]. The adapter
//! encodes what was found, or the [`Error`](error::Error), and `main` writes it and ends the process.
//!
//! # The layers
//!
//! An arrow means "may use", and nothing points back.
//!
//! ```text
//! main → call → cli, serve → resolve, refresh, keep, account → stores, api, lock, clock → words
//!                     serve → adapters → words
//! ```
//!
//! - *words*, pure: [`secret`], [`timestamp`], [`credential`], [`target`], [`provider`], [`reply`], [`error`];
//!   [`json`] and [`jwt`] say what may be told of a text that holds secrets
//! - [`adapters`], pure: one file a protocol, `decode` and `encode`
//! - *edges*: [`stores`] (variable, keyring, file; in them sessions, logins, and what was handed out last), [`api`] (HTTP, one file a service),
//!   [`lock`], [`private_file`], [`paths`], [`environment`], [`clock`], [`memory`], [`signals`], [`configuration`], [`trace`]; [`world`] holds them together
//! - *rules*: [`resolve`] is the order in which the places are asked; [`refresh`] is the only place that redeems a refresh
//!   token; [`keep`] is what `store` and `erase` do; [`accounts`] says which of several logins answers;
//!   [`account`] calls a service on behalf of whoever is logged in
//! - *wiring*: [`serve`] for tools, [`cli`] for people (one file a verb), [`call`] to tell them apart; `main` writes the
//!   answer, and then lets [`refresh`] keep a login alive that is seldom used
//!
//! # Where to add
//!
//! - a tool: a file below `adapters/`, a line in [`adapters::ALL`], its transcripts in `protocol/`, its folder in
//!   `integrations/`; `protocol/ADDING-A-TOOL.md` shows it with an example. Where `setup` can connect it: a file below
//!   `cli/setup/`, and a line in its table, which `doctor` goes by too
//! - a provider: configuration alone (`protocol/OAUTH.md`), or a descriptor like [`provider::Provider::MYCLI`]; one that
//!   many people log in to by OAuth 2 is a line of data in [`provider::known`]
//! - an account verb: a file below `cli/`, a line in its `Verb`

#![forbid(unsafe_code)]

pub mod account;
pub mod accounts;
pub mod adapters;
pub mod api;
pub mod call;
pub mod cli;
pub mod clock;
pub mod configuration;
pub mod credential;
pub mod environment;
pub mod error;
pub mod json;
pub mod jwt;
pub mod keep;
pub mod lock;
pub mod memory;
pub mod paths;
pub mod private_file;
pub mod provider;
pub mod refresh;
pub mod reply;
pub mod resolve;
pub mod secret;
pub mod serve;
pub mod signals;
pub mod stores;
pub mod target;
pub mod timestamp;
pub mod trace;
pub mod world;

/// The example of `protocol/ADDING-A-TOOL.md` is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../protocol/ADDING-A-TOOL.md")]
pub struct AddingATool;
