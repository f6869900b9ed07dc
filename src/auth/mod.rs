//! Which credential is the right answer to a request.

pub mod accounts;
pub mod context;
pub mod operations;
pub mod refresh;
pub mod resolve;
pub mod service_call;
