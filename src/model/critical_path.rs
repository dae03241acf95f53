//! The critical path: the chain of runs that determined when the last of them ended.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Job, JobId, QueueId, RunId, RunSpan, SiteState};

/// A run starts at most this long after what it waited for.
const MAX_START_DELAY: TimeDelta = TimeDelta::seconds(2);

/// Why a run of the path started when it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathLink {
    /// It waited for no other run of the path.
    First,
    /// It needed the previous run of the path.
    Need,
    /// The previous run of the path had its slot.
    Slot,
    /// The previous run of the path was an earlier attempt.
    Retry,
}

/// A run of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// The job.
    pub job: JobId,
    /// The run.
    pub run: RunId,
    /// Why it started when it did.
    pub link: PathLink,
}

/// The ends of runs by time, to find what ended last before a run started.
struct Ends<'a>(Vec<(DateTime<Utc>, &'a RunSpan)>);

impl<'a> Ends<'a> {
    /// The run that ended last until `at`, but not before `since`.
    fn latest(&self, at: DateTime<Utc>, since: DateTime<Utc>, except: RunId) -> Option<&'a RunSpan> {
        let after = self.0.partition_point(|(end, _)| *end <= at);
        let mut before = self.0[..after].iter().rev().take_while(|(end, _)| *end >= since);
        before.find(|(_, span)| span.run != except && span.started <= at).map(|(_, span)| *span)
    }
}

/// The path to the run that ended last, or that has been running longest; oldest run first. Of these `runs`, those of one
/// job are in order.
pub fn critical_path(site: &SiteState, runs: &[&RunSpan]) -> Vec<PathStep> {
    let longest = runs.iter().filter(|span| span.ended.is_none()).min_by_key(|span| span.started);
    let Some(last) = longest.or_else(|| runs.iter().max_by_key(|span| span.ended)) else { return Vec::new() };
    let mut by_queue: HashMap<&QueueId, Vec<(DateTime<Utc>, &RunSpan)>> = HashMap::new();
    let mut by_job: HashMap<JobId, Vec<(DateTime<Utc>, &RunSpan)>> = HashMap::new();
    for span in runs {
        let (Some(end), Some(job)) = (span.ended, site.job(span.job)) else { continue };
        by_queue.entry(&job.queue).or_default().push((end, span));
        by_job.entry(span.job).or_default().push((end, span));
    }
    let sorted = |mut ends: Vec<(DateTime<Utc>, _)>| {
        ends.sort_by_key(|(end, _)| *end);
        Ends(ends)
    };
    let by_queue: HashMap<_, _> = by_queue.into_iter().map(|(queue, ends)| (queue, sorted(ends))).collect();
    let by_job: HashMap<_, _> = by_job.into_iter().map(|(job, ends)| (job, sorted(ends))).collect();
    let (mut path, mut seen) = (Vec::new(), HashSet::new());
    let mut next = Some(*last);
    while let Some(span) = next.take().filter(|span| seen.insert(span.run)) {
        let (at, since) = (span.started, span.started - MAX_START_DELAY);
        let mut link = PathLink::First;
        if let Some(job) = site.job(span.job) {
            let waited = job.waited_since(span).is_none_or(|waited| waited < at);
            let of_job = |id: JobId, since| by_job.get(&id).and_then(|ends| ends.latest(at, since, span.run));
            // A retry follows the attempt before it, after its delay.
            let is_retry = span.attempt > job.prior_attempts + 1;
            let attempt = of_job(job.id, if is_retry { DateTime::UNIX_EPOCH } else { since });
            let attempt = attempt.map(|span| (span, PathLink::Retry));
            let need = job.needs.iter().filter_map(|need| of_job(need.job, since)).max_by_key(|span| span.ended);
            let slot = by_queue.get(&job.queue).and_then(|ends| ends.latest(at, since, span.run));
            let slot =
                slot.filter(|other| waited && job.waited_since(span).is_none_or(|since| other.ended > Some(since)));
            let candidates =
                [slot.map(|span| (span, PathLink::Slot)), attempt, need.map(|span| (span, PathLink::Need))];
            // Of several that ended together, a need explains more than a slot.
            if let Some((previous, why)) = candidates.into_iter().flatten().max_by_key(|(span, _)| span.ended) {
                (next, link) = (Some(previous), why);
            }
        }
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
