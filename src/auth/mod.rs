//! Selects the credential for a request, refreshes sessions, and changes stored credentials.

mod accounts;
mod engine;
pub mod fleet;
mod identity;
mod operations;
mod refresh;
mod resolve;
mod service_call;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use engine::{Engine, LIST_TIMEOUT, with_engine};
