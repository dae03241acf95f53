//! How busy a queue was over time, in a bounded number of buckets that get wider as the time gets longer.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

/// The maximum number of buckets.
const MAX_BUCKETS: i64 = 512;

/// The runs of a queue over time.
#[derive(Debug)]
pub(super) struct Activity {
    /// The length of a bucket in milliseconds.
    width: i64,
    /// By their number: their start divided by their length.
    buckets: BTreeMap<i64, Bucket>,
}

/// What happened in a part of the time.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// How long runs took, in milliseconds: of two at once, both count.
    busy: i64,
    /// How many runs failed.
    failed: u64,
}

/// A part of the time as it is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    /// When it starts and ends, in milliseconds since 1970.
    pub start: i64,
    pub end: i64,
    /// How many runs there were at once, on average.
    pub level: f64,
    /// How many runs failed.
    pub failed: u64,
}

impl Default for Activity {
    fn default() -> Self {
        Self { width: 1000, buckets: BTreeMap::new() }
    }
}

impl Activity {
    /// Adds a run.
    pub(super) fn add(&mut self, start: DateTime<Utc>, end: DateTime<Utc>, has_failed: bool) {
        let (start, end) = (start.timestamp_millis(), end.timestamp_millis().max(start.timestamp_millis()));
        while !self.has_room(start, end) {
            self.widen();
        }
        for number in start.div_euclid(self.width)..=end.div_euclid(self.width) {
            let from = start.max(number * self.width);
            let until = end.min((number + 1) * self.width);
            self.buckets.entry(number).or_default().busy += until - from;
        }
        if has_failed {
            self.buckets.entry(end.div_euclid(self.width)).or_default().failed += 1;
        }
    }

    /// Whether the buckets reach from the first to the last time.
    fn has_room(&self, start: i64, end: i64) -> bool {
        let (start, end) = (start.div_euclid(self.width), end.div_euclid(self.width));
        let first = self.buckets.first_key_value().map_or(start, |(first, _)| start.min(*first));
        let last = self.buckets.last_key_value().map_or(end, |(last, _)| end.max(*last));
        last - first < MAX_BUCKETS
    }

    /// Doubles the length of the buckets.
    fn widen(&mut self) {
        self.width *= 2;
        for (number, Bucket { busy, failed }) in std::mem::take(&mut self.buckets) {
            let wide = self.buckets.entry(number.div_euclid(2)).or_default();
            wide.busy += busy;
            wide.failed += failed;
        }
    }

    /// The parts of the time in which something ran, in order.
    #[expect(clippy::cast_precision_loss, reason = "it is drawn")]
    pub(super) fn intervals(&self) -> impl Iterator<Item = Interval> {
        self.buckets.iter().map(|(number, bucket)| Interval {
            start: number * self.width,
            end: (number + 1) * self.width,
            level: bucket.busy as f64 / self.width as f64,
            failed: bucket.failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(millis).unwrap()
    }

    #[test]
    fn runs_at_once_add_up() {
        let mut activity = Activity::default();
        activity.add(at(500), at(2500), false);
        activity.add(at(1000), at(2000), true);
        let levels: Vec<(i64, f64, u64)> =
            activity.intervals().map(|part| (part.start, part.level, part.failed)).collect();
        assert_eq!(levels, [(0, 0.5, 0), (1000, 2.0, 0), (2000, 0.5, 1)]);
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "the lengths are small")]
    fn any_time_fits_into_the_buckets() {
        let mut activity = Activity::default();
        for nth in 0..10_000 {
            activity.add(at(nth * 3_600_000), at(nth * 3_600_000 + 60_000), nth % 100 == 0);
        }
        activity.add(at(0), at(400_000_000_000), false);
        assert!(activity.buckets.len() <= 512, "{}", activity.buckets.len());
        assert_eq!(activity.intervals().map(|part| part.failed).sum::<u64>(), 100);
        let busy: f64 = activity.intervals().map(|part| part.level * (part.end - part.start) as f64).sum();
        assert!((busy - (10_000.0 * 60_000.0 + 400_000_000_000.0)).abs() < 1e4, "{busy}");
    }
}
