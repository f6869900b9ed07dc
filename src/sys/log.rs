//! What was looked at and why, on standard error, for whoever sets `MY_LOG=debug`. Never a secret: hosts, places, statuses
//! and reasons alone. Unset, it costs the look at that variable.

use std::io::Write as _;
use std::time::Instant;

use crate::error::sanitize;
use crate::sys::env::Environment;

/// Whether anybody wants to know, and since when.
#[derive(Clone, Copy)]
pub struct Trace(Option<Instant>);

impl Trace {
    /// As `MY_LOG` says.
    pub fn of(environment: &Environment) -> Self {
        let is_wanted =
            environment.get("MY_LOG").is_some_and(|level| level.eq_ignore_ascii_case("debug"));
        Self(is_wanted.then(Instant::now))
    }

    /// Tells it at once, so that the last line says what is being waited for.
    pub fn say(self, what: impl FnOnce() -> String) {
        if let Self(Some(began)) = self {
            let _ = writeln!(
                std::io::stderr(),
                "debug: {:>6} ms: {}",
                began.elapsed().as_millis(),
                sanitize(&what())
            );
        }
    }
}
