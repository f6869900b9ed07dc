//! The commands for people.

mod api_keys;
mod api_tokens;
mod ci;
mod doctor;
mod exec_and_export;
mod login;
mod login_service;
mod manual;
mod packages;
mod pages;
mod questions;
mod settings;
mod setup;
mod setup_files;
mod setup_matrix;
mod setup_random;
mod setup_rules;
mod status;
