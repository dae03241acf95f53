//! How many jobs each queue has in which state, as stored with each transaction that changes them.

use std::collections::BTreeMap;

use postgres::SimpleQueryRow;

use super::sql_text::{number, required, text};
use crate::model::{Job, JobCounts, NeededState, Phase, QueueId, Readiness};
use crate::store::error::StoreError;

/// The rank and the position of a pending job.
pub(super) type PendingPlace = (i64, i64);

/// Behind all jobs.
pub(super) const END: PendingPlace = (i64::MAX, i64::MAX);

/// The totals of some queues.
pub(super) type TotalsByQueue = BTreeMap<QueueId, QueueTotals>;

/// How many jobs a queue has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct QueueTotals {
    pub(super) pending: i64,
    pub(super) running: i64,
    pub(super) finished: i64,
    pub(super) failed: i64,
    /// The slots that the running jobs use.
    pub(super) used: i64,
    pub(super) requested: i64,
    pub(super) ready: i64,
    pub(super) scheduled: i64,
    /// No requested job comes before this place; `None` if that is unknown.
    pub(super) requested_from: Option<PendingPlace>,
    /// No ready job comes before this place.
    pub(super) ready_from: Option<PendingPlace>,
}

/// The statement that reads the totals of all queues.
pub(super) fn totals_sql(site: i32) -> String {
    format!(
        "SELECT q.id, t.pending, t.running, t.finished, t.failed, t.used, t.requested, t.ready, t.scheduled, \
         t.requested_rank, t.requested_position, t.ready_rank, t.ready_position \
         FROM setlist.queues q CROSS JOIN LATERAL (SELECT * FROM setlist.queue_totals t \
         WHERE t.site = q.site AND t.queue = q.id ORDER BY t.seq DESC LIMIT 1) t WHERE q.site = {site}"
    )
}

/// Reads the rows of [`totals_sql`].
pub(super) fn read_totals(rows: &[SimpleQueryRow]) -> Result<TotalsByQueue, StoreError> {
    let read = |row| {
        let place = |first| {
            let is_known = text(row, first)?.is_some();
            Ok::<_, StoreError>(if is_known { Some((number(row, first)?, number(row, first + 1)?)) } else { None })
        };
        let totals = QueueTotals {
            pending: number(row, 1)?,
            running: number(row, 2)?,
            finished: number(row, 3)?,
            failed: number(row, 4)?,
            used: number(row, 5)?,
            requested: number(row, 6)?,
            ready: number(row, 7)?,
            scheduled: number(row, 8)?,
            requested_from: place(9)?,
            ready_from: place(11)?,
        };
        Ok((required(row, 0)?, totals))
    };
    rows.iter().map(read).collect()
}

impl QueueTotals {
    /// Adds a job.
    pub(super) fn add(&mut self, job: &Job) {
        self.count(job, 1);
    }

    /// Removes a job.
    pub(super) fn remove(&mut self, job: &Job) {
        self.count(job, -1);
    }

    fn count(&mut self, job: &Job, by: i64) {
        match job.phase() {
            Phase::Pending => self.pending += by,
            Phase::Running => {
                self.running += by;
                self.used += by * i64::from(job.definition.scheduling.weight);
            }
            Phase::Finished => {
                self.finished += by;
                let has_failed = NeededState::of(&job.state, false) == NeededState::Failed;
                self.failed += if has_failed { by } else { 0 };
            }
        }
        match job.readiness() {
            Some(Readiness::Requested) => self.requested += by,
            Some(Readiness::Ready) => self.ready += by,
            Some(Readiness::Scheduled { .. }) => self.scheduled += by,
            Some(Readiness::Blocked) | None => {}
        }
    }

    /// How many jobs are in a phase.
    pub(super) fn in_phase(&self, phase: Phase) -> i64 {
        match phase {
            Phase::Pending => self.pending,
            Phase::Running => self.running,
            Phase::Finished => self.finished,
        }
    }

    /// How many jobs have a readiness.
    pub(super) fn with(&self, readiness: Readiness) -> i64 {
        match readiness {
            Readiness::Requested => self.requested,
            Readiness::Ready => self.ready,
            Readiness::Scheduled { .. } => self.scheduled,
            Readiness::Blocked => self.pending - self.requested - self.ready - self.scheduled,
        }
    }

    /// Whether any job is running, or pending and not blocked.
    pub(super) fn has_unblocked(&self) -> bool {
        self.running + self.requested + self.ready + self.scheduled > 0
    }

    /// The place before which no job with a readiness comes, if it is known.
    pub(super) fn first_place(&self, readiness: Readiness) -> Option<PendingPlace> {
        match readiness {
            Readiness::Requested => self.requested_from,
            Readiness::Ready => self.ready_from,
            _ => None,
        }
    }

    pub(super) fn counts(&self) -> JobCounts {
        let count = |count: i64| usize::try_from(count).unwrap_or_default();
        JobCounts {
            pending: count(self.pending),
            running: count(self.running),
            finished: count(self.finished),
            failed: count(self.failed),
        }
    }

    /// The values of a row after its site, queue and number, as SQL.
    pub(super) fn values(&self) -> String {
        let place = |place: Option<PendingPlace>| {
            place.map_or_else(|| "NULL, NULL".to_owned(), |(rank, position)| format!("{rank}, {position}"))
        };
        let Self { pending, running, finished, failed, used, requested, ready, scheduled, .. } = self;
        format!(
            "{pending}, {running}, {finished}, {failed}, {used}, {requested}, {ready}, {scheduled}, {}, {}",
            place(self.requested_from),
            place(self.ready_from)
        )
    }
}
