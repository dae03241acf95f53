//! The columns of a job by which queries find it. Its body has all of it.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::sql_text::{json, json_or_null, literal, nanos};
use crate::model::{
    Job, JobState, NeedCounts, NeededState, OutcomeCondition, Phase, Readiness, RemovalReason, StopSignal,
};

/// The flags of a job.
pub(super) const REQUESTED: i64 = 1;
pub(super) const WAITS_FOR_NEEDS: i64 = 2;
pub(super) const FORCED: i64 = 8;
const UNCONFIRMED: i64 = 4;
const IN_FILE: i64 = 16;
const FAILED_PENDING: i64 = 32;
const HOLDS_POOLS: i64 = 64;
const TAGGED: i64 = 128;

/// The columns of a job after its site and id, except for those that count its needs.
pub(super) const COLUMNS: [&str; 20] = [
    "queue",
    "removed",
    "settled",
    "body",
    "state",
    "rank",
    "position",
    "run",
    "worker",
    "started",
    "ended",
    "until",
    "weight",
    "flags",
    "need_state",
    "name",
    "unique_key",
    "labels",
    "environment",
    "outcome",
];

/// The code of a pending job with this readiness.
pub(super) fn readiness_code(readiness: Readiness) -> i64 {
    match readiness {
        Readiness::Requested => 4,
        Readiness::Ready => 5,
        Readiness::Scheduled { requested: true } => 6,
        Readiness::Scheduled { requested: false } => 7,
        Readiness::Blocked => 8,
    }
}

/// The phase of a code.
pub(super) fn phase_of(code: i64) -> Phase {
    match code {
        0 => Phase::Finished,
        1..=3 => Phase::Running,
        _ => Phase::Pending,
    }
}

/// The condition on codes for a phase.
pub(super) fn has_phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Finished => "state = 0",
        Phase::Running => "state BETWEEN 1 AND 3",
        Phase::Pending => "state >= 4",
    }
}

/// The code of a job.
fn state_code(job: &Job) -> i64 {
    match (job.readiness(), &job.state) {
        (Some(readiness), _) => readiness_code(readiness),
        (None, JobState::Running { stop: None, .. }) => 1,
        (None, JobState::Running { stop: Some(StopSignal::Terminate), .. }) => 2,
        (None, JobState::Running { stop: Some(StopSignal::Kill), .. }) => 3,
        (None, _) => 0,
    }
}

/// The rank of a job among the pending ones of its queue.
pub(super) fn rank(job: &Job) -> i64 {
    -i64::from(job.definition.scheduling.priority)
}

/// When a job finished, or else when it was added, in nanoseconds.
pub(super) fn settled(job: &Job) -> i64 {
    nanos(match &job.state {
        JobState::Finished { at, .. } => *at,
        _ => job.enqueued,
    })
}

/// What the state of a job means for others, as a code. See `fill_format_3.sql`.
fn need_code(state: NeededState) -> i64 {
    match state {
        NeededState::Missing => 0,
        NeededState::Unfinished => 1,
        NeededState::Succeeded => 2,
        NeededState::Failed => 3,
        NeededState::NotRun => 4,
    }
}

/// The code of a condition in the table of needs.
pub(super) fn condition_code(on: OutcomeCondition) -> i64 {
    match on {
        OutcomeCondition::Success => 0,
        OutcomeCondition::Failure => 1,
        OutcomeCondition::Finish => 2,
    }
}

/// The condition with a code.
pub(super) fn condition(code: i64) -> OutcomeCondition {
    OutcomeCondition::ALL.into_iter().find(|on| condition_code(*on) == code).unwrap_or(OutcomeCondition::Success)
}

fn flags(job: &Job) -> i64 {
    let (needs, confirm, forced) = match &job.state {
        JobState::Pending { wait, .. } => (wait.needs, wait.confirm, wait.forced),
        JobState::Running { forced, .. } => (false, false, *forced),
        JobState::Finished { .. } => (false, false, false),
    };
    let flags = [
        (REQUESTED, job.is_requested()),
        (WAITS_FOR_NEEDS, needs),
        (UNCONFIRMED, confirm),
        (FORCED, forced),
        (IN_FILE, job.definition.digest.is_some()),
        (FAILED_PENDING, job.phase() == Phase::Pending && job.failure().is_some()),
        (HOLDS_POOLS, !job.held_pools().is_empty()),
        (TAGGED, !job.definition.tags.is_empty()),
    ];
    flags.into_iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag).sum()
}

/// The values of [`COLUMNS`], as SQL.
pub(super) fn values(job: &Job, removed: Option<RemovalReason>) -> String {
    let run = job.last_run.as_deref();
    let scheduling = &job.definition.scheduling;
    let until = match &job.state {
        JobState::Pending { wait, .. } => wait.until,
        _ => None,
    };
    let text = |text: Option<&str>| text.map_or_else(|| "NULL".to_owned(), literal);
    let outcome = match &job.state {
        JobState::Finished { outcome, .. } => Some(outcome),
        _ => None,
    };
    let or_null =
        |time: Option<DateTime<Utc>>| time.map_or_else(|| "NULL::bigint".to_owned(), |time| nanos(time).to_string());
    let mut values = format!(
        "{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}",
        json(&job.queue),
        json_or_null(removed.as_ref()),
        settled(job),
        json(job),
        state_code(job),
        rank(job),
        job.position,
        run.map_or(0, |run| run.id.0),
        run.map_or(0, |run| run.worker.0),
        run.map_or(0, |run| nanos(run.started)),
        or_null(run.and_then(|run| run.end.as_ref()).map(|end| end.at)),
    );
    // A failure to write to a string is impossible.
    let _ = write!(
        values,
        ", {}, {}, {}, {}, {}, {}, {}, {}, {}",
        or_null(until),
        scheduling.weight,
        flags(job),
        need_code(NeededState::of(&job.state, removed.is_some())),
        text(job.name()),
        text(scheduling.unique.as_deref()),
        json_or_null((!scheduling.runs_on.is_empty()).then_some(&scheduling.runs_on)),
        json_or_null(job.environment.as_ref()),
        json_or_null(outcome),
    );
    values
}

/// The rows of the needs of a job, as SQL without the site.
pub(super) fn need_rows(job: &Job) -> impl Iterator<Item = String> {
    job.needs.iter().map(|need| format!("{}, {}, {}", need.job.0, job.id.0, condition_code(need.on)))
}

/// The columns that count the needs of a job, as SQL.
pub(super) fn count_values(counts: NeedCounts) -> String {
    format!("{}, {}", counts.pending, counts.failed)
}
