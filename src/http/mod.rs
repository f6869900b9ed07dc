//! The services that this program asks over the network.

mod client;
pub mod microtica;
pub mod mycli;
pub mod oauth;
mod token_endpoints;

pub use client::{ApiError, Client, Network, Result, failed};
pub use token_endpoints::{HttpEndpoints, Renewal, RenewalError, TokenEndpoints};
