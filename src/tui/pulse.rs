//! How each queue goes, in numbers: kept up to date by what happens, so that no frame looks at all jobs.
//!
//! Each number is told by the jobs as they are, not by what this screen has seen, so that two screens agree: a job counts
//! while it is where it is, and no longer when it is run again or removed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Job, Ledger, Mode, Outcome, QueueId, QueueRecord, RunId, State};

/// What has finished is counted in slots of so many seconds.
const SLOT: i64 = 10;
/// Failures are counted for this long.
const WINDOW: i64 = 3_600 / SLOT;
/// The rate is that of so many slots.
const PACE: i64 = 600 / SLOT;
/// So many slots are held.
const HELD: usize = 1_000;
/// From so many percent on, a run's progress says how long it takes.
const FIRST_PERCENT: u8 = 3;
/// What is counted for less than this makes no rate: one job in a second is not sixty in a minute.
const SHORTEST: f64 = 60.0;

/// What is counted of all queues of a site.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    queues: HashMap<QueueId, Beat>,
}

/// What is counted of one queue.
#[derive(Debug, Default)]
struct Beat {
    /// What finished in each slot of the last hour.
    slots: BTreeMap<i64, Slot>,
    /// How many pending jobs wait since when.
    waiting: BTreeMap<DateTime<Utc>, usize>,
    /// What the latest runs of all jobs took.
    past: Times,
    /// What those of the pending jobs took.
    ahead: Times,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slot {
    ran: usize,
    failed: usize,
}

/// So many times, and how long they are together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Times {
    count: u32,
    sum: Duration,
}

/// How a queue goes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Numbers {
    /// How many of its finished jobs have failed in the last hour.
    pub failed: usize,
    /// How many jobs ran to an end per minute of late.
    pub per_minute: Option<f64>,
    /// Since when the pending job waits that waits for the longest.
    pub oldest: Option<DateTime<Utc>>,
    /// How long it takes until nothing is left, if jobs run and nothing takes longer than before.
    pub left: Option<Duration>,
}

impl Numbers {
    /// How two queues go together.
    pub(super) fn and(self, other: Self) -> Self {
        let sum = |a: Option<f64>, b: Option<f64>| a.map_or(b, |a| Some(a + b.unwrap_or_default()));
        Self {
            failed: self.failed + other.failed,
            per_minute: sum(self.per_minute, other.per_minute),
            oldest: self.oldest.into_iter().chain(other.oldest).min(),
            left: self.left.max(other.left),
        }
    }
}

impl Pulse {
    /// Counts all jobs of a site, when nobody knows what has changed.
    pub(super) fn recount(&mut self, ledger: &Ledger) {
        self.queues.clear();
        for job in ledger.jobs() {
            self.enter(job);
        }
    }

    /// A job is now like this.
    pub(super) fn enter(&mut self, job: &Job) {
        if !self.queues.contains_key(&job.queue) {
            self.queues.insert(job.queue.clone(), Beat::default());
        }
        if let Some(beat) = self.queues.get_mut(&job.queue) {
            beat.enter(job);
        }
    }

    /// A job that was like this is about to change.
    pub(super) fn leave(&mut self, job: &Job) {
        if let Some(beat) = self.queues.get_mut(&job.queue) {
            beat.leave(job);
        }
    }

    /// The numbers of a queue; `percent` tells how far a run says it is.
    pub(super) fn numbers(
        &self,
        queue: &QueueId,
        record: &QueueRecord,
        ledger: &Ledger,
        percent: impl Fn(RunId) -> Option<u8>,
        now: DateTime<Utc>,
    ) -> Numbers {
        let Some(beat) = self.queues.get(queue) else { return Numbers::default() };
        let slot = slot(now);
        let failed = beat.slots.range(slot - WINDOW + 1..).map(|(_, slot)| slot.failed).sum();
        // Nobody waits for a queue that nobody has asked to be processed.
        let goes = record.mode != Mode::Idle || !record.running.is_empty();
        let oldest = beat.waiting.first_key_value().map(|(since, _)| *since).filter(|_| goes);
        Numbers { failed, per_minute: beat.pace(now), oldest, left: beat.left(record, ledger, percent, now) }
    }

    /// When the numbers of a queue will be others though nothing happens.
    pub(super) fn next_change(&self, queue: &QueueId, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let beat = self.queues.get(queue)?;
        let slot = slot(now);
        let recent = beat.slots.range(slot - PACE + 1..).any(|(_, slot)| slot.ran > 0);
        let failed = beat.slots.range(slot - WINDOW + 1..).find(|(_, slot)| slot.failed > 0);
        let change = if recent { Some(slot + 1) } else { failed.map(|(slot, _)| slot + WINDOW) };
        change.and_then(|slot| DateTime::from_timestamp(slot * SLOT, 0))
    }
}

impl Beat {
    fn enter(&mut self, job: &Job) {
        if let Some(took) = took(job) {
            self.past.add(took);
        }
        match &job.state {
            State::Pending { .. } => {
                *self.waiting.entry(job.enqueued).or_default() += 1;
                if let Some(took) = took(job) {
                    self.ahead.add(took);
                }
            }
            State::Running { .. } => {}
            State::Finished { .. } => self.count(job, usize::saturating_add),
        }
    }

    fn leave(&mut self, job: &Job) {
        if let Some(took) = took(job) {
            self.past.take(took);
        }
        match &job.state {
            State::Pending { .. } => {
                if let Some(count) = self.waiting.get_mut(&job.enqueued) {
                    *count -= 1;
                    if *count == 0 {
                        self.waiting.remove(&job.enqueued);
                    }
                }
                if let Some(took) = took(job) {
                    self.ahead.take(took);
                }
            }
            State::Running { .. } => {}
            State::Finished { .. } => self.count(job, usize::saturating_sub),
        }
    }

    /// Counts a finished job in its slot, or no longer.
    fn count(&mut self, job: &Job, change: fn(usize, usize) -> usize) {
        let Some((at, one)) = finished(job) else { return };
        let slot = self.slots.entry(at).or_default();
        slot.ran = change(slot.ran, one.ran);
        slot.failed = change(slot.failed, one.failed);
        // Those that are forgotten are long out of the window.
        if self.slots.len() > HELD {
            self.slots.pop_first();
        }
    }

    /// How many jobs ran to an end in a minute of late.
    fn pace(&self, now: DateTime<Utc>) -> Option<f64> {
        let mut slots = self.slots.range(slot(now) - PACE + 1..).filter(|(_, slot)| slot.ran > 0).peekable();
        let (first, _) = slots.peek()?;
        let since = DateTime::from_timestamp(**first * SLOT, 0)?;
        let seconds = (now - since).as_seconds_f64().max(SHORTEST);
        let ran: usize = slots.map(|(_, slot)| slot.ran).sum();
        Some(60.0 * f64::from(u32::try_from(ran).ok()?) / seconds)
    }

    /// How long it takes to run what is pending and to end what runs, if each takes as long as its latest run did, or
    /// else as long as those of the others on average; or, if it tells its progress, as that goes on.
    fn left(
        &self,
        record: &QueueRecord,
        ledger: &Ledger,
        percent: impl Fn(RunId) -> Option<u8>,
        now: DateTime<Utc>,
    ) -> Option<Duration> {
        if self.past.count == 0 || record.mode != Mode::Processing || record.running.is_empty() {
            return None;
        }
        let mean = self.past.sum / self.past.count;
        let unknown = u32::try_from(record.pending.len()).ok()?.saturating_sub(self.ahead.count);
        let pending = mean.checked_mul(unknown)?.checked_add(self.ahead.sum)?;
        let runs = record.running.iter().filter_map(|id| ledger.job(*id)?.last_run.as_ref());
        let rest = runs.map(|run| {
            let elapsed = (now - run.started).to_std().unwrap_or_default();
            // What says how far it is is taken at its word, once that says something.
            if let Some(done @ FIRST_PERCENT..) = percent(run.id) {
                return elapsed * u32::from(100 - done.min(100)) / u32::from(done);
            }
            // What has taken longer than others is likely to go on for as long again.
            mean.checked_sub(elapsed).unwrap_or(elapsed)
        });
        let (sum, longest) =
            rest.fold((pending, Duration::ZERO), |(sum, longest), rest| (sum + rest, longest.max(rest)));
        Some((sum / record.settings.parallel.max(1)).max(longest))
    }
}

impl Times {
    fn add(&mut self, time: Duration) {
        self.count += 1;
        self.sum += time;
    }

    fn take(&mut self, time: Duration) {
        self.count -= 1;
        self.sum -= time;
    }
}

/// How long the latest run of a job took, if it ran to an end.
fn took(job: &Job) -> Option<Duration> {
    let run = job.last_run.as_ref()?;
    let ending = run.ending.as_ref()?;
    let whole = matches!(ending.outcome, Outcome::Succeeded | Outcome::Failed(_));
    if whole { (ending.at - run.started).to_std().ok() } else { None }
}

/// In which slot a finished job belongs, and as what it counts there.
fn finished(job: &Job) -> Option<(i64, Slot)> {
    let State::Finished { outcome, at } = &job.state else { return None };
    let failed = matches!(outcome, Outcome::Failed(_) | Outcome::Interrupted);
    let ran = failed || *outcome == Outcome::Succeeded;
    Some((slot(*at), Slot { ran: usize::from(ran), failed: usize::from(failed) }))
}

fn slot(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(SLOT)
}

/// A time that is as exact as people want it: `45s`, `8m`, `2h 10m`, `3d 4h`.
pub(super) fn about(time: TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h {minutes:02}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}
