//! What runs have waited for, and the critical path: the chain of runs that determined when the last of them ended.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Job, JobId, QueueId, RunId, RunSpan, SiteState};

/// A run starts at most this long after what it waited for.
const MAX_START_DELAY: TimeDelta = TimeDelta::seconds(2);

/// Why a run started when it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathLink {
    /// It waited for no other run.
    First,
    /// It needed the previous run of the path.
    Need,
    /// The previous run of the path had its slot.
    Slot,
    /// The previous run of the path held units of this pool.
    Pool(Arc<str>),
    /// The previous run of the path was an earlier attempt.
    Retry,
}

/// A run of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// The job.
    pub job: JobId,
    /// The run.
    pub run: RunId,
    /// Why it started when it did.
    pub link: PathLink,
}

/// Runs by time, to find what a run has waited for. Which units, slots and needs there were is taken from the jobs as they are
/// now.
pub struct RunsByEnd<'a> {
    site: &'a SiteState,
    by_queue: HashMap<&'a QueueId, Ends<'a>>,
    by_job: HashMap<JobId, Ends<'a>>,
    by_pool: HashMap<&'a str, Ends<'a>>,
    /// The runs of each queue that have not ended.
    running: HashMap<&'a QueueId, Vec<&'a RunSpan>>,
}

/// The ends of runs, in order.
#[derive(Default)]
struct Ends<'a>(Vec<(DateTime<Utc>, &'a RunSpan)>);

impl<'a> Ends<'a> {
    /// The run that ended last until `at`, but not before `since`.
    fn latest(&self, at: DateTime<Utc>, since: DateTime<Utc>, except: RunId) -> Option<&'a RunSpan> {
        let after = self.0.partition_point(|(end, _)| *end <= at);
        let mut before = self.0[..after].iter().rev().take_while(|(end, _)| *end >= since);
        before.find(|(_, span)| span.run != except && span.started <= at).map(|(_, span)| *span)
    }

    /// The runs that were running at this time.
    fn running_at(&self, at: DateTime<Utc>) -> impl Iterator<Item = &'a RunSpan> {
        let first = self.0.partition_point(|(end, _)| *end < at);
        self.0[first..].iter().map(|(_, span)| *span).filter(move |span| span.started < at)
    }
}

impl<'a> RunsByEnd<'a> {
    /// Of these `runs`, those of one job are in order.
    pub fn new(site: &'a SiteState, runs: &[&'a RunSpan]) -> Self {
        let mut found = Self {
            site,
            by_queue: HashMap::new(),
            by_job: HashMap::new(),
            by_pool: HashMap::new(),
            running: HashMap::new(),
        };
        for span in runs {
            let Some(job) = site.job(span.job) else { continue };
            let Some(end) = span.ended else {
                found.running.entry(&job.queue).or_default().push(span);
                continue;
            };
            found.by_queue.entry(&job.queue).or_default().0.push((end, span));
            found.by_job.entry(span.job).or_default().0.push((end, span));
            for wanted in &job.definition.scheduling.uses {
                found.by_pool.entry(&*wanted.pool).or_default().0.push((end, span));
            }
        }
        let all = found.by_queue.values_mut().chain(found.by_job.values_mut()).chain(found.by_pool.values_mut());
        all.for_each(|ends| ends.0.sort_by_key(|(end, _)| *end));
        found
    }

    /// The run for whose end a run waited, if it did, and why.
    pub fn awaited_by(&self, span: &RunSpan) -> Option<(&'a RunSpan, PathLink)> {
        let job = self.site.job(span.job)?;
        let (at, since) = (span.started, span.started - MAX_START_DELAY);
        let waited_since = job.waited_since(span);
        let of_job = |id: JobId, since| self.by_job.get(&id).and_then(|ends| ends.latest(at, since, span.run));
        // The attempt before a retry ended when its delay began.
        let is_retry = span.attempt > job.prior_attempts + 1;
        let attempt = of_job(job.id, if is_retry { DateTime::UNIX_EPOCH } else { since });
        let attempt = attempt.filter(|earlier| {
            earlier.outcome.as_ref().is_some_and(|outcome| !outcome.is_success()) && waited_since.is_none()
        });
        let need = job.needs.iter().filter_map(|need| of_job(need.job, since)).max_by_key(|span| span.ended);
        // What it had to wait for was still there when it began to wait.
        let while_it_waited = |other: &&RunSpan| waited_since.is_none_or(|since| other.ended > Some(since));
        let pools = job.definition.scheduling.uses.iter().filter_map(|wanted| {
            let holder = self.by_pool.get(&*wanted.pool)?.latest(at, since, span.run).filter(while_it_waited)?;
            Some((holder, PathLink::Pool(Arc::clone(&wanted.pool))))
        });
        let slot = self.by_queue.get(&job.queue).and_then(|ends| ends.latest(at, since, span.run));
        let slot = slot.filter(while_it_waited).filter(|other| self.was_full(job, other));
        let slot = slot.map(|span| (span, PathLink::Slot));
        // Of several that ended together, a need explains more than a pool, and that more than a slot.
        let others = slot.into_iter().chain(attempt.map(|span| (span, PathLink::Retry))).chain(pools);
        others.chain(need.map(|span| (span, PathLink::Need))).max_by_key(|(span, _)| span.ended)
    }

    /// Whether the queue of a job had no slot for it until this run ended.
    fn was_full(&self, job: &Job, last: &RunSpan) -> bool {
        let (Some(queue), Some(end)) = (self.site.queue(&job.queue), last.ended) else { return false };
        let weight =
            |span: &RunSpan| self.site.job(span.job).map_or(1, |job| u64::from(job.definition.scheduling.weight));
        let ended = self.by_queue.get(&job.queue).into_iter().flat_map(|ends| ends.running_at(end));
        let running = self.running.get(&job.queue).into_iter().flatten().copied().filter(|span| span.started < end);
        let taken: u64 = ended.chain(running).map(weight).sum();
        taken + u64::from(job.definition.scheduling.weight) > u64::from(queue.settings.max_parallel())
    }
}

/// The path to the run that ended last, or that has been running longest; oldest run first. Of these `runs`, those of one
/// job are in order.
pub fn critical_path(site: &SiteState, runs: &[&RunSpan]) -> Vec<PathStep> {
    let longest = runs.iter().filter(|span| span.ended.is_none()).min_by_key(|span| span.started);
    let Some(last) = longest.or_else(|| runs.iter().max_by_key(|span| span.ended)) else { return Vec::new() };
    let runs = RunsByEnd::new(site, runs);
    let (mut path, mut seen) = (Vec::new(), HashSet::new());
    let mut next = Some(*last);
    while let Some(span) = next.take().filter(|span| seen.insert(span.run)) {
        let awaited = runs.awaited_by(span);
        next = awaited.as_ref().map(|(previous, _)| *previous);
        let link = awaited.map_or(PathLink::First, |(_, link)| link);
        path.push(PathStep { job: span.job, run: span.run, link });
    }
    path.reverse();
    // A path that ends in a circle of equal times starts with what is left.
    if let Some(first) = path.first_mut() {
        first.link = PathLink::First;
    }
    path
}

impl Job {
    /// Since when it had waited for this run, if that is known: since it became pending, for the first run after that.
    pub fn waited_since(&self, span: &RunSpan) -> Option<DateTime<Utc>> {
        let is_first = span.attempt == self.prior_attempts + 1;
        (is_first && self.enqueued <= span.started).then_some(self.enqueued)
    }
}
