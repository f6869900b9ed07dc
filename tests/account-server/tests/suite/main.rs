//! Holds the account service to the description of the live ones, row by row.

mod api_tokens;
mod client;
mod command_line;
mod console;
mod device_login;
mod faults;
mod git;
mod guessing;
mod limits;
mod mail;
mod me;
mod microtica;
mod pages;
mod profiles;
mod refresh;
mod secrets;
mod sessions;
mod tour;
