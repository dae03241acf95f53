//! Decides which time to trust when old jobs and runs are pruned: a clock that is ahead must not delete what is still kept.

use std::fs;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock;

/// How far the system clock may be ahead of the time that has passed since the last pruning in the same boot.
const TOLERANCE: TimeDelta = TimeDelta::minutes(10);
/// How much time may have passed at most since the last pruning in another boot, or on another machine.
const MAX_UNSEEN: TimeDelta = TimeDelta::days(7);

/// The time by the system clock and by the uptime, which can't be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClockReading {
    /// The id of the boot; empty where it is unknown.
    boot: String,
    uptime: Duration,
    time: DateTime<Utc>,
}

impl ClockReading {
    /// Reads both clocks.
    pub(super) fn now() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let uptime =
            read("/proc/uptime").split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or_default();
        let boot = read("/proc/sys/kernel/random/boot_id").trim().to_owned();
        Self { boot, uptime: Duration::from_secs(uptime), time: clock::now() }
    }

    /// The time by the system clock.
    pub(super) fn time(&self) -> DateTime<Utc> {
        self.time
    }

    /// Parses what [`record`](Self::record) has written. If that was an earlier version, which wrote nothing, only the
    /// time is known.
    pub(super) fn parse(record: &str, modified: DateTime<Utc>) -> Self {
        let fields: Vec<&str> = record.split_whitespace().collect();
        let parsed = match fields[..] {
            [boot, uptime, time] => uptime.parse().ok().zip(time.parse().ok()).and_then(|(uptime, time)| {
                let time = DateTime::from_timestamp(time, 0)?;
                Some(Self { boot: boot.to_owned(), uptime: Duration::from_secs(uptime), time })
            }),
            _ => None,
        };
        parsed.unwrap_or_else(|| Self { boot: String::new(), uptime: Duration::ZERO, time: modified })
    }

    /// The record of a pruning at a trusted time.
    pub(super) fn record(&self, trusted: DateTime<Utc>) -> String {
        format!("{} {} {}\n", self.boot, self.uptime.as_secs(), trusted.timestamp())
    }

    /// The time up to which this reading can be trusted after that of the last pruning. None if the clock is behind it.
    pub(super) fn trusted_after(&self, last: &Self) -> Option<DateTime<Utc>> {
        let passed = if self.boot == last.boot && !self.boot.is_empty() {
            TimeDelta::from_std(self.uptime.saturating_sub(last.uptime)).ok()?.checked_add(&TOLERANCE)?
        } else {
            MAX_UNSEEN
        };
        let latest = last.time.checked_add_signed(passed)?;
        (self.time >= last.time).then(|| self.time.min(latest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn reading(boot: &str, uptime: u64, days: i64) -> ClockReading {
        let time = DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::days(days);
        ClockReading { boot: boot.to_owned(), uptime: Duration::from_secs(uptime), time }
    }

    #[test]
    fn time_that_has_passed_is_trusted() {
        let last = reading("a", DAY, 0);
        assert_eq!(reading("a", 3 * DAY, 2).trusted_after(&last), Some(reading("a", 0, 2).time));
        assert_eq!(reading("b", 10, 5).trusted_after(&last), Some(reading("b", 0, 5).time), "after a boot");
    }

    #[test]
    fn a_jump_is_not_trusted() {
        let last = reading("a", DAY, 0);
        assert_eq!(reading("a", 2 * DAY, 100).trusted_after(&last), Some(reading("a", 0, 1).time + TOLERANCE));
        assert_eq!(reading("b", 10, 100).trusted_after(&last), Some(last.time + MAX_UNSEEN), "nor after a boot");
        assert_eq!(reading("a", 2 * DAY, -1).trusted_after(&last), None, "nor a clock that is behind");
    }

    #[test]
    fn a_record_can_be_read_back() {
        let reading = reading("a", DAY, 3);
        assert_eq!(ClockReading::parse(&reading.record(reading.time), DateTime::UNIX_EPOCH), reading);
        assert_eq!(ClockReading::parse("", DateTime::UNIX_EPOCH).time, DateTime::UNIX_EPOCH, "of an earlier version");
    }
}
