//! The time of day, the time that passes, and waiting: a test has a clock of its own and does not wait.

use std::time::{Duration, Instant};

use super::os;
use crate::model::Timestamp;

pub trait Clock {
    fn now(&self) -> Timestamp;

    fn instant(&self) -> Instant;

    /// The time since some moment, the same for all processes of the machine. Goes on while the machine is suspended.
    fn boot(&self) -> Duration;

    fn sleep(&self, duration: Duration);
}

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

pub fn now() -> Timestamp {
    SystemClock.now()
}
