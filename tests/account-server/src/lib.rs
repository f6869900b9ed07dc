//! The account service that the tests and the tour run against: mycli's API, Microtica's API and console,
//! and git hosting.
//!
//! A request comes in at `connection`, which hands it to `routes`. On its way it passes the journal and the faults
//! of `testing`, where tests asked for them. Then a handler in `mycli`, `microtica`, `console`, `pages` or `git_host` decides,
//! with the tables of `store` and the rest of what `service` holds, and answers or returns a `refusal`.
//!
//! ```
//! use account_server::{Server, Settings};
//!
//! let settings = Settings { for_tests: true, ..Settings::default() };
//! let server = Server::start(settings)?;
//! let session = server.session("ada@example.com")?;
//! assert!(server.url().starts_with("http://127.0.0.1:"));
//! # drop(session);
//! # anyhow::Ok(())
//! ```
//!
//! To add a route: its handler in the file of its subject, and a line in that module's `routes`.

mod clock;
mod connection;
mod console;
mod database;
mod extract;
pub mod git_host;
mod hs256;
mod jwt;
mod login;
mod mail;
mod microtica;
mod mycli;
mod pages;
mod product;
mod refusal;
mod routes;
mod secret;
mod server;
mod service;
mod settings;
mod store;
mod testing;

pub use mail::Mail;
pub use microtica::keys::{MadeKey, NewKey};
pub use microtica::projects::{NewProject, Project};
pub use microtica::role::Role;
pub use mycli::api_tokens::NewToken;
pub use server::Server;
pub use settings::{Settings, Storage};
pub use testing::accounts::Session;
pub use testing::faults::Fault;
pub use testing::journal::{Authorization, Recorded};
