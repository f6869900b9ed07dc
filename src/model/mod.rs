//! Plain types without I/O.

pub mod credential;
pub mod json;
pub mod jwt;
pub mod origin;
pub mod provider;
pub mod request;
pub mod secret;
pub mod timestamp;
