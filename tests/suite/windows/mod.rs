//! The Windows program, under wine: what differs there. `.ci/platform windows` builds it and runs these tests.

mod console;
mod files;
mod keyring;
mod setup;
mod tools;

use crate::support::Home;
use crate::support::platform::is_windows;

/// A home for the Windows program.
fn home() -> Home {
    assert!(is_windows(), "these tests run by `.ci/platform windows`");
    Home::new()
}

/// A request that stores a credential for this URL.
fn credential(url: &str, secret: &str) -> String {
    serde_json::json!({ "url": url, "username": "ada", "secret": secret }).to_string()
}
