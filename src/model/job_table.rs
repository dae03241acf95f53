//! Jobs by id.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use super::id_hasher::IdHasherBuilder;
use super::{Job, JobId};

/// Jobs by id. Each is boxed, because a hash table that has grown is half empty, and unused slots should be small; for the
/// same reason, the id is only in the job.
#[derive(Clone, Debug, Default)]
pub(super) struct JobTable(HashSet<JobWithId, IdHasherBuilder>);

/// A job that is found by its id.
#[derive(Clone, Debug)]
struct JobWithId(Box<Job>);

impl JobTable {
    /// Reserves capacity for more jobs.
    pub(super) fn reserve(&mut self, additional: usize) {
        self.0.reserve(additional);
    }

    /// A job.
    pub(super) fn get(&self, id: JobId) -> Option<&Job> {
        self.0.get(&id).map(|job| &*job.0)
    }

    /// Whether it has this job.
    pub(super) fn contains(&self, id: JobId) -> bool {
        self.0.contains(&id)
    }

    /// Adds a job, in place of one with the same id.
    pub(super) fn insert(&mut self, job: Box<Job>) {
        self.0.replace(JobWithId(job));
    }

    /// Changes a job, but not its id.
    pub(super) fn change(&mut self, id: JobId, change: impl FnOnce(&mut Job)) {
        if let Some(mut job) = self.0.take(&id) {
            change(&mut job.0);
            self.0.insert(job);
        }
    }

    /// Removes a job.
    pub(super) fn remove(&mut self, id: JobId) -> Option<Job> {
        self.0.take(&id).map(|job| *job.0)
    }

    /// All jobs, in arbitrary order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Job> {
        self.0.iter().map(|job| &*job.0)
    }
}

impl PartialEq for JobTable {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.iter().all(|job| other.get(job.id) == Some(job))
    }
}

impl Borrow<JobId> for JobWithId {
    fn borrow(&self) -> &JobId {
        &self.0.id
    }
}

impl Hash for JobWithId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl PartialEq for JobWithId {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for JobWithId {}
