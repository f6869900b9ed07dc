//! The time of day, asked in this one place.

use crate::model::timestamp::Timestamp;

/// Now, by this machine's clock.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Timestamp {
    Timestamp::from(std::time::SystemTime::now())
}
