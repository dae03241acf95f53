//! Which workers could start a job: by their queues, labels and free slots.

use super::label_set::LabelSet;
use super::{Job, QueueId, SiteState, StateReader, WorkerId, WorkerInfo};

/// Which worker could start a job now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// The worker that claims.
    Claimant,
    /// Another worker, which has free slots for it.
    Other,
    /// The worker that claims, when more of its slots are free.
    ClaimantLater,
    /// No worker until one has free slots, or one with its labels joins.
    NotNow,
}

/// Matches jobs with the worker that claims and with the others, which are read only if the worker that claims is limited.
pub(super) struct WorkerMatch<'r, R> {
    reader: &'r R,
    claimant: WorkerId,
    /// None if it is not registered.
    info: Option<WorkerInfo>,
    candidates: Option<Vec<MatchCandidate>>,
}

/// A worker with the slots that its jobs use.
struct MatchCandidate {
    worker: WorkerInfo,
    used: u32,
}

impl MatchCandidate {
    fn load<R: StateReader>(reader: &R, worker: WorkerInfo) -> Result<Self, R::Error> {
        let used = if worker.options.slots.is_some() { used_slots(&reader.jobs_run_by(worker.id)?) } else { 0 };
        Ok(Self { worker, used })
    }

    /// Whether it has slots for this job; one that is heavier than the worker runs alone.
    fn has_room(&self, job: &Job) -> bool {
        let weight = job.definition.scheduling.weight;
        self.worker.options.slots.is_none_or(|slots| self.used == 0 || weight <= slots.get().saturating_sub(self.used))
    }
}

impl<'r, R: StateReader> WorkerMatch<'r, R> {
    pub(super) fn load(reader: &'r R, claimant: WorkerId) -> Result<Self, R::Error> {
        Ok(Self { reader, claimant, info: reader.worker(claimant)?, candidates: None })
    }

    /// Whether the worker that claims is to start nothing at all.
    pub(super) fn is_claimant_full(&self) -> Result<bool, R::Error> {
        let Some(worker) = &self.info else { return Ok(false) };
        let Some(slots) = worker.options.slots else { return Ok(worker.draining) };
        Ok(worker.draining || MatchCandidate::load(self.reader, worker.clone())?.used >= slots.get())
    }

    /// Which worker could start this job. A slot of another worker that is free for it counts as used from then on.
    pub(super) fn find(&mut self, job: &Job) -> Result<Match, R::Error> {
        let is_plain = job.definition.scheduling.runs_on.is_empty();
        if is_plain && self.info.as_ref().is_none_or(|worker| worker.options.slots.is_none()) {
            return Ok(Match::Claimant);
        }
        let claimant = self.claimant;
        let candidates = self.candidates()?;
        // Which queues it serves, the claim itself says.
        let is_claimant = |candidate: &&mut MatchCandidate| candidate.worker.id == claimant;
        let own = candidates.iter_mut().find(is_claimant);
        let own =
            own.filter(|own| own.worker.has_labels(&job.definition.scheduling.runs_on)).map(|own| own.has_room(job));
        if own == Some(true) {
            return Ok(Match::Claimant);
        }
        let mut others = candidates.iter_mut().filter(|candidate| candidate.worker.id != claimant);
        if let Some(other) = others.find(|other| other.worker.could_run(job) && other.has_room(job)) {
            other.used = other.used.saturating_add(job.definition.scheduling.weight);
            return Ok(Match::Other);
        }
        Ok(if own.is_some() { Match::ClaimantLater } else { Match::NotNow })
    }

    fn candidates(&mut self) -> Result<&mut Vec<MatchCandidate>, R::Error> {
        if self.candidates.is_none() {
            let workers = self.reader.workers()?.into_iter();
            let loaded = workers.map(|worker| MatchCandidate::load(self.reader, worker)).collect::<Result<_, _>>()?;
            self.candidates = Some(loaded);
        }
        Ok(self.candidates.get_or_insert_default())
    }
}

/// Whether a worker of the site could run this job when it has free slots.
pub(super) fn has_worker<R: StateReader>(reader: &R, job: &Job) -> Result<bool, R::Error> {
    let is_plain = job.definition.scheduling.runs_on.is_empty();
    Ok(is_plain || reader.workers()?.iter().any(|worker| worker.could_run(job)))
}

fn used_slots(jobs: &[Job]) -> u32 {
    jobs.iter().map(|job| job.definition.scheduling.weight).fold(0, u32::saturating_add)
}

impl SiteState {
    /// The labels that a job waits for, and whether a worker has them, whose slots are all used. `None` if a worker with
    /// them is free, or if it needs none.
    pub(super) fn missing_labels(&self, job: &Job) -> Option<(LabelSet, bool)> {
        let labels = &job.definition.scheduling.runs_on;
        if labels.is_empty() {
            return None;
        }
        let mut candidates = self.candidates_for(job);
        let first = candidates.next();
        let has_worker = first.is_some();
        let is_any_free = first.into_iter().chain(candidates).any(|candidate| candidate.has_room(job));
        (!is_any_free).then(|| (labels.clone(), has_worker))
    }

    /// The workers that could run a job, if none of them has free slots for it.
    pub(super) fn full_workers(&self, job: &Job) -> Vec<WorkerId> {
        let candidates: Vec<_> = self.candidates_for(job).collect();
        let is_any_free = candidates.iter().any(|candidate| candidate.has_room(job));
        if is_any_free { Vec::new() } else { candidates.iter().map(|candidate| candidate.worker.id).collect() }
    }

    fn candidates_for(&self, job: &Job) -> impl Iterator<Item = MatchCandidate> {
        let workers = self.workers().filter(|worker| worker.could_run(job)).cloned();
        workers.map(|worker| {
            let Ok(candidate) = MatchCandidate::load(self, worker);
            candidate
        })
    }

    /// Whether a queue has a pending job that needs no labels.
    pub fn has_job_for_any_worker(&self, queue: &QueueId) -> bool {
        let pending = self.queue(queue).into_iter().flat_map(|queue| &queue.pending);
        pending.filter_map(|id| self.job(*id)).any(|job| job.definition.scheduling.runs_on.is_empty())
    }
}
