//! The choice of the credential, and a refresh that loses no session.

mod accounts;
mod at_once;
mod crashes;
mod crowds;
mod faults;
mod fleet;
mod get;
mod identity;
mod identity_cache;
mod identity_real;
mod long_use;
mod mishaps;
mod refresh;
