//! Scheduling in the reference: needs, the next job, finished queues and retries.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use setlist::model::{Exit, Outcome, OutcomeCondition, Phase, QueueId, QueueMode, RetryOn, RunReport, SkipKind};

use super::{Reference, ReferenceJob, ReferenceQueue, ReferenceState};

/// The status of one need of a job.
enum Need {
    Met,
    Open,
    Lost(String),
}

impl Reference {
    /// Updates all jobs at once from the jobs that they need, until nothing changes. Then finished queues become idle.
    pub(super) fn propagate(&mut self, by_file: bool, now: DateTime<Utc>) {
        loop {
            let before = self.clone();
            for ref_job in self.jobs.iter_mut().filter(|ref_job| ref_job.removed.is_none()) {
                let processing = before.mode(ref_job.queue) == QueueMode::Processing;
                match &ref_job.stage {
                    ReferenceState::Pending { requested, forced: false, .. } if processing || *requested => {
                        if let Some(reason) = before.failed_need(ref_job) {
                            ref_job.stage = ReferenceState::Finished {
                                outcome: Outcome::Skipped { reason: reason.into(), by: SkipKind::Needs },
                                at: now,
                            };
                        }
                    }
                    ReferenceState::Finished { outcome: Outcome::Skipped { .. }, .. } if before.all_met(ref_job) => {
                        // It was skipped while processing, so it runs now; but reconciliation starts nothing.
                        let (requested, confirm) =
                            (!processing && !by_file, ref_job.definition.scheduling.confirm.is_some());
                        let stage = ReferenceState::Pending { requested, until: None, confirm, forced: false };
                        ref_job.make_pending(stage, now);
                    }
                    _ => {}
                }
            }
            if *self == before {
                break;
            }
        }
        let active_queues = self.active_queues(true);
        for ref_queue in &mut self.queues {
            if ref_queue.mode == QueueMode::Processing && !active_queues.contains(ref_queue.name) {
                ref_queue.mode = QueueMode::Idle;
            }
        }
    }

    /// The processing queues in which a job will start or end without further commands, or with an approval only.
    pub(super) fn active_queues(&self, with_approvals: bool) -> BTreeSet<&'static str> {
        let mut active_queues = BTreeSet::new();
        loop {
            let found = |ref_queue: &&ReferenceQueue| {
                ref_queue.mode == QueueMode::Processing
                    && self.is_active(ref_queue.name, &active_queues, with_approvals)
            };
            let now: BTreeSet<_> = self.queues.iter().filter(found).map(|ref_queue| ref_queue.name).collect();
            if now == active_queues {
                return active_queues;
            }
            active_queues = now;
        }
    }

    fn is_active(&self, queue: &str, others: &BTreeSet<&str>, with_approvals: bool) -> bool {
        let mut own = self.jobs.iter().filter(|ref_job| ref_job.queue == queue && ref_job.removed.is_none());
        own.any(|ref_job| match ref_job.stage {
            ReferenceState::Finished { .. } => false,
            ReferenceState::Pending { .. } if self.has_unmet_needs(ref_job) => {
                let is_excluded = matches!(ref_job.stage, ReferenceState::Pending { confirm: true, .. });
                (with_approvals || !is_excluded)
                    && self.any_need_comes(ref_job, others, with_approvals, &mut BTreeSet::from([ref_job.id]))
            }
            ReferenceState::Pending { until: None, confirm, .. } => !confirm || with_approvals,
            ReferenceState::Running { .. } | ReferenceState::Pending { .. } => true,
        })
    }

    /// Whether a job that `ref_job` needs is running or will run.
    fn any_need_comes(
        &self,
        ref_job: &ReferenceJob,
        others: &BTreeSet<&str>,
        with_approvals: bool,
        seen: &mut BTreeSet<u64>,
    ) -> bool {
        ref_job.needs.iter().any(|(id, _)| {
            let needed = &self.jobs[usize::try_from(*id).unwrap() - 1];
            // A paused queue will be resumed.
            let is_other = needed.queue != ref_job.queue
                && (others.contains(needed.queue) || self.mode(needed.queue) == QueueMode::Paused);
            match needed.stage {
                _ if needed.removed.is_some() => false,
                ReferenceState::Running { .. } => true,
                ReferenceState::Finished { .. } => false,
                ReferenceState::Pending { confirm: true, .. } if !with_approvals => false,
                ReferenceState::Pending { .. } if is_other => true,
                ReferenceState::Pending { requested, .. } => {
                    requested
                        && (!self.has_unmet_needs(needed)
                            || (seen.insert(*id) && self.any_need_comes(needed, others, with_approvals, seen)))
                }
            }
        })
    }

    fn need(&self, id: u64, on: OutcomeCondition) -> Need {
        let needed = &self.jobs[usize::try_from(id).unwrap() - 1];
        let ReferenceState::Finished { outcome, .. } = &needed.stage else {
            let failed_need = || Need::Lost(format!("needs {}, which was removed", needed.path()));
            return needed.removed.map_or(Need::Open, |_| failed_need());
        };
        let became = match outcome {
            Outcome::Succeeded => "succeeded",
            Outcome::Failed(_) => "failed",
            Outcome::Cancelled => "was cancelled",
            Outcome::Interrupted | Outcome::Unreachable { .. } => "was interrupted",
            Outcome::Skipped { .. } => "was skipped",
        };
        match on {
            OutcomeCondition::Finish => Need::Met,
            OutcomeCondition::Success if became == "succeeded" => Need::Met,
            OutcomeCondition::Failure if ["failed", "was interrupted"].contains(&became) => Need::Met,
            OutcomeCondition::Success => Need::Lost(format!("needs {}, which {became}", needed.path())),
            OutcomeCondition::Failure => Need::Lost(format!("needs {} to fail, which {became}", needed.path())),
        }
    }

    fn all_met(&self, ref_job: &ReferenceJob) -> bool {
        ref_job.needs.iter().all(|(id, on)| matches!(self.need(*id, *on), Need::Met))
    }

    /// Why its needs have failed, if they have.
    pub(super) fn failed_need(&self, ref_job: &ReferenceJob) -> Option<String> {
        ref_job
            .needs
            .iter()
            .find_map(|(id, on)| if let Need::Lost(why) = self.need(*id, *on) { Some(why) } else { None })
    }

    pub(super) fn has_unmet_needs(&self, ref_job: &ReferenceJob) -> bool {
        !ref_job.forced() && !self.all_met(ref_job)
    }

    /// The due time of a job that waits only for a time.
    pub(super) fn scheduled_time(&self, ref_job: &ReferenceJob) -> Option<DateTime<Utc>> {
        match ref_job.stage {
            _ if ref_job.removed.is_some() || self.has_unmet_needs(ref_job) => None,
            ReferenceState::Pending { until, .. } => until,
            _ => None,
        }
    }

    pub(super) fn is_ready(&self, ref_job: &ReferenceJob) -> bool {
        let waits = !matches!(ref_job.stage, ReferenceState::Pending { until: None, confirm: false, .. });
        !waits && ref_job.removed.is_none() && !self.has_unmet_needs(ref_job)
    }

    fn mode(&self, queue: &str) -> QueueMode {
        self.queues.iter().find(|ref_queue| ref_queue.name == queue).unwrap().mode
    }

    pub(in super::super) fn list(&self, queue: &str, phase: Phase) -> Vec<u64> {
        let own =
            |ref_job: &&ReferenceJob| ref_job.queue == queue && ref_job.removed.is_none() && ref_job.phase() == phase;
        let mut ref_jobs: Vec<_> = self.jobs.iter().filter(own).collect();
        let finished = |ref_job: &ReferenceJob| {
            if let ReferenceState::Finished { at, .. } = ref_job.stage { Some(at) } else { None }
        };
        match phase {
            Phase::Pending => {
                ref_jobs.sort_by_key(|ref_job| (Reverse(ref_job.definition.scheduling.priority), ref_job.place));
            }
            Phase::Running => ref_jobs.sort_by_key(|ref_job| (ref_job.started, ref_job.run)),
            Phase::Finished => ref_jobs.sort_by_key(|ref_job| (finished(ref_job), ref_job.run)),
        }
        ref_jobs.into_iter().map(|ref_job| ref_job.id).collect()
    }

    pub(super) fn count_unfinished(&self, queue: &str) -> usize {
        self.list(queue, Phase::Pending).len() + self.list(queue, Phase::Running).len()
    }

    /// The number of used slots of a queue.
    pub(in super::super) fn taken(&self, queue: &str) -> u32 {
        let weight = |id: u64| self.jobs[usize::try_from(id).unwrap() - 1].definition.scheduling.weight;
        self.list(queue, Phase::Running).into_iter().map(weight).sum()
    }

    /// The next job: a requested one, or else the first ready one. If it needs more slots than are free, its queue waits.
    pub(super) fn next(&self, queues: Option<&[QueueId]>) -> Option<u64> {
        let wanted = |ref_queue: &&ReferenceQueue| queues.is_none_or(|queues| queues.contains(&ref_queue.name.into()));
        self.queues.iter().filter(wanted).find_map(|ref_queue| {
            let (taken, mode) = (self.taken(ref_queue.name), ref_queue.mode);
            let pending = self.list(ref_queue.name, Phase::Pending);
            let pending = pending.into_iter().map(|id| &self.jobs[usize::try_from(id).unwrap() - 1]);
            let ready: Vec<_> =
                pending.filter(|ref_job| self.is_ready(ref_job) && !self.is_reserved(ref_job.id)).collect();
            let requested = ready.iter().find(|ref_job| ref_job.requested());
            let next = requested.or(ready.first().filter(|_| mode == QueueMode::Processing))?;
            let fits = taken == 0 || taken + next.definition.scheduling.weight <= ref_queue.slots();
            fits.then_some(next.id)
        })
    }

    /// When the next scheduled job is due.
    pub(super) fn next_time(&self, queues: Option<&[QueueId]>) -> Option<DateTime<Utc>> {
        let wanted = |ref_queue: &&ReferenceQueue| queues.is_none_or(|queues| queues.contains(&ref_queue.name.into()));
        let times = self.queues.iter().filter(wanted).flat_map(|ref_queue| {
            let starts = move |ref_job: &&ReferenceJob| match ref_queue.mode {
                QueueMode::Processing => true,
                QueueMode::Idle | QueueMode::Stopped | QueueMode::Paused => ref_job.requested(),
            };
            let own = self.jobs.iter().filter(|ref_job| ref_job.queue == ref_queue.name);
            own.filter(starts).filter_map(|ref_job| self.scheduled_time(ref_job))
        });
        times.min()
    }
}

/// When a job is retried after this report; `None` if it isn't.
pub(super) fn retry_time(ref_job: &ReferenceJob, report: &RunReport, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let retry = &ref_job.definition.scheduling.retry;
    // A run with a requested stop is not retried.
    let stop_requested = matches!(ref_job.stage, ReferenceState::Running { stop: Some(_), .. });
    let covered = match &report.outcome {
        Outcome::Failed(failure) => {
            retry.on.is_empty()
                || retry.on.contains(&RetryOn::Failure(failure.kind))
                || matches!(report.exit, Some(Exit::Code(code)) if retry.on.contains(&RetryOn::Code(code)))
        }
        Outcome::Interrupted => retry.on.contains(&RetryOn::Interrupted),
        _ => false,
    };
    if stop_requested || !covered || ref_job.tries > retry.max {
        return None;
    }
    // In half milliseconds, because the backoff factors of the tests are multiples of one half.
    let half_millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap() * 2;
    let longest = half_millis(retry.max_delay.max(retry.delay));
    let mut delay = half_millis(retry.delay);
    for _ in 1..ref_job.tries {
        delay = (delay * count_halves(retry.backoff) / 2).clamp(delay, longest);
    }
    Some(now + Duration::from_micros(delay * 500))
}

/// A backoff factor in halves.
fn count_halves(factor: f64) -> u64 {
    (1..20).find(|count_halves| f64::from(u32::try_from(*count_halves).unwrap()) / 2.0 >= factor).unwrap()
}
