//! Which credential answers, and that no refresh loses a login.

mod accounts;
mod at_once;
mod crashes;
mod crowds;
mod faults;
mod get;
mod long_use;
mod mishaps;
mod refresh;
