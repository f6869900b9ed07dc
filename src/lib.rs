//! A single credential helper for git, Docker, Cargo and others. This page is the map of the code.
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

/// The example of `protocol/ADDING-A-TOOL.md` is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../protocol/ADDING-A-TOOL.md")]
pub struct AddingATool;
