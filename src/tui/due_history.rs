//! What became of the due times of the selected job: the latest ones, and how many in each of the last days.

use std::ops::Range;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, TimeDelta, Utc};

use crate::model::{DueCounts, DueRecord, ScheduleState, ScheduleTarget};

/// How many days are counted, with the current one.
pub(super) const DAYS: u64 = 14;

/// The due times to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueTimesRequest {
    /// The schedule.
    pub target: ScheduleTarget,
    /// The days to count, with their times.
    pub days: Vec<(NaiveDate, Range<DateTime<Utc>>)>,
}

/// The due times of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueHistory {
    /// The schedule.
    pub target: ScheduleTarget,
    /// The latest due times, latest first.
    pub records: Vec<DueRecord>,
    /// What became of the due times of each day, oldest first.
    pub days: Vec<(NaiveDate, DueCounts)>,
}

/// When due times were requested: they are the same until one of these changes.
#[derive(Debug, PartialEq, Eq)]
struct RequestKey {
    target: ScheduleTarget,
    decided_until: DateTime<Utc>,
    is_running: bool,
    held: usize,
    today: NaiveDate,
}

/// The schedule whose due times are shown.
#[derive(Debug, Default)]
pub(super) struct DueTimesPane {
    requested: Option<RequestKey>,
    history: Option<DueHistory>,
}

impl DueTimesPane {
    /// Shows a schedule, or none. Returns what to load if its due times may have changed.
    pub(super) fn show(
        &mut self,
        state: Option<&ScheduleState>,
        now: DateTime<Utc>,
        local: fn(DateTime<Utc>) -> NaiveDateTime,
    ) -> Option<DueTimesRequest> {
        let today = local(now).date();
        let requested = state.map(|state| RequestKey {
            target: state.target.clone(),
            decided_until: state.decided_until,
            is_running: state.running.is_some(),
            held: state.held.len(),
            today,
        });
        if requested == self.requested {
            return None;
        }
        self.requested = requested;
        let target = state?.target.clone();
        self.history.take_if(|history| history.target != target);
        let dates = (0..DAYS).rev().filter_map(|days| today.checked_sub_days(Days::new(days)));
        let start = |date: NaiveDate| start_of_day(date, now, local);
        let days = dates.filter_map(|date| Some((date, start(date)..start(date.succ_opt()?)))).collect();
        Some(DueTimesRequest { target, days })
    }

    /// Sets the due times, unless another schedule is shown by now.
    pub(super) fn set(&mut self, history: DueHistory) {
        if self.requested.as_ref().is_some_and(|requested| requested.target == history.target) {
            self.history = Some(history);
        }
    }

    /// The due times of this schedule, once they are loaded.
    pub(super) fn history(&self, target: &ScheduleTarget) -> Option<&DueHistory> {
        self.history.as_ref().filter(|history| history.target == *target)
    }
}

/// When a day begins, found from what clocks show at other times.
fn start_of_day(date: NaiveDate, now: DateTime<Utc>, local: fn(DateTime<Utc>) -> NaiveDateTime) -> DateTime<Utc> {
    let midnight = date.and_time(chrono::NaiveTime::MIN);
    let distance = |time: DateTime<Utc>| midnight - local(time);
    // The offset from UTC may be another one then.
    let near = now + distance(now);
    let begin = near + distance(near);
    // A midnight that clocks skip.
    if distance(begin) > TimeDelta::zero() { begin + distance(begin) } else { begin }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use chrono_tz::{America, Europe};

    use super::*;

    #[test]
    fn days_begin_at_midnight_also_before_clocks_change() {
        let berlin = |time: DateTime<Utc>| time.with_timezone(&Europe::Berlin).naive_local();
        let now = Utc.with_ymd_and_hms(2026, 4, 2, 12, 0, 0).unwrap();
        let start = |day| start_of_day(NaiveDate::from_ymd_opt(2026, 3, day).unwrap(), now, berlin);
        assert_eq!(start(28), Utc.with_ymd_and_hms(2026, 3, 27, 23, 0, 0).unwrap());
        assert_eq!(start(29), Utc.with_ymd_and_hms(2026, 3, 28, 23, 0, 0).unwrap());
        assert_eq!(start(30), Utc.with_ymd_and_hms(2026, 3, 29, 22, 0, 0).unwrap());
        let santiago = |time: DateTime<Utc>| time.with_timezone(&America::Santiago).naive_local();
        let now = Utc.with_ymd_and_hms(2026, 9, 12, 12, 0, 0).unwrap();
        let skipped = start_of_day(NaiveDate::from_ymd_opt(2026, 9, 6).unwrap(), now, santiago);
        assert_eq!(skipped, Utc.with_ymd_and_hms(2026, 9, 6, 4, 0, 0).unwrap(), "clocks go from 0:00 to 1:00");
    }
}
