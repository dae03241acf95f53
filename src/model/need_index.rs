//! The needs of jobs in memory: which jobs need a job, and how many needs of each job are not met.

use std::collections::{BTreeSet, HashMap};

use super::id_hasher::IdHasherBuilder;
use super::{Job, JobId, NeedCounts, NeedStatus, NeededState, OutcomeCondition};

/// The needs of the jobs in queues. Its size grows with the number of needs, and a change costs what it changes.
#[derive(Clone, Debug, Default)]
pub(super) struct NeedIndex {
    /// The jobs that need each job, and the outcome that each of them requires.
    dependents: HashMap<JobId, BTreeSet<(JobId, OutcomeCondition)>, IdHasherBuilder>,
    /// The jobs of which some needs are not met.
    counts: HashMap<JobId, NeedCounts, IdHasherBuilder>,
}

impl NeedIndex {
    /// The jobs that need this one. One that needs it in two ways is there twice.
    pub(super) fn dependents_of(&self, needed: JobId) -> impl Iterator<Item = JobId> {
        self.dependents.get(&needed).into_iter().flatten().map(|(job, _)| *job)
    }

    /// How many needs of a job are not met.
    pub(super) fn counts_of(&self, job: JobId) -> NeedCounts {
        self.counts.get(&job).copied().unwrap_or_default()
    }

    /// Adds the needs of a job; `state` returns the states of other jobs.
    pub(super) fn register(&mut self, job: &Job, state: impl Fn(JobId) -> NeededState) {
        let mut counts = NeedCounts::default();
        for need in &job.needs {
            if self.dependents.entry(need.job).or_default().insert((job.id, need.on)) {
                counts.add(state(need.job).status(need.on));
            }
        }
        self.set_counts(job.id, counts);
    }

    /// Removes the needs of a job.
    pub(super) fn unregister(&mut self, job: &Job) {
        for need in &job.needs {
            if let Some(dependents) = self.dependents.get_mut(&need.job) {
                dependents.remove(&(job.id, need.on));
                if dependents.is_empty() {
                    self.dependents.remove(&need.job);
                }
            }
        }
        self.counts.remove(&job.id);
    }

    /// Updates the counts of the jobs that need a job which has changed.
    pub(super) fn change(&mut self, needed: JobId, before: NeededState, after: NeededState) {
        if before == after {
            return;
        }
        let Some(dependents) = self.dependents.get(&needed) else { return };
        for (job, required) in dependents {
            let (before, after) = (before.status(*required), after.status(*required));
            if before == after {
                continue;
            }
            let counts = self.counts.entry(*job).or_default();
            counts.remove(before);
            counts.add(after);
            if counts.status() == NeedStatus::Met {
                self.counts.remove(job);
            }
        }
    }

    fn set_counts(&mut self, job: JobId, counts: NeedCounts) {
        if counts.status() == NeedStatus::Met {
            self.counts.remove(&job);
        } else {
            self.counts.insert(job, counts);
        }
    }
}
