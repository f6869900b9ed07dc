//! The time of day, the time that passes, and waiting: a test has a clock of its own and does not wait.

use std::time::{Duration, Instant};

use crate::model::Timestamp;

pub trait Clock {
    /// The time of day, by this machine.
    fn now(&self) -> Timestamp;

    /// A point in time that never goes back.
    fn instant(&self) -> Instant;

    fn sleep(&self, duration: Duration);
}

/// The clock of this machine.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    fn now(&self) -> Timestamp {
        Timestamp::from(std::time::SystemTime::now())
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// The time of day, by this machine.
pub fn now() -> Timestamp {
    SystemClock.now()
}
