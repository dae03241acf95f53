//! What the columns of a row mean: values of the model to and from those of `SQLite`.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::definition::{Bare, definition};
use crate::model::{Ending, Exit, Job, JobId, Phase, QueueId, Removal, Run, RunId, State, Stop, Turn, Wait, WorkerId};

/// A query of jobs `j`, each with its definition `d`, as [`job`] reads them. Every job has a definition: one that has lost
/// it is an error of its own, and is not passed over.
macro_rules! select_jobs {
    ($condition:literal) => {
        concat!(
            "SELECT j.id, j.queue, j.position, j.state, j.outcome, j.finished, j.attempts, \
             j.value, j.executed, j.enqueued, j.removed, j.flags, j.until, j.needs, j.earlier, \
             j.run, j.worker, j.started, j.ended, j.ending, j.exit_code, j.exit_signal, \
             d.name, d.title, d.digest, d.run, d.command, d.rest \
             FROM jobs j LEFT JOIN definitions d ON d.job = j.id ",
            $condition
        )
    };
}
pub(super) use select_jobs;

/// Where some columns stand in a row of [`select_jobs`].
const OUTCOME: usize = 4;
const ATTEMPTS: usize = 6;
const REMOVED: usize = 10;
const FLAGS: usize = 11;
const LAST_RUN: usize = 15;
const DEFINITION: usize = 22;

/// Nobody ever counts beyond this: what is there is damage, and what isn't has room to count on.
const COUNTED: RangeInclusive<i64> = -(1 << 62)..=1 << 62;

/// Anything that is stored as JSON.
pub(super) struct Json<T>(pub(super) T);

/// A time in nanoseconds, which keeps it exactly as it was.
pub(super) struct Nanos(pub(super) DateTime<Utc>);

/// A job's state as one number, by which the jobs of a queue are found.
#[derive(Clone, Copy)]
pub(super) struct Code(i64);

/// A number that is counted up.
pub(super) struct Count(pub(super) u64);

/// A place between others, which may be before the first.
pub(super) struct Place(pub(super) i64);

/// What else there is to a state that isn't finished, as one number.
#[derive(Clone, Copy)]
pub(super) struct Flags(i64);

impl Code {
    const FINISHED: Self = Self(0);

    /// The codes of a phase.
    pub(super) fn range(phase: Phase) -> RangeInclusive<i64> {
        match phase {
            Phase::Finished => 0..=0,
            Phase::Running => 1..=3,
            Phase::Pending => 4..=8,
        }
    }

    /// The codes of jobs that run, or are pending and not held.
    pub(super) fn going_on() -> RangeInclusive<i64> {
        1..=7
    }

    /// The codes of jobs that wait for a time only; with `asked`, of those that somebody asked for.
    pub(super) fn timed(asked: bool) -> RangeInclusive<i64> {
        if asked { 6..=6 } else { 6..=7 }
    }

    /// A pending job's code.
    pub(super) fn pending(turn: Turn) -> Self {
        Self(match turn {
            Turn::Asked => 4,
            Turn::Ready => 5,
            Turn::Timed { asked: true } => 6,
            Turn::Timed { asked: false } => 7,
            Turn::Held => 8,
        })
    }

    /// The phase that the code belongs to.
    pub(super) fn phase(self) -> Phase {
        match self.0 {
            0 => Phase::Finished,
            1..=3 => Phase::Running,
            _ => Phase::Pending,
        }
    }
}

impl From<&Job> for Code {
    fn from(job: &Job) -> Self {
        match (job.turn(), &job.state) {
            (Some(turn), _) => Self::pending(turn),
            (None, State::Running { stop: None, .. }) => Self(1),
            (None, State::Running { stop: Some(Stop::Terminate), .. }) => Self(2),
            (None, State::Running { stop: Some(Stop::Kill), .. }) => Self(3),
            (None, _) => Self::FINISHED,
        }
    }
}

impl Flags {
    const ASKED: i64 = 1;
    const NEEDS: i64 = 2;
    const CONFIRM: i64 = 4;

    fn asked(self) -> bool {
        self.0 & Self::ASKED != 0
    }

    fn wait(self, until: Option<DateTime<Utc>>) -> Wait {
        Wait { needs: self.0 & Self::NEEDS != 0, until, confirm: self.0 & Self::CONFIRM != 0 }
    }
}

impl From<&State> for Flags {
    fn from(state: &State) -> Self {
        let flag = |set: bool, flag: i64| if set { flag } else { 0 };
        Self(match state {
            State::Pending { asked, wait } => {
                flag(*asked, Self::ASKED) + flag(wait.needs, Self::NEEDS) + flag(wait.confirm, Self::CONFIRM)
            }
            State::Running { asked, .. } => flag(*asked, Self::ASKED),
            State::Finished { .. } => 0,
        })
    }
}

/// A job from a row of [`select_jobs`].
pub(super) fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    job_of(row, row.get(1)?, Bare::shared())
}

/// A job from a row of [`select_jobs`] whose queue is known already.
pub(super) fn job_of(row: &Row<'_>, queue: QueueId, bare: &Bare) -> rusqlite::Result<Job> {
    let flags: Flags = row.get(FLAGS)?;
    let running = |stop| State::Running { asked: flags.asked(), stop };
    let state = match row.get(3)? {
        0 => {
            let (Json(outcome), Nanos(at)) = (row.get(OUTCOME)?, row.get(OUTCOME + 1)?);
            State::Finished { outcome, at }
        }
        1 => running(None),
        2 => running(Some(Stop::Terminate)),
        3 => running(Some(Stop::Kill)),
        4..=8 => {
            let until = row.get::<_, Option<_>>(FLAGS + 1)?.map(|Nanos(until)| until);
            State::Pending { asked: flags.asked(), wait: flags.wait(until) }
        }
        unknown => return Err(rusqlite::Error::IntegralValueOutOfRange(3, unknown)),
    };
    let last_run = row.get::<_, Option<RunId>>(LAST_RUN)?.map(|id| last_run(row, id).map(Box::new)).transpose()?;
    Ok(Job {
        id: row.get(0)?,
        queue,
        position: row.get::<_, Place>(2)?.0,
        definition: definition(row, DEFINITION, bare)?,
        state,
        needs: row.get::<_, Option<_>>(FLAGS + 2)?.map(|Json(needs)| needs).unwrap_or_default(),
        attempts: row.get(ATTEMPTS)?,
        earlier: row.get(FLAGS + 3)?,
        last_run,
        value: row.get::<_, Option<_>>(7)?.map(|Json(value)| value),
        executed: row.get::<_, Option<_>>(8)?.map(|Nanos(at)| at),
        enqueued: row.get::<_, Nanos>(9)?.0,
    })
}

/// By whom a job from a row of [`select_jobs`] was taken out of its queue.
pub(super) fn removed(row: &Row<'_>) -> rusqlite::Result<Option<Removal>> {
    Ok(row.get::<_, Option<_>>(REMOVED)?.map(|Json(by)| by))
}

/// The latest run from a row of [`select_jobs`].
fn last_run(row: &Row<'_>, id: RunId) -> rusqlite::Result<Run> {
    let ending = match row.get::<_, Option<Nanos>>(LAST_RUN + 3)? {
        Some(Nanos(at)) => {
            let outcome = match row.get::<_, Option<Json<_>>>(LAST_RUN + 4)? {
                Some(Json(own)) => own,
                None => row.get::<_, Json<_>>(OUTCOME)?.0,
            };
            Some(Ending { at, outcome, exit: exit(row, LAST_RUN + 5)? })
        }
        None => None,
    };
    let started = row.get::<_, Nanos>(LAST_RUN + 2)?.0;
    Ok(Run { id, attempt: row.get(ATTEMPTS)?, worker: row.get(LAST_RUN + 1)?, started, ending })
}

/// A run from a row of the table of runs, in the order of its columns behind the job.
pub(super) fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    let ending = match row.get::<_, Option<Nanos>>(4)? {
        Some(Nanos(at)) => Some(Ending { at, outcome: row.get::<_, Json<_>>(5)?.0, exit: exit(row, 6)? }),
        None => None,
    };
    let (id, attempt, worker, Nanos(started)) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
    Ok(Run { id, attempt, worker, started, ending })
}

fn exit(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Exit>> {
    let code = row.get::<_, Option<i32>>(first)?.map(Exit::Code);
    let signal = row.get::<_, Option<i32>>(first + 1)?.map(Exit::Signal);
    Ok(code.or(signal))
}

impl<T: Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = serde_json::to_string(&self.0);
        text.map(ToSqlOutput::from).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
    }
}

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Self).map_err(FromSqlError::other)
    }
}

impl ToSql for Nanos {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        // The nanoseconds last until the year 2262.
        Ok(self.0.timestamp_nanos_opt().unwrap_or(i64::MAX).into())
    }
}

impl FromSql for Nanos {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(|nanos| Self(DateTime::from_timestamp_nanos(nanos)))
    }
}

impl ToSql for Code {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for Code {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}

impl ToSql for Flags {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for Flags {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}

impl ToSql for QueueId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for QueueId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str().map(Self::from)
    }
}

impl FromSql for Count {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let Place(count) = Place::column_result(value)?;
        u64::try_from(count).map(Self).map_err(|_| FromSqlError::OutOfRange(count))
    }
}

impl FromSql for Place {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let place = value.as_i64()?;
        if COUNTED.contains(&place) { Ok(Self(place)) } else { Err(FromSqlError::OutOfRange(place)) }
    }
}

macro_rules! number {
    ($($kind:ident),*) => {$(
        impl ToSql for $kind {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.0.cast_signed().into())
            }
        }

        impl FromSql for $kind {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                Count::column_result(value).map(|Count(number)| Self(number))
            }
        }
    )*};
}
number!(JobId, RunId, WorkerId);
