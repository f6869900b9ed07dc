//! A moment in UTC, from `0001-01-01` to `9999-12-31`, as RFC 3339 in text. Reads no clock.

use time::format_description::well_known::{Rfc2822, Rfc3339};
use time::{Duration, OffsetDateTime, UtcDateTime};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(UtcDateTime);

impl Timestamp {
    /// Go writes `0001-01-01T00:00:00Z` for a time that was never set.
    pub const ZERO: Self = Self(time::macros::utc_datetime!(0001-01-01 00:00));

    /// The expiry of a token that does not expire, in a file that must have one: `9999-12-31T00:00:00Z`.
    pub const NEVER: Self = Self(time::macros::utc_datetime!(9999-12-31 00:00));

    /// Parses RFC 3339 with any offset and any number of fractional digits.
    pub fn parse(text: &str) -> Option<Self> {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok()?.checked_to_utc()?;
        // An offset can push the year out of the range of RFC 3339.
        (0..=9999).contains(&time.year()).then_some(Self(time))
    }

    /// Parses the date of an HTTP header, `Mon, 01 Jan 2026 12:00:00 GMT`.
    pub fn from_http(text: &str) -> Option<Self> {
        OffsetDateTime::parse(text, &Rfc2822).ok()?.checked_to_utc().map(Self)
    }

    /// From seconds since 1970. Values out of range become [`Timestamp::NEVER`] or [`Timestamp::ZERO`].
    pub fn from_unix(seconds: i64) -> Self {
        let limit = if seconds < 0 { Self::ZERO } else { Self::NEVER };
        UtcDateTime::from_unix_timestamp(seconds).map_or(limit, Self).max(Self::ZERO)
    }

    /// Seconds since 1970, rounded down.
    pub fn unix(self) -> i64 {
        self.0.unix_timestamp()
    }

    /// The nanoseconds that [`Timestamp::unix`] drops.
    pub fn nanosecond(self) -> u32 {
        self.0.nanosecond()
    }

    /// Negative if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0 - earlier.0
    }

    /// The sum, within the range.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let limit = if duration.is_negative() { Self::ZERO } else { Self::NEVER };
        let sum = self.0.checked_add(duration).map_or(limit, Self);
        sum.clamp(Self::ZERO.min(self), Self::NEVER.max(self))
    }

    /// The sum, within the range.
    #[must_use]
    pub fn plus_seconds(self, seconds: u64) -> Self {
        self.plus(Duration::seconds(i64::try_from(seconds).unwrap_or(i64::MAX)))
    }

    /// Whether it stands for "does not expire".
    pub fn is_never(self) -> bool {
        self.0.year() >= 9999
    }

    /// RFC 3339 in whole seconds, with `Z`: Bazel parses no fraction, and every other tool accepts this form.
    pub fn to_whole_seconds(self) -> String {
        Self::from_unix(self.unix()).to_string()
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_whole_seconds())
    }
}

impl From<std::time::SystemTime> for Timestamp {
    fn from(time: std::time::SystemTime) -> Self {
        Self(UtcDateTime::from(time))
    }
}

impl std::fmt::Display for Timestamp {
    /// RFC 3339 with `Z`, and a fraction if there is one.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A year between 0 and 9999 can always be written.
        f.write_str(&self.0.format(&Rfc3339).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_date_of_an_http_header_is_parsed() {
        let read = super::Timestamp::from_http("Thu, 01 Jan 2026 12:00:00 GMT").unwrap();
        assert_eq!(read.to_string(), "2026-01-01T12:00:00Z");
        assert_eq!(super::Timestamp::from_http("tomorrow"), None);
    }

    use super::Timestamp;
    use time::Duration;

    #[test]
    fn timestamps_of_go_round_trip() {
        for (text, written) in [
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
            ("2026-01-02T03:04:05.123456789+01:00", "2026-01-02T02:04:05.123456789Z"),
            ("2026-01-02T03:04:05-00:30", "2026-01-02T03:34:05Z"),
        ] {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), written);
        }
    }

    #[test]
    fn invalid_timestamps_are_rejected() {
        for text in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "9999-12-31T23:59:59-23:59",
            "0000-01-01T00:00:00+23:59",
        ] {
            assert!(
                Timestamp::parse(text).is_none_or(|time| time.to_string().len() >= 20),
                "{text}"
            );
        }
    }

    #[test]
    fn sums_stay_within_the_range_of_rfc_3339() {
        assert_eq!(Timestamp::NEVER.plus(Duration::MAX), Timestamp::NEVER);
        assert_eq!(Timestamp::ZERO.plus(Duration::MIN), Timestamp::ZERO);
        let long_ago = Timestamp::from_unix(0).plus(Duration::days(-365 * 3000));
        assert_eq!(long_ago, Timestamp::ZERO, "a year before Christ could not be written");
        assert_eq!(Timestamp::from_unix(i64::MAX), Timestamp::NEVER);
        assert_eq!(Timestamp::from_unix(i64::MIN), Timestamp::ZERO);
    }

    #[test]
    fn whole_seconds_drop_the_fraction() {
        let time = Timestamp::parse("2026-01-02T03:04:05.9Z").unwrap();
        assert_eq!(time.to_whole_seconds(), "2026-01-02T03:04:05Z");
    }
}
