//! Column types: conversions between values of the model and of `SQLite`.

use std::num::NonZero;
use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::{
    EnvironmentId, Job, JobId, JobState, Phase, QueueId, Readiness, RunId, StopSignal, WaitConditions, WorkerId,
};

/// Counters outside of this range are damage.
const VALID_RANGE: RangeInclusive<i64> = -(1 << 62)..=1 << 62;

/// A value stored as JSON.
pub(super) struct Json<T>(pub(super) T);

/// A time in nanoseconds, which preserves it exactly.
pub(super) struct Nanos(pub(super) DateTime<Utc>);

/// A job's state as a number, by which the jobs of a queue are indexed.
#[derive(Clone, Copy)]
pub(super) struct StateCode(i64);

/// A counter.
pub(super) struct Count(pub(super) u64);

/// A position in a queue; it may be negative.
pub(super) struct Position(pub(super) i64);

/// The flags of an unfinished job's state.
#[derive(Clone, Copy)]
pub(super) struct StateFlags(i64);

impl StateCode {
    const FINISHED: Self = Self(0);

    /// The codes of a phase.
    pub(super) fn range(phase: Phase) -> RangeInclusive<i64> {
        match phase {
            Phase::Finished => 0..=0,
            Phase::Running => 1..=3,
            Phase::Pending => 4..=8,
        }
    }

    /// The codes of jobs that are running, or pending and not blocked.
    pub(super) fn unfinished() -> RangeInclusive<i64> {
        1..=7
    }

    /// The codes of jobs that only wait for a time; with `requested_only`, only of those that were requested.
    pub(super) fn timed(requested_only: bool) -> RangeInclusive<i64> {
        if requested_only { 6..=6 } else { 6..=7 }
    }

    /// The code of a pending job.
    pub(super) fn pending(readiness: Readiness) -> Self {
        Self(match readiness {
            Readiness::Requested => 4,
            Readiness::Ready => 5,
            Readiness::Scheduled { requested: true } => 6,
            Readiness::Scheduled { requested: false } => 7,
            Readiness::Blocked => 8,
        })
    }

    /// The phase of a code.
    pub(super) fn phase(self) -> Phase {
        match self.0 {
            0 => Phase::Finished,
            1..=3 => Phase::Running,
            _ => Phase::Pending,
        }
    }
}

impl From<&Job> for StateCode {
    fn from(job: &Job) -> Self {
        match (job.readiness(), &job.state) {
            (Some(readiness), _) => Self::pending(readiness),
            (None, JobState::Running { stop: None, .. }) => Self(1),
            (None, JobState::Running { stop: Some(StopSignal::Terminate), .. }) => Self(2),
            (None, JobState::Running { stop: Some(StopSignal::Kill), .. }) => Self(3),
            (None, _) => Self::FINISHED,
        }
    }
}

impl StateFlags {
    const REQUESTED: i64 = 1;
    const NEEDS: i64 = 2;
    const CONFIRM: i64 = 4;
    const FORCED: i64 = 8;

    pub(super) fn is_requested(self) -> bool {
        self.0 & Self::REQUESTED != 0
    }

    pub(super) fn is_forced(self) -> bool {
        self.0 & Self::FORCED != 0
    }

    pub(super) fn wait(self, until: Option<DateTime<Utc>>) -> WaitConditions {
        WaitConditions {
            needs: self.0 & Self::NEEDS != 0,
            until,
            confirm: self.0 & Self::CONFIRM != 0,
            forced: self.is_forced(),
        }
    }
}

impl From<&JobState> for StateFlags {
    fn from(state: &JobState) -> Self {
        let flag = |set: bool, flag: i64| if set { flag } else { 0 };
        Self(match state {
            JobState::Pending { requested, wait } => {
                flag(*requested, Self::REQUESTED)
                    + flag(wait.needs, Self::NEEDS)
                    + flag(wait.confirm, Self::CONFIRM)
                    + flag(wait.forced, Self::FORCED)
            }
            JobState::Running { requested, forced, .. } => {
                flag(*requested, Self::REQUESTED) + flag(*forced, Self::FORCED)
            }
            JobState::Finished { .. } => 0,
        })
    }
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
        // Nanoseconds last until the year 2262.
        Ok(self.0.timestamp_nanos_opt().unwrap_or(i64::MAX).into())
    }
}

impl FromSql for Nanos {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(|nanos| Self(DateTime::from_timestamp_nanos(nanos)))
    }
}

impl ToSql for StateCode {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for StateCode {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self)
    }
}

impl ToSql for StateFlags {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for StateFlags {
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

impl ToSql for EnvironmentId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.get().cast_signed().into())
    }
}

impl FromSql for EnvironmentId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = value.as_i64()?;
        NonZero::new(number.cast_unsigned()).map(Self).ok_or(FromSqlError::OutOfRange(number))
    }
}

impl FromSql for Count {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let Position(count) = Position::column_result(value)?;
        u64::try_from(count).map(Self).map_err(|_| FromSqlError::OutOfRange(count))
    }
}

impl FromSql for Position {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let position = value.as_i64()?;
        if VALID_RANGE.contains(&position) { Ok(Self(position)) } else { Err(FromSqlError::OutOfRange(position)) }
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
