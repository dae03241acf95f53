//! Sort orders of the lists.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};

use crate::model::{Job, JobState, Outcome, Run, SiteState, result_value};

/// The order of the jobs in a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    /// Pending jobs as they will start, running ones as they started, finished ones latest first.
    #[default]
    Queue,
    /// Longest duration first.
    Duration,
    /// Most peak memory first.
    Memory,
    /// By title.
    Title,
    /// Failures first.
    Outcome,
    /// Lowest value first: numbers by size, then text; jobs without a value last.
    LowestValue,
    /// Highest value first, then text; jobs without a value last.
    HighestValue,
}

/// The sort key of a job in its list; smaller keys come first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey {
    first: i64,
    name: Option<Box<str>>,
    /// As a `SiteState` orders the jobs of one phase.
    last: (Reverse<i64>, i64, u64),
}

impl SortOrder {
    /// The next order; after the last one, the first.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Queue => Self::Duration,
            Self::Duration => Self::Memory,
            Self::Memory => Self::Title,
            Self::Title => Self::Outcome,
            Self::Outcome => Self::LowestValue,
            Self::LowestValue => Self::HighestValue,
            Self::HighestValue => Self::Queue,
        }
    }

    /// A short description.
    pub fn label(self) -> &'static str {
        match self {
            Self::Queue => "in queue order",
            Self::Title => "by title",
            Self::Duration => "longest first",
            Self::Memory => "most memory first",
            Self::Outcome => "failures first",
            Self::LowestValue => "lowest value first",
            Self::HighestValue => "highest value first",
        }
    }

    /// The sort key of a job; `all` if the list shows all queues.
    pub fn sort_key(self, job: &Job, all: bool, site_state: &SiteState) -> SortKey {
        let (first, name) = match self {
            Self::Queue if all && matches!(job.state, JobState::Pending { .. }) => {
                let order = site_state.queue(&job.queue).map_or(u32::MAX, |queue| queue.settings.order);
                (i64::from(order), Some(job.queue.as_str().into()))
            }
            Self::Queue => (0, None),
            Self::Title => (0, Some(job.display_title().to_lowercase().into())),
            Self::Duration => (-last_duration(job), None),
            Self::Memory => (-i64::try_from(last_peak_memory(job).unwrap_or(0)).unwrap_or(i64::MAX), None),
            Self::Outcome => (outcome_rank(job), None),
            Self::LowestValue => value_rank(job, false),
            Self::HighestValue => value_rank(job, true),
        };
        let place = queue_position(job);
        // Finished jobs are shown latest first. In queue order the list is shown in reverse instead, so that new jobs go to
        // its end.
        let is_reversed = self != Self::Queue && matches!(job.state, JobState::Finished { .. });
        let last =
            if is_reversed { (Reverse(place.1), 0, u64::MAX - place.2) } else { (Reverse(place.0), place.1, place.2) };
        SortKey { first, name, last }
    }
}

/// Priority, time or position, run.
fn queue_position(job: &Job) -> (i64, i64, u64) {
    let run = job.last_run.as_ref();
    match &job.state {
        JobState::Pending { .. } => (i64::from(job.definition.scheduling.priority), job.position, 0),
        JobState::Running { .. } => run.map_or((0, 0, 0), |run| (0, nanoseconds(run.started), run.id.0)),
        JobState::Finished { at, .. } => (0, nanoseconds(*at), run.map_or(0, |run| run.id.0)),
    }
}

/// How long the latest run took, in nanoseconds; 0 while it is running.
fn last_duration(job: &Job) -> i64 {
    let duration = job.result_run().and_then(Run::duration).unwrap_or_default();
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// The peak memory of the latest run that ended, in bytes.
pub(super) fn last_peak_memory(job: &Job) -> Option<u64> {
    job.result_run()?.end.as_ref()?.usage.as_ref().map(|usage| usage.peak_memory)
}

fn outcome_rank(job: &Job) -> i64 {
    match job.outcome() {
        Some(Outcome::Failed(_)) => 0,
        Some(Outcome::Interrupted | Outcome::Unreachable { .. }) => 1,
        None if job.failure().is_some() => 1,
        Some(Outcome::Skipped { .. }) => 2,
        Some(Outcome::Cancelled) => 3,
        None | Some(Outcome::Succeeded) => 4,
    }
}

/// The rank of a job by its value: numbers first, then text, then jobs without a value.
fn value_rank(job: &Job, highest_first: bool) -> (i64, Option<Box<str>>) {
    let Some(value) = job.result() else { return (i64::MAX, None) };
    match result_value::number(value) {
        Some(number) => {
            let rank = ordered_bits(number);
            (if highest_first { !rank } else { rank }, None)
        }
        None => (i64::MAX - 1, Some(result_value::text_of(value).into())),
    }
}

/// An integer that orders as the number does. The bits of negative numbers are in reverse order.
fn ordered_bits(number: f64) -> i64 {
    let bits = number.to_bits().cast_signed();
    bits ^ ((bits >> 63) & i64::MAX)
}

fn nanoseconds(at: DateTime<Utc>) -> i64 {
    at.timestamp_nanos_opt().unwrap_or(i64::MAX)
}
