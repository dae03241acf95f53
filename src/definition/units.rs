//! Parses durations, times and sizes, in `jobs.yaml` and on the command line.

use std::time::Duration;

use chrono::format::ParseErrorKind;
use chrono::{DateTime, Datelike, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};

use super::spelling::quoted;
use crate::model::NotBefore;
use crate::text::{self, DurationError};

/// Durations must be shorter than this: 100 years.
const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The formats of a date with a time of day.
const DATE_TIME_FORMATS: [&str; 4] = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];

/// The longest gap, in minutes, that a change of the clocks leaves in local time.
const MAX_CLOCK_GAP_MINUTES: i64 = 25 * 60;

/// The largest size. Larger values are mistakes.
pub(super) const MAX_SIZE_BYTES: u64 = 1 << 60;

/// The smallest log limit. A log keeps its head and its tail.
const MIN_LOG_BYTES: u64 = 4096;

/// Parses a duration such as `90s`, `10m` or `1h 30m`, in whole milliseconds. The error is a message for the user.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = text::parse_duration(text).map_err(|error| match error {
        DurationError::Invalid => format!("invalid duration {}", quoted(text)),
        DurationError::AmbiguousUnit => format!("{}: {error}", quoted(text)),
    })?;
    to_whole_millis(duration).ok_or_else(|| format!("{} is longer than 100 years", quoted(text)))
}

/// Truncates a duration to whole milliseconds. Returns `None` if it is too long.
pub(super) fn to_whole_millis(duration: Duration) -> Option<Duration> {
    let millis = || u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    (duration < MAX_DURATION).then(|| Duration::from_millis(millis()))
}

/// Parses a duration, an RFC 3339 time, or a date in local time with an optional time of day. The error is a message
/// for the user.
///
/// A local time that occurs twice because the clocks change means the first occurrence. One that is skipped means the
/// instant of the change.
pub fn parse_after(text: &str) -> Result<NotBefore, String> {
    parse_after_in(text, &Local)
}

fn parse_after_in<Z: TimeZone>(text: &str, zone: &Z) -> Result<NotBefore, String> {
    if let Err(error @ DurationError::AmbiguousUnit) = text::parse_duration(text) {
        return Err(format!("{}: {error}", quoted(text)));
    }
    if let Ok(delay) = text::parse_duration(text) {
        let delay = to_whole_millis(delay).ok_or_else(|| format!("{} is longer than 100 years", quoted(text)))?;
        return Ok(NotBefore::Delay(delay));
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return in_range(time.to_utc(), text);
    }
    let mut impossible = false;
    let midnight = NaiveDate::parse_from_str(text, "%Y-%m-%d").map(|date| date.and_time(NaiveTime::MIN));
    let times = DATE_TIME_FORMATS.iter().map(|format| NaiveDateTime::parse_from_str(text, format));
    for found in std::iter::once(midnight).chain(times) {
        match found {
            Ok(clock) => return in_range(earliest_instant(clock, zone), text),
            Err(error) => {
                impossible |= matches!(error.kind(), ParseErrorKind::OutOfRange | ParseErrorKind::Impossible);
            }
        }
    }
    let text = quoted(text);
    Err(if impossible {
        format!("no such date or time: {text}")
    } else {
        format!("invalid duration or date {text}; expected `10m`, `2026-11-22 18:00`, `2026-11-22` or RFC 3339")
    })
}

/// Rejects times before 1970 and times that don't fit into a nanosecond count.
fn in_range(time: DateTime<Utc>, text: &str) -> Result<NotBefore, String> {
    let known = (1970..2262).contains(&time.year());
    known.then_some(NotBefore::Time(time)).ok_or_else(|| format!("{} is out of range", quoted(text)))
}

/// Returns the first instant at which local clocks show at least this time.
fn earliest_instant<Z: TimeZone>(clock: NaiveDateTime, zone: &Z) -> DateTime<Utc> {
    let first = |clock: NaiveDateTime| zone.from_local_datetime(&clock).earliest();
    // Clocks move forward to a whole minute.
    let minute = clock - TimeDelta::seconds(i64::from(chrono::Timelike::second(&clock)));
    let after_gap = || (1..=MAX_CLOCK_GAP_MINUTES).find_map(|minutes| first(minute + TimeDelta::minutes(minutes)));
    first(clock).or_else(after_gap).map_or_else(|| clock.and_utc(), |time| time.to_utc())
}

/// Parses a number of bytes such as `16MiB`, `500kB` or `4096`. The error is a message for the user.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let size: bytesize::ByteSize = text.parse().map_err(|_| format!("invalid size {}", quoted(text)))?;
    Some(size.as_u64()).filter(|size| *size <= MAX_SIZE_BYTES).ok_or_else(|| format!("{} is too large", quoted(text)))
}

/// Parses a log limit in bytes. The error is a message for the user.
pub fn parse_log_limit(text: &str) -> Result<u64, String> {
    check_log_limit(parse_size(text)?)
}

/// Rejects a log limit that is too small to be useful.
pub(super) fn check_log_limit(bytes: u64) -> Result<u64, String> {
    let message = format!("a log limit must be at least {MIN_LOG_BYTES} bytes");
    if bytes < MIN_LOG_BYTES { Err(message) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use chrono::{FixedOffset, MappedLocalTime};

    use super::*;

    /// UTC+1 in winter and UTC+2 from 2026-03-29 01:00 to 2026-10-25 01:00 UTC.
    #[derive(Clone)]
    struct Berlin;

    const SUMMER: [&str; 2] = ["2026-03-29T01:00", "2026-10-25T01:00"];

    fn hours(hours: i32) -> FixedOffset {
        FixedOffset::east_opt(hours * 3600).unwrap()
    }

    impl TimeZone for Berlin {
        type Offset = FixedOffset;

        fn from_offset(_: &FixedOffset) -> Self {
            Self
        }

        fn offset_from_local_date(&self, date: &NaiveDate) -> MappedLocalTime<FixedOffset> {
            self.offset_from_local_datetime(&date.and_time(NaiveTime::MIN))
        }

        fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<FixedOffset> {
            let fits = |ahead: i32| self.offset_from_utc_datetime(&(*local - hours(ahead))) == hours(ahead);
            match (fits(2), fits(1)) {
                (true, true) => MappedLocalTime::Ambiguous(hours(2), hours(1)),
                (true, false) => MappedLocalTime::Single(hours(2)),
                (false, true) => MappedLocalTime::Single(hours(1)),
                (false, false) => MappedLocalTime::None,
            }
        }

        fn offset_from_utc_date(&self, date: &NaiveDate) -> FixedOffset {
            self.offset_from_utc_datetime(&date.and_time(NaiveTime::MIN))
        }

        fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> FixedOffset {
            let [from, to] = SUMMER.map(|time| NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H:%M").unwrap());
            hours(if (from..to).contains(utc) { 2 } else { 1 })
        }
    }

    #[test]
    fn a_date_is_in_local_time() {
        let time = |text: &str| match parse_after_in(text, &Berlin) {
            Ok(NotBefore::Time(time)) => time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(time("2026-11-22"), "2026-11-21T23:00:00Z");
        assert_eq!(time("2026-07-01 18:00"), "2026-07-01T16:00:00Z");
        assert_eq!(time("2026-07-01T18:00:30"), "2026-07-01T16:00:30Z");
        assert_eq!(time("2026-11-22T18:00:00-05:00"), "2026-11-22T23:00:00Z");
        assert_eq!(time("2026-11-22T18:00:00Z"), "2026-11-22T18:00:00Z");

        assert_eq!(time("2026-10-25 02:30"), "2026-10-25T00:30:00Z", "the first time that the clocks show it");
        assert_eq!(time("2026-10-25 03:00"), "2026-10-25T02:00:00Z");
        for left_out in ["2026-03-29 02:00", "2026-03-29 02:30:15", "2026-03-29 03:00"] {
            assert_eq!(time(left_out), "2026-03-29T01:00:00Z", "the clocks go from 2 to 3");
        }
    }
}
