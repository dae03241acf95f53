//! Durations, times and sizes as people write them, in `jobs.yaml` and on the command line.

use std::time::Duration;

use chrono::format::ParseErrorKind;
use chrono::{DateTime, Datelike, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};

use super::words::quoted;
use crate::model::After;

/// Durations are refused from here on: a hundred years.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How a date stands with a time of day.
const FORMATS: [&str; 4] = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];

/// No clock was ever set forward by more than this many minutes.
const LONGEST_GAP: i64 = 25 * 60;

/// Larger sizes were cut off, or meant otherwise: no disk holds them. In bytes.
pub(super) const LARGEST_SIZE: u64 = 1 << 60;

/// A run keeps at least so much of its output, in bytes: its head and its tail.
const SMALLEST_LOG: u64 = 4096;

/// A duration in whole milliseconds: `90s`, `10m`, `1h 30m`. The error says what is wrong with it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|_| format!("{} is no duration", quoted(text)))?;
    bounded(duration).ok_or_else(|| format!("{} is longer than 100 years", quoted(text)))
}

/// The duration in whole milliseconds, if it isn't too long.
pub(super) fn bounded(duration: Duration) -> Option<Duration> {
    let millis = || u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    (duration < LONGEST).then(|| Duration::from_millis(millis()))
}

/// A duration, a time as in RFC 3339, or a date in local time, with or without a time of day. The error says what is
/// wrong with it.
///
/// A local time that a change of the clocks repeats is the first of the two, and one that it leaves out is when they
/// were changed.
pub fn after(text: &str) -> Result<After, String> {
    after_in(text, &Local)
}

fn after_in<Z: TimeZone>(text: &str, zone: &Z) -> Result<After, String> {
    if let Ok(delay) = humantime::parse_duration(text) {
        let delay = bounded(delay).ok_or_else(|| format!("{} is longer than 100 years", quoted(text)))?;
        return Ok(After::Delay(delay));
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return in_range(time.to_utc(), text);
    }
    let mut impossible = false;
    let midnight = NaiveDate::parse_from_str(text, "%Y-%m-%d").map(|date| date.and_time(NaiveTime::MIN));
    let times = FORMATS.iter().map(|format| NaiveDateTime::parse_from_str(text, format));
    for found in std::iter::once(midnight).chain(times) {
        match found {
            Ok(clock) => return in_range(when(clock, zone), text),
            Err(error) => {
                impossible |= matches!(error.kind(), ParseErrorKind::OutOfRange | ParseErrorKind::Impossible);
            }
        }
    }
    let text = quoted(text);
    Err(if impossible {
        format!("there is no such date or time as {text}")
    } else {
        format!("{text} is neither a duration nor a date")
    })
}

/// Not before there were such clocks, and not so far off that nanoseconds can't be counted.
fn in_range(time: DateTime<Utc>, text: &str) -> Result<After, String> {
    let known = (1970..2262).contains(&time.year());
    known.then_some(After::Time(time)).ok_or_else(|| format!("{} is out of range", quoted(text)))
}

/// When the clocks of a zone first show at least this time.
fn when<Z: TimeZone>(clock: NaiveDateTime, zone: &Z) -> DateTime<Utc> {
    let first = |clock: NaiveDateTime| zone.from_local_datetime(&clock).earliest();
    // Clocks are set forward to a whole minute.
    let minute = clock - TimeDelta::seconds(i64::from(chrono::Timelike::second(&clock)));
    let behind = || (1..=LONGEST_GAP).find_map(|minutes| first(minute + TimeDelta::minutes(minutes)));
    first(clock).or_else(behind).map_or_else(|| clock.and_utc(), |time| time.to_utc())
}

/// A number of bytes: `16MiB`, `500kB`, `4096`. The error says what is wrong with it.
pub fn size(text: &str) -> Result<u64, String> {
    let size: bytesize::ByteSize = text.parse().map_err(|_| format!("{} is no size", quoted(text)))?;
    Some(size.as_u64()).filter(|size| *size <= LARGEST_SIZE).ok_or_else(|| format!("{} is too large", quoted(text)))
}

/// How much output is kept of a run, in bytes. The error says what is wrong with it.
pub fn log_limit(text: &str) -> Result<u64, String> {
    enough_log(size(text)?)
}

/// The limit, if it leaves enough to be of use.
pub(super) fn enough_log(bytes: u64) -> Result<u64, String> {
    let least = format!("a run keeps at least {SMALLEST_LOG} bytes of its output");
    if bytes < SMALLEST_LOG { Err(least) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use chrono::{FixedOffset, MappedLocalTime};

    use super::*;

    /// A zone one hour ahead in winter and two from 2026-03-29 01:00 to 2026-10-25 01:00, in UTC.
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
        let time = |text: &str| match after_in(text, &Berlin) {
            Ok(After::Time(time)) => time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
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
