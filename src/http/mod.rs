//! The services that this program asks over the network.

pub mod client;
pub mod microtica;
pub mod mycli;
pub mod oauth;
pub use client::*;
