//! Each tool, by transcripts and with its real client.

mod account_json;
mod bad_input;
mod bazel;
pub(crate) mod cargo;
pub(crate) mod docker;
mod docker_sdk;
mod git;
mod git_callers;
mod goauth;
pub(crate) mod hosts;
mod job;
mod kube_apiserver;
mod kubectl;
mod one_login;
pub(crate) mod pnpm;
pub(crate) mod python;
mod terraform;
pub(crate) mod transcripts;
