//! The time of day, the time that passes, and waiting: a test has a clock of its own and does not wait.

use std::time::{Duration, Instant};

use super::os;
use crate::model::Timestamp;

pub trait Clock {
    /// The time of day, by this machine.
    fn now(&self) -> Timestamp;

    /// A point in time that never goes back.
    fn instant(&self) -> Instant;

    /// The time that has passed since some moment, the same one for every process of this machine. It goes on while the
    /// machine is suspended.
    fn boot(&self) -> Duration;

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

    fn boot(&self) -> Duration {
        os::boot_time()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// The time of day, by this machine.
pub fn now() -> Timestamp {
    SystemClock.now()
}
