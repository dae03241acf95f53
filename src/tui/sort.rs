//! The orders in which lists may show their jobs.

use std::cmp::Reverse;

use chrono::{DateTime, Utc};

use crate::model::{Job, Ledger, Outcome, State};

/// In which order jobs are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Pending jobs as they will start, running ones as they started, finished ones latest first.
    #[default]
    Queue,
    /// By title.
    Title,
    /// What took longest first.
    Took,
    /// What went wrong first.
    Outcome,
}

/// What decides the place of a job among the others of its list: less comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    first: i64,
    name: Option<Box<str>>,
    /// As the ledger orders the jobs of one phase.
    last: (Reverse<i64>, i64, u64),
}

impl Sort {
    /// The next one, after the last the first.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Queue => Self::Title,
            Self::Title => Self::Took,
            Self::Took => Self::Outcome,
            Self::Outcome => Self::Queue,
        }
    }

    /// The order in a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Queue => "in queue order",
            Self::Title => "by title",
            Self::Took => "longest first",
            Self::Outcome => "failures first",
        }
    }

    /// The place of a job; `all` when those of other queues stand in the list, too.
    pub fn rank(self, job: &Job, all: bool, ledger: &Ledger) -> Rank {
        let (first, name) = match self {
            Self::Queue if all && matches!(job.state, State::Pending { .. }) => {
                let order = ledger.queue(&job.queue).map_or(u32::MAX, |queue| queue.settings.order);
                (i64::from(order), Some(job.queue.as_str().into()))
            }
            Self::Queue => (0, None),
            Self::Title => (0, Some(job.label().to_lowercase().into())),
            Self::Took => (-took(job), None),
            Self::Outcome => (badness(job), None),
        };
        let place = place(job);
        // What finished last is shown first: in queue order by turning the list, so that news go to its end.
        let turned = self != Self::Queue && matches!(job.state, State::Finished { .. });
        let last =
            if turned { (Reverse(place.1), 0, u64::MAX - place.2) } else { (Reverse(place.0), place.1, place.2) };
        Rank { first, name, last }
    }
}

/// Priority, time or position, run.
fn place(job: &Job) -> (i64, i64, u64) {
    let run = job.last_run.as_ref();
    match &job.state {
        State::Pending { .. } => (i64::from(job.definition.terms.priority), job.position, 0),
        State::Running { .. } => run.map_or((0, 0, 0), |run| (0, nanoseconds(run.started), run.id.0)),
        State::Finished { at, .. } => (0, nanoseconds(*at), run.map_or(0, |run| run.id.0)),
    }
}

/// How long its latest run took, in nanoseconds; one that goes on has no say.
fn took(job: &Job) -> i64 {
    let run = job.last_run.as_ref();
    let time = run.and_then(|run| Some(run.ending.as_ref()?.at - run.started));
    time.and_then(|time| time.num_nanoseconds()).unwrap_or(0)
}

fn badness(job: &Job) -> i64 {
    match job.outcome() {
        Some(Outcome::Failed(_)) => 0,
        Some(Outcome::Interrupted) => 1,
        None if job.failure().is_some() => 1,
        Some(Outcome::Skipped { .. }) => 2,
        Some(Outcome::Cancelled) => 3,
        None | Some(Outcome::Succeeded) => 4,
    }
}

fn nanoseconds(at: DateTime<Utc>) -> i64 {
    at.timestamp_nanos_opt().unwrap_or(i64::MAX)
}
