//! The one clock of the service, which tests can move. Never stops and never goes backwards by itself.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment in milliseconds since 1970, from then to the end of the year 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(i64);

impl Timestamp {
    const LAST: i64 = 253_402_300_799_999;

    fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(0, Self::LAST))
    }

    /// The moment that is `span` later, or the last one there is.
    pub(crate) fn after(self, span: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(millis(span)))
    }

    /// The moment that is `span` earlier, or the first one there is.
    pub(crate) fn before(self, span: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(millis(span)))
    }

    /// The same, where it is before the end of the year 9999.
    pub(crate) fn checked_after(self, span: Duration) -> Option<Self> {
        let later = self.0.checked_add(millis(span))?;
        (later < Self::LAST).then_some(Self(later))
    }

    /// Whole seconds since 1970, as JWTs count.
    pub(crate) fn seconds(self) -> i64 {
        self.0 / 1000
    }

    /// Whole seconds from `self` to `later`, begun ones counted; 0 where it is past.
    pub(crate) fn seconds_until(self, later: Self) -> i64 {
        (later.0 - self.0).max(0).div_euclid(1000) + i64::from((later.0 - self.0).max(0) % 1000 > 0)
    }
}

/// As people read it.
impl Timestamp {
    /// The day, as `2026-11-23`.
    pub(crate) fn day(self) -> String {
        self.to_string().chars().take(10).collect()
    }

    /// The minute, as `2026-11-23 22:48 UTC`.
    pub(crate) fn minute(self) -> String {
        let text = self.to_string().replacen('T', " ", 1);
        format!("{} UTC", text.chars().take(16).collect::<String>())
    }

    /// The second, as `2026-11-23 22:48:05`.
    pub(crate) fn second(self) -> String {
        self.to_string().replacen('T', " ", 1).chars().take(19).collect()
    }

    /// The end of a day that is written like `2026-11-23`.
    pub(crate) fn end_of_day(text: &str) -> Option<Self> {
        let start: Self = format!("{text}T00:00:00Z").parse().ok()?;
        start.checked_after(Duration::from_secs(24 * 60 * 60))
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000);
        let text = moment.ok().and_then(|moment| moment.format(&Rfc3339).ok());
        out.write_str(text.as_deref().unwrap_or_default())
    }
}

impl FromStr for Timestamp {
    type Err = time::error::Parse;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let moment = OffsetDateTime::parse(text, &Rfc3339)?;
        Ok(Self::from(moment))
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(moment: OffsetDateTime) -> Self {
        let millis = moment.unix_timestamp_nanos() / 1_000_000;
        Self::from_millis(i64::try_from(millis).unwrap_or(Self::LAST))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self::from_millis)
    }
}

/// Tells the time of the system and what tests have added to it.
#[derive(Default)]
pub(crate) struct Clock {
    ahead: AtomicI64,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn now(&self) -> Timestamp {
        let system = Timestamp::from(OffsetDateTime::now_utc());
        Timestamp::from_millis(system.0.saturating_add(self.ahead.load(Ordering::Relaxed)))
    }

    /// Goes `span` ahead.
    pub(crate) fn advance(&self, span: Duration) {
        let added = |ahead: i64| Some(ahead.saturating_add(millis(span)));
        let _ = self.ahead.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_begun_second_counts() {
        let start = Timestamp(1_000);
        assert_eq!(start.seconds_until(Timestamp(2_001)), 2);
        assert_eq!(start.seconds_until(Timestamp(3_000)), 2);
        assert_eq!(start.seconds_until(Timestamp(1)), 0, "what is past has no seconds left");
    }

    #[test]
    fn people_read_days_and_minutes() {
        let moment: Timestamp = "2026-11-23T22:48:05.25Z".parse().unwrap();
        assert_eq!(moment.day(), "2026-11-23");
        assert_eq!(moment.minute(), "2026-11-23 22:48 UTC");
        assert_eq!(moment.second(), "2026-11-23 22:48:05");
        assert_eq!(Timestamp::end_of_day("2026-11-23").unwrap().minute(), "2026-11-24 00:00 UTC");
        for text in ["", "2026-02-30", "23.11.2026", "2026-11-23T00:00:00Z", "9999-12-31"] {
            assert_eq!(
                Timestamp::end_of_day(text),
                None,
                "{text:?} is no day with another after it"
            );
        }
    }

    #[test]
    fn no_span_leads_out_of_the_calendar() {
        let start = Timestamp(0);
        assert_eq!(start.after(Duration::MAX), Timestamp(Timestamp::LAST));
        assert_eq!(start.checked_after(Duration::MAX), None);
        assert!(start.after(Duration::MAX).to_string().starts_with("9999-12-31T23:59:59"));
    }
}
