//! The debug log (`MY_LOG=debug`) on standard error: hosts, stores, statuses and reasons, never a secret.

use std::io::Write as _;
use std::time::Instant;

use crate::error::sanitize;
use crate::sys::env::Environment;

pub trait Log {
    /// Writes the message at once: the last line names the current action.
    fn debug(&self, message: &dyn Fn() -> String);
}

/// Standard error, where `MY_LOG` is `debug`.
#[derive(Clone, Copy, Default)]
pub struct StderrLog {
    started: Option<Instant>,
}

impl StderrLog {
    pub fn from_env(environment: &Environment) -> Self {
        let level = environment.get("MY_LOG");
        let is_debug = level.is_some_and(|level| level.eq_ignore_ascii_case("debug"));
        Self { started: is_debug.then(Instant::now) }
    }
}

impl Log for StderrLog {
    fn debug(&self, message: &dyn Fn() -> String) {
        if let Some(started) = self.started {
            let elapsed = started.elapsed().as_millis();
            let _ = writeln!(std::io::stderr(), "debug: {elapsed:>6} ms: {}", sanitize(&message()));
        }
    }
}
