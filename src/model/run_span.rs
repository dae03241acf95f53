//! When runs were in progress, without their details: for charts over time.

use chrono::{DateTime, Utc};

use super::{Job, JobId, Outcome, QueueId, Run, RunId};

/// A run as a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunSpan {
    /// The job.
    pub job: JobId,
    /// The run.
    pub run: RunId,
    /// 1 for the first run of the job.
    pub attempt: u32,
    /// When it started.
    pub started: DateTime<Utc>,
    /// When it ended; `None` while it runs.
    pub ended: Option<DateTime<Utc>>,
    /// Its outcome, once it has ended.
    pub outcome: Option<Outcome>,
}

/// Which runs to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPeriod {
    /// The queue of their jobs; `None` for all queues.
    pub queue: Option<QueueId>,
    /// They were in progress at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// They started before this time.
    pub until: Option<DateTime<Utc>>,
    /// Only this many of the latest.
    pub limit: usize,
}

impl RunSpan {
    /// A run of this job.
    pub fn new(job: JobId, run: &Run) -> Self {
        Self {
            job,
            run: run.id,
            attempt: run.attempt,
            started: run.started,
            ended: run.end.as_ref().map(|end| end.at),
            outcome: run.end.as_ref().map(|end| end.outcome.clone()),
        }
    }

    /// The latest run of a job.
    pub fn latest(job: &Job) -> Option<Self> {
        job.last_run.as_deref().map(|run| Self::new(job.id, run))
    }
}

impl RunPeriod {
    /// Whether a run was in progress in the period.
    pub fn contains(&self, span: &RunSpan) -> bool {
        self.from.is_none_or(|from| span.ended.is_none_or(|ended| ended >= from))
            && self.until.is_none_or(|until| span.started < until)
    }

    /// The latest of these runs that were in progress in the period, latest first.
    pub fn select(&self, spans: impl Iterator<Item = RunSpan>) -> Vec<RunSpan> {
        let mut selected: Vec<RunSpan> = spans.filter(|span| self.contains(span)).collect();
        selected.sort_by_key(|span| std::cmp::Reverse(span.run));
        selected.truncate(self.limit);
        selected
    }
}
