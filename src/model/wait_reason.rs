//! Why a pending job has not started.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use crate::text;

use super::label_set::LabelSet;
use super::needs::{failed_reason, needs_status};
use super::{Job, JobState, NeedStatus, Phase, QueueId, QueueMode, SiteState, WaitConditions, pool_title};

/// What a pending job waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// Other jobs: their paths, without the queue for jobs of the same queue.
    Needs(Vec<String>),
    /// A needed job did not finish as required, so the job will be skipped when its queue is processed.
    NeedsFailed(String),
    /// Approval.
    Confirm,
    /// Its earliest start.
    Time(DateTime<Utc>),
    /// Its next attempt.
    Retry {
        /// The number of that attempt.
        attempt: u32,
        /// The maximum number of attempts.
        max_attempts: u32,
        /// When it is due.
        at: DateTime<Utc>,
    },
    /// Its queue is paused.
    QueuePaused,
    /// Its queue was stopped by a failed job.
    QueueStopped,
    /// Units of a pool.
    Pool {
        /// Its name.
        pool: Arc<str>,
        /// The path of the job that has held units of it for longest, and since when.
        held_by: Option<(String, DateTime<Utc>)>,
        /// How many more jobs hold units of it.
        more: usize,
    },
    /// Units of a pool, which another job gets first.
    PoolTurn {
        /// Its name.
        pool: Arc<str>,
        /// The path of the other job.
        first: String,
    },
    /// A worker with labels.
    Labels {
        /// The labels.
        labels: LabelSet,
        /// Whether a worker has them, whose slots are all used.
        has_worker: bool,
    },
    /// A free slot in its queue.
    FreeSlot,
    /// Its queue to be processed.
    QueueIdle,
    /// The next due time of its schedule, or of that of its queue.
    Schedule {
        /// When.
        at: DateTime<Utc>,
        /// What clocks in the schedule's time zone show then.
        shown: NaiveDateTime,
    },
}

impl SiteState {
    /// Why a job has not started, if it is pending.
    pub fn wait_reason(&self, job: &Job) -> Option<WaitReason> {
        let JobState::Pending { requested, wait } = job.state else { return None };
        let mode = self.queue(&job.queue)?.mode;
        Some(match wait {
            WaitConditions { needs: true, .. } => self.needs_reason(job),
            WaitConditions { until: Some(at), .. } if job.current_attempt() > 0 => {
                WaitReason::Retry { attempt: job.current_attempt() + 1, max_attempts: job.max_attempts(), at }
            }
            WaitConditions { until: Some(at), .. } => WaitReason::Time(at),
            WaitConditions { confirm: true, .. } => WaitReason::Confirm,
            _ => match mode {
                _ if requested => self.start_reason(job),
                QueueMode::Paused => WaitReason::QueuePaused,
                QueueMode::Processing => self.start_reason(job),
                QueueMode::Stopped => WaitReason::QueueStopped,
                QueueMode::Idle => self.schedule_reason(job).unwrap_or(WaitReason::QueueIdle),
            },
        })
    }

    /// What a job waits for that could start.
    fn start_reason(&self, job: &Job) -> WaitReason {
        if let Some((labels, has_worker)) = self.missing_labels(job) {
            return WaitReason::Labels { labels, has_worker };
        }
        if let Some((pool, holders)) = self.missing_pool(job) {
            let held_by = holders.first().and_then(|holder| Some((holder.path(), holder.last_run.as_ref()?.started)));
            return WaitReason::Pool { pool, held_by, more: holders.len().saturating_sub(1) };
        }
        match self.pool_turn_before(job) {
            Some((pool, first)) => WaitReason::PoolTurn { pool, first: first.path() },
            None => WaitReason::FreeSlot,
        }
    }

    /// The first job of a queue that is being processed, and why it waits, if all that could start waits for workers with
    /// labels that none has.
    pub fn waits_for_labels(&self, id: &QueueId) -> Option<(&Job, WaitReason)> {
        self.queue(id).filter(|queue| queue.mode == QueueMode::Processing && queue.running.is_empty())?;
        let first = self.job(self.first_without_worker(id)?)?;
        Some((first, self.wait_reason(first)?))
    }

    fn schedule_reason(&self, job: &Job) -> Option<WaitReason> {
        let state = self.schedule_of_job(job)?;
        let at = state.next_due()?;
        Some(WaitReason::Schedule { at, shown: state.schedule.shown_time(at) })
    }

    /// What a job that is requested now would have to wait for: needs, then approval. A forced request overrides these.
    pub fn unmet_requirements(&self, job: &Job) -> Vec<WaitReason> {
        let needs = match needs_status(self, job) {
            Ok(NeedStatus::Met) => None,
            Ok(_) => Some(self.needs_reason(job)),
        };
        let must_be_approved = match job.state {
            JobState::Pending { wait, .. } => wait.confirm,
            _ => job.definition.scheduling.confirm.is_some(),
        };
        needs.into_iter().chain(must_be_approved.then_some(WaitReason::Confirm)).collect()
    }

    fn needs_reason(&self, job: &Job) -> WaitReason {
        if let Ok(NeedStatus::Failed) = needs_status(self, job)
            && let Ok(Some(reason)) = failed_reason(self, job)
        {
            return WaitReason::NeedsFailed(reason);
        }
        let unfinished = job.needs.iter().filter_map(|need| self.job(need.job));
        let unfinished = unfinished.filter(|needed| needed.phase() != Phase::Finished);
        let name = |needed: &Job| match needed.name() {
            Some(name) if needed.queue == job.queue => name.to_owned(),
            None if needed.queue == job.queue => needed.id.to_string(),
            _ => needed.path(),
        };
        WaitReason::Needs(unfinished.map(name).collect())
    }
}

impl WaitReason {
    /// Whether the job waits for other jobs.
    pub fn is_about_needs(&self) -> bool {
        matches!(self, Self::Needs(_) | Self::NeedsFailed(_))
    }

    /// Whether the job starts once its queue is processed.
    pub fn is_about_mode(&self) -> bool {
        matches!(self, Self::QueueIdle | Self::Schedule { .. } | Self::QueueStopped)
    }

    /// Whether the job waits for other jobs or for approval, which only a forced request overrides.
    pub fn is_requirement(&self) -> bool {
        self.is_about_needs() || *self == Self::Confirm
    }

    /// The reason as one word, as in JSON. Scripts read these words: they never change, also where the name of a reason has.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Needs(_) => "needs",
            Self::NeedsFailed(_) => "lost",
            Self::Confirm => "confirm",
            Self::Time(_) => "time",
            Self::Retry { .. } => "retry",
            Self::QueuePaused => "paused",
            Self::QueueStopped => "stopped",
            Self::Pool { .. } | Self::PoolTurn { .. } => "pool",
            Self::Labels { .. } => "labels",
            Self::FreeSlot => "turn",
            Self::QueueIdle => "process",
            Self::Schedule { .. } => "schedule",
        }
    }

    /// The time that the job waits for, if it waits for one.
    pub fn until(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Time(at) | Self::Retry { at, .. } | Self::Schedule { at, .. } => Some(*at),
            _ => None,
        }
    }

    /// A short description: `needs e2e`, `in 8s`, `attempt 2/3 in 8s`. Empty for a queue that is idle.
    pub fn describe(&self, now: DateTime<Utc>) -> String {
        match self {
            Self::Needs(jobs) => match &jobs[..] {
                [first, rest @ ..] => {
                    let mut text = format!("needs {first}");
                    if !rest.is_empty() {
                        // Writing to a string can't fail.
                        let _ = write!(text, " +{}", rest.len());
                    }
                    text
                }
                [] => "needs other jobs".to_owned(),
            },
            Self::NeedsFailed(reason) => reason.clone(),
            Self::Confirm => "needs approval".to_owned(),
            Self::Time(at) => due_in(*at, now),
            Self::Retry { attempt, max_attempts, at } => {
                format!("attempt {attempt}/{max_attempts} {}", due_in(*at, now)).trim_end().to_owned()
            }
            Self::QueuePaused => "paused".to_owned(),
            Self::QueueStopped => "stopped".to_owned(),
            Self::Pool { pool, held_by, more } => {
                let mut text = format!("waiting for {}", pool_title(pool));
                if let Some((holder, since)) = held_by {
                    let since = text::time_left((now - *since).to_std().unwrap_or_default());
                    // Writing to a string can't fail.
                    let _ = write!(text, " (held by {holder} since {since}");
                    let _ = if *more > 0 { write!(text, ", and {more} more)") } else { write!(text, ")") };
                }
                text
            }
            Self::PoolTurn { pool, first } => format!("waiting for {} ({first} is next)", pool_title(pool)),
            Self::Labels { labels, has_worker: true } => format!("waiting for a worker with {}", labels.join(" and ")),
            Self::Labels { labels, has_worker: false } => {
                let noun = if labels.len() == 1 { "label" } else { "labels" };
                format!("no worker has {noun} {}", labels.join(" and "))
            }
            Self::FreeSlot => "next".to_owned(),
            Self::QueueIdle => String::new(),
            Self::Schedule { at, shown } => format!("next {}", due_at(*at, *shown, now)),
        }
    }
}

/// `at 02:00`, `Mon 02:00` or `2026-12-24 02:00`; with seconds if it is due within a minute.
pub fn due_at(at: DateTime<Utc>, shown: NaiveDateTime, now: DateTime<Utc>) -> String {
    let format = match at - now {
        left if left < TimeDelta::minutes(1) => "at %H:%M:%S",
        left if left < TimeDelta::hours(22) => "at %H:%M",
        left if left < TimeDelta::days(6) => "%a %H:%M",
        _ => "%Y-%m-%d %H:%M",
    };
    shown.format(format).to_string()
}

/// `in 8s`; empty if it is due.
fn due_in(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let Ok(left) = (at - now).to_std() else { return String::new() };
    // Rounded up to whole seconds: `in 0s` would be due.
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    if seconds == 0 { String::new() } else { format!("in {}", text::time_left(Duration::from_secs(seconds))) }
}
