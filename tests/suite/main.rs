//! The end-to-end tests: the real binary in a temporary home, against a real account service on loopback and the real
//! clients. One binary, so that they are linked once.

#![allow(clippy::disallowed_methods, reason = "the rules on variables and clocks are the helper's")]

mod support;

mod account_json;
mod accounts;
mod api_keys;
mod api_tokens;
mod at_once;
mod bad_input;
mod bazel;
mod cargo;
mod children;
mod ci;
mod crashes;
mod crowds;
mod docker;
mod docker_sdk;
mod doctor;
mod documents;
mod exec_and_export;
mod faults;
mod files;
mod fuzz;
mod get;
mod git;
mod git_callers;
mod goauth;
mod hosts;
mod keyring;
mod keyring_edge;
mod kubectl;
mod leaks;
mod login;
mod long_use;
mod manual;
mod mishaps;
mod oauth;
mod oauth_hostile;
mod packages;
mod pages;
mod pnpm;
mod promises;
mod python;
mod questions;
mod redirects;
mod refresh;
mod rooms;
mod roots;
mod session_file;
mod settings;
mod setup;
mod start;
mod stored_by_0_1_0;
mod terraform;
mod transcripts;
