//! The suite of the account service.
fn main() {}
