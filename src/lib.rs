//! One program that any tool asks for a token.

pub mod account;
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
pub mod paths;
pub mod private_file;
pub mod provider;
pub mod refresh;
pub mod reply;
pub mod resolve;
pub mod secret;
pub mod serve;
pub mod stores;
pub mod target;
pub mod timestamp;
pub mod world;
