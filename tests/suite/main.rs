//! The end-to-end tests: the real binary in a temporary home, against a real account service on loopback and the real
//! clients. One binary, so that they are linked once.

#![allow(clippy::disallowed_methods, reason = "the rules on variables and clocks are the helper's")]

mod support;

mod auth;
mod cli;
mod http;
mod project;
mod protocols;
mod store;
mod sys;
mod windows;
