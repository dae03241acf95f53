//! Statistics of each queue, updated with each event, so that no frame has to look at all jobs.
//!
//! They depend only on the current jobs, not on what this screen has seen, so that two screens agree: a job stops counting
//! when it is run again or removed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::{Job, JobState, Outcome, QueueId, QueueMode, QueueState, RunId, SiteState};

/// Finished jobs are counted in time slots of this length.
const SLOT_SECONDS: i64 = 10;
/// Failures are counted over this many slots.
const FAILURE_SLOTS: i64 = 3_600 / SLOT_SECONDS;
/// The rate is measured over this many slots.
const RATE_SLOTS: i64 = 600 / SLOT_SECONDS;
/// How many slots are kept.
const MAX_SLOTS: usize = 1_000;
/// From this progress on, the remaining time of a run is extrapolated.
const MIN_PERCENT: u8 = 3;
/// The last hour is shown in this many parts.
pub(super) const SPARKLINE_CELLS: usize = 12;
/// The rate is measured over at least this time: one job in a second is not sixty in a minute.
const MIN_RATE_SECONDS: f64 = 60.0;

/// The counters of all queues of a site.
#[derive(Debug, Default)]
pub(super) struct SiteStats {
    queues: HashMap<QueueId, QueueCounters>,
}

/// The counters of one queue.
#[derive(Debug, Default)]
struct QueueCounters {
    /// The jobs that finished in each time slot.
    slots: BTreeMap<i64, TimeSlot>,
    /// How many pending jobs were added at which time.
    pending_since: BTreeMap<DateTime<Utc>, usize>,
    /// The durations of the latest runs of all jobs.
    durations: DurationSum,
    /// The durations of the latest runs of pending jobs.
    pending_durations: DurationSum,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TimeSlot {
    ran: usize,
    failed: usize,
}

/// The number and the sum of some durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct DurationSum {
    count: u32,
    sum: Duration,
}

/// The statistics of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QueueStats {
    /// How many jobs have failed in the last hour.
    pub failed: usize,
    /// How many jobs finish per minute.
    pub per_minute: Option<f64>,
    /// When the oldest pending job was added.
    pub oldest_pending: Option<DateTime<Utc>>,
    /// The estimated time until all jobs are finished, if jobs are running.
    pub time_left: Option<Duration>,
}

impl QueueStats {
    /// The statistics of two queues together.
    pub(super) fn combine(self, other: Self) -> Self {
        let sum = |a: Option<f64>, b: Option<f64>| a.map_or(b, |a| Some(a + b.unwrap_or_default()));
        Self {
            failed: self.failed + other.failed,
            per_minute: sum(self.per_minute, other.per_minute),
            oldest_pending: self.oldest_pending.into_iter().chain(other.oldest_pending).min(),
            time_left: self.time_left.max(other.time_left),
        }
    }
}

impl SiteStats {
    /// Counts all jobs of a site, after an unknown change.
    pub(super) fn recount(&mut self, site_state: &SiteState) {
        self.queues.clear();
        for job in site_state.jobs() {
            self.add(job);
        }
    }

    /// Counts a job as it is now.
    pub(super) fn add(&mut self, job: &Job) {
        if !self.queues.contains_key(&job.queue) {
            self.queues.insert(job.queue.clone(), QueueCounters::default());
        }
        if let Some(counters) = self.queues.get_mut(&job.queue) {
            counters.add(job);
        }
    }

    /// Stops counting a job that is about to change.
    pub(super) fn remove(&mut self, job: &Job) {
        if let Some(counters) = self.queues.get_mut(&job.queue) {
            counters.remove(job);
        }
    }

    /// The statistics of a queue; `percent` returns the progress that a run has reported.
    pub(super) fn stats(
        &self,
        queue: &QueueId,
        record: &QueueState,
        site_state: &SiteState,
        percent: impl Fn(RunId) -> Option<u8>,
        now: DateTime<Utc>,
    ) -> QueueStats {
        let Some(counters) = self.queues.get(queue) else { return QueueStats::default() };
        let slot = slot(now);
        let failed = counters.slots.range(slot - FAILURE_SLOTS + 1..).map(|(_, slot)| slot.failed).sum();
        // Jobs of an idle queue aren't waiting.
        let is_active = record.mode != QueueMode::Idle || !record.running.is_empty();
        let oldest = counters.pending_since.first_key_value().map(|(since, _)| *since).filter(|_| is_active);
        QueueStats {
            failed,
            per_minute: counters.rate(now),
            oldest_pending: oldest,
            time_left: counters.time_left(record, site_state, percent, now),
        }
    }

    /// How many jobs of a queue finished in each part of the last hour, the latest last.
    pub(super) fn last_hour(&self, queue: &QueueId, now: DateTime<Utc>) -> [usize; SPARKLINE_CELLS] {
        let mut parts = [0; SPARKLINE_CELLS];
        let Some(counters) = self.queues.get(queue) else { return parts };
        let first = slot(now) - FAILURE_SLOTS + 1;
        for (slot, counts) in counters.slots.range(first..) {
            let index = usize::try_from((slot - first) * 12 / FAILURE_SLOTS).unwrap_or(0);
            parts[index.min(SPARKLINE_CELLS - 1)] += counts.ran;
        }
        parts
    }

    /// When the statistics of a queue change without an event.
    pub(super) fn next_change(&self, queue: &QueueId, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let counters = self.queues.get(queue)?;
        let slot = slot(now);
        let recent = counters.slots.range(slot - RATE_SLOTS + 1..).any(|(_, slot)| slot.ran > 0);
        let failed = counters.slots.range(slot - FAILURE_SLOTS + 1..).find(|(_, slot)| slot.failed > 0);
        let change = if recent { Some(slot + 1) } else { failed.map(|(slot, _)| slot + FAILURE_SLOTS) };
        change.and_then(|slot| DateTime::from_timestamp(slot * SLOT_SECONDS, 0))
    }
}

impl QueueCounters {
    fn add(&mut self, job: &Job) {
        if let Some(took) = duration_of(job) {
            self.durations.add(took);
        }
        match &job.state {
            JobState::Pending { .. } => {
                *self.pending_since.entry(job.enqueued).or_default() += 1;
                if let Some(took) = duration_of(job) {
                    self.pending_durations.add(took);
                }
            }
            JobState::Running { .. } => {}
            JobState::Finished { .. } => self.count(job, usize::saturating_add),
        }
    }

    fn remove(&mut self, job: &Job) {
        if let Some(took) = duration_of(job) {
            self.durations.remove(took);
        }
        match &job.state {
            JobState::Pending { .. } => {
                if let Some(count) = self.pending_since.get_mut(&job.enqueued) {
                    *count -= 1;
                    if *count == 0 {
                        self.pending_since.remove(&job.enqueued);
                    }
                }
                if let Some(took) = duration_of(job) {
                    self.pending_durations.remove(took);
                }
            }
            JobState::Running { .. } => {}
            JobState::Finished { .. } => self.count(job, usize::saturating_sub),
        }
    }

    /// Changes the counts of the slot of a finished job.
    fn count(&mut self, job: &Job, change: fn(usize, usize) -> usize) {
        let Some((at, one)) = slot_of(job) else { return };
        let slot = self.slots.entry(at).or_default();
        slot.ran = change(slot.ran, one.ran);
        slot.failed = change(slot.failed, one.failed);
        // Dropped slots are long out of every window.
        if self.slots.len() > MAX_SLOTS {
            self.slots.pop_first();
        }
    }

    /// How many jobs finish per minute.
    fn rate(&self, now: DateTime<Utc>) -> Option<f64> {
        let mut slots = self.slots.range(slot(now) - RATE_SLOTS + 1..).filter(|(_, slot)| slot.ran > 0).peekable();
        let (first, _) = slots.peek()?;
        let since = DateTime::from_timestamp(**first * SLOT_SECONDS, 0)?;
        let seconds = (now - since).as_seconds_f64().max(MIN_RATE_SECONDS);
        let ran: usize = slots.map(|(_, slot)| slot.ran).sum();
        Some(60.0 * f64::from(u32::try_from(ran).ok()?) / seconds)
    }

    /// The estimated time to finish all pending and running jobs: each takes as long as its latest run did, or else the
    /// mean of the others, unless its reported progress is extrapolated. `None` if all running jobs have taken longer than
    /// that: how long they will take is unknown.
    fn time_left(
        &self,
        record: &QueueState,
        site_state: &SiteState,
        percent: impl Fn(RunId) -> Option<u8>,
        now: DateTime<Utc>,
    ) -> Option<Duration> {
        if self.durations.count == 0 || record.mode != QueueMode::Processing || record.running.is_empty() {
            return None;
        }
        let mean = self.durations.sum / self.durations.count;
        let unknown = u32::try_from(record.pending.len()).ok()?.saturating_sub(self.pending_durations.count);
        let pending = mean.checked_mul(unknown)?.checked_add(self.pending_durations.sum)?;
        let runs = record.running.iter().filter_map(|id| site_state.job(*id)?.last_run.as_ref());
        let rest = runs.filter_map(|run| {
            let elapsed = (now - run.started).to_std().unwrap_or_default();
            // Extrapolate from reported progress.
            if let Some(done @ MIN_PERCENT..) = percent(run.id) {
                return Some(elapsed * u32::from(100 - done.min(100)) / u32::from(done));
            }
            mean.checked_sub(elapsed)
        });
        let rest: Vec<Duration> = rest.collect();
        let longest = *rest.iter().max()?;
        let sum = pending + rest.iter().sum::<Duration>();
        Some((sum / record.settings.max_parallel().max(1)).max(longest))
    }
}

impl DurationSum {
    fn add(&mut self, time: Duration) {
        self.count += 1;
        self.sum += time;
    }

    fn remove(&mut self, time: Duration) {
        self.count -= 1;
        self.sum -= time;
    }
}

/// How long the latest run of a job took, if it succeeded or failed.
fn duration_of(job: &Job) -> Option<Duration> {
    let run = job.last_run.as_ref()?;
    let is_complete = matches!(run.end.as_ref()?.outcome, Outcome::Succeeded | Outcome::Failed(_));
    if is_complete { run.duration() } else { None }
}

/// The time slot of a finished job, and its counts there.
fn slot_of(job: &Job) -> Option<(i64, TimeSlot)> {
    let JobState::Finished { outcome, at } = &job.state else { return None };
    let failed = matches!(outcome, Outcome::Failed(_) | Outcome::Interrupted | Outcome::Unreachable { .. });
    let ran = failed || *outcome == Outcome::Succeeded;
    Some((slot(*at), TimeSlot { ran: usize::from(ran), failed: usize::from(failed) }))
}

fn slot(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(SLOT_SECONDS)
}
