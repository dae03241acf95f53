//! Reading jobs and runs from rows.

use std::sync::Arc;

use rusqlite::Row;

use super::columns::{Json, Nanos, Position, StateFlags};
use super::definition_columns::{BlankDefinitions, definition};
use super::need_rows::NeedList;
use crate::model::{
    Approval, Cause, Definition, Exit, Job, JobState, NeededJob, QueueId, RemovalReason, Run, RunEnd, RunId, RunInputs,
    StopSignal, Usage,
};

/// A query of jobs `j` with their definitions `d`, for [`job`]. A job without a definition is reported as an error,
/// therefore the left join.
macro_rules! select_jobs {
    ($condition:literal) => {
        concat!(
            "SELECT j.id, j.queue, j.position, j.state, j.outcome, j.finished, j.attempts, \
             j.value, j.executed, j.enqueued, j.removed, j.flags, j.until, d.needs, j.earlier, \
             j.run, j.worker, j.started, j.ended, j.ending, j.exit_code, j.exit_signal, \
             d.name, d.title, d.digest, d.run, d.command, d.rest, j.environment, \
             j.approval, j.run_approval, j.cause, j.usage, j.run_inputs, j.stalled, j.success, j.inputs \
             FROM jobs j LEFT JOIN definitions d ON d.job = j.id ",
            $condition
        )
    };
}
pub(super) use select_jobs;

/// The positions of some columns in a row of [`select_jobs`].
const OUTCOME_COLUMN: usize = 4;
const ATTEMPTS_COLUMN: usize = 6;
const REMOVED_COLUMN: usize = 10;
const FLAGS_COLUMN: usize = 11;
const LAST_RUN_COLUMN: usize = 15;
const DEFINITION_COLUMN: usize = 22;
const ENVIRONMENT_COLUMN: usize = 28;
const APPROVAL_COLUMN: usize = 29;
const CAUSE_COLUMN: usize = 31;
const INPUTS_COLUMN: usize = 33;
const STALLED_COLUMN: usize = 34;
const SUCCESS_COLUMN: usize = 35;
const GIVEN_INPUTS_COLUMN: usize = 36;

/// Reads a job from a row of [`select_jobs`].
pub(super) fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    job_in_queue(row, row.get(1)?, BlankDefinitions::shared())
}

/// Reads a job of a known queue from a row of [`select_jobs`].
pub(super) fn job_in_queue(row: &Row<'_>, queue: QueueId, blanks: &BlankDefinitions) -> rusqlite::Result<Job> {
    let needs = row.get::<_, Option<NeedList>>(FLAGS_COLUMN + 2)?;
    read_job(row, queue, definition(row, DEFINITION_COLUMN, blanks)?, needs)
}

/// Reads a job that another one needs from a row of [`select_jobs`]: of its definition only the name, and not its needs.
pub(super) fn needed_job(row: &Row<'_>) -> rusqlite::Result<NeededJob> {
    let name = row.get(DEFINITION_COLUMN)?;
    let definition = Definition { name, ..BlankDefinitions::shared().blank_for(true).clone() };
    let job = read_job(row, row.get(1)?, definition.into(), None)?;
    Ok(NeededJob { job, is_removed: removed(row)?.is_some() })
}

fn read_job(
    row: &Row<'_>,
    queue: QueueId,
    definition: Arc<Definition>,
    needs: Option<NeedList>,
) -> rusqlite::Result<Job> {
    let flags: StateFlags = row.get(FLAGS_COLUMN)?;
    let running = |stop| JobState::Running { requested: flags.is_requested(), forced: flags.is_forced(), stop };
    let state = match row.get(3)? {
        0 => {
            let (Json(outcome), Nanos(at)) = (row.get(OUTCOME_COLUMN)?, row.get(OUTCOME_COLUMN + 1)?);
            JobState::Finished { outcome, at }
        }
        1 => running(None),
        2 => running(Some(StopSignal::Terminate)),
        3 => running(Some(StopSignal::Kill)),
        4..=8 => {
            let until = row.get::<_, Option<_>>(FLAGS_COLUMN + 1)?.map(|Nanos(until)| until);
            JobState::Pending { requested: flags.is_requested(), wait: flags.wait(until) }
        }
        unknown => return Err(rusqlite::Error::IntegralValueOutOfRange(3, unknown)),
    };
    let last_run =
        row.get::<_, Option<RunId>>(LAST_RUN_COLUMN)?.map(|id| last_run(row, id).map(Box::new)).transpose()?;
    Ok(Job {
        id: row.get(0)?,
        queue,
        position: row.get::<_, Position>(2)?.0,
        definition,
        state,
        needs: needs.map(|NeedList(needs)| needs).unwrap_or_default(),
        attempts: row.get(ATTEMPTS_COLUMN)?,
        prior_attempts: row.get(FLAGS_COLUMN + 3)?,
        last_run,
        value: row.get::<_, Option<_>>(7)?.map(|Json(value)| Box::new(value)),
        executed: row.get::<_, Option<_>>(8)?.map(|Nanos(at)| at),
        enqueued: row.get::<_, Nanos>(9)?.0,
        environment: row.get(ENVIRONMENT_COLUMN)?,
        inputs: row.get::<_, Option<_>>(GIVEN_INPUTS_COLUMN)?.map(|Json(inputs)| inputs),
        approval: approval(row, APPROVAL_COLUMN)?,
        success: row.get::<_, Option<_>>(SUCCESS_COLUMN)?.map(|Json(success)| success),
    })
}

/// Reads why a job was removed from its queue, from a row of [`select_jobs`].
pub(super) fn removed(row: &Row<'_>) -> rusqlite::Result<Option<RemovalReason>> {
    Ok(row.get::<_, Option<_>>(REMOVED_COLUMN)?.map(|Json(by)| by))
}

/// Reads the last run from a row of [`select_jobs`].
fn last_run(row: &Row<'_>, id: RunId) -> rusqlite::Result<Run> {
    let end = match row.get::<_, Option<Nanos>>(LAST_RUN_COLUMN + 3)? {
        Some(Nanos(at)) => {
            let outcome = match row.get::<_, Option<Json<_>>>(LAST_RUN_COLUMN + 4)? {
                Some(Json(outcome)) => outcome,
                None => row.get::<_, Json<_>>(OUTCOME_COLUMN)?.0,
            };
            let (cause, usage) = findings(row, CAUSE_COLUMN)?;
            Some(RunEnd { at, outcome, exit: exit(row, LAST_RUN_COLUMN + 5)?, cause, usage, value: None })
        }
        None => None,
    };
    let started = row.get::<_, Nanos>(LAST_RUN_COLUMN + 2)?.0;
    Ok(Run {
        id,
        attempt: row.get(ATTEMPTS_COLUMN)?,
        worker: row.get(LAST_RUN_COLUMN + 1)?,
        started,
        stalled: row.get::<_, Option<_>>(STALLED_COLUMN)?.map(|Nanos(since)| since),
        end,
        approval: approval(row, APPROVAL_COLUMN + 1)?,
        inputs: inputs(row, INPUTS_COLUMN)?,
    })
}

/// Reads a run from the columns of the table `runs` after `job`.
pub(super) fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    let end = match row.get::<_, Option<Nanos>>(4)? {
        Some(Nanos(at)) => {
            let value = row.get::<_, Option<_>>(8)?.map(|Json(value)| value);
            let (cause, usage) = findings(row, 10)?;
            Some(RunEnd { at, outcome: row.get::<_, Json<_>>(5)?.0, exit: exit(row, 6)?, cause, usage, value })
        }
        None => None,
    };
    let (id, attempt, worker, Nanos(started)) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
    let (approval, inputs) = (approval(row, 9)?, inputs(row, 12)?);
    Ok(Run { id, attempt, worker, started, stalled: None, end, approval, inputs })
}

/// Why a run failed, and what it used.
type Findings = (Option<Box<Cause>>, Option<Box<Usage>>);

fn findings(row: &Row<'_>, first: usize) -> rusqlite::Result<Findings> {
    let cause = row.get::<_, Option<_>>(first)?.map(|Json(cause)| cause);
    Ok((cause, row.get::<_, Option<_>>(first + 1)?.map(|Json(usage)| usage)))
}

fn inputs(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Box<RunInputs>>> {
    Ok(row.get::<_, Option<_>>(column)?.map(|Json(inputs)| inputs))
}

fn approval(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Box<Approval>>> {
    Ok(row.get::<_, Option<_>>(column)?.map(|Json(approval)| approval))
}

fn exit(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Exit>> {
    let code = row.get::<_, Option<i32>>(first)?.map(Exit::Code);
    let signal = row.get::<_, Option<i32>>(first + 1)?.map(Exit::Signal);
    Ok(code.or(signal))
}
