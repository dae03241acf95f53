//! What the lists show when they don't show one queue as it is: the jobs that match a filter, in another order, or those
//! of all queues. However many jobs there are, no key and no frame waits: the scan goes on in short steps, and news
//! change single entries.

use std::collections::VecDeque;

use crate::model::{Job, JobId, Ledger, Phase, Query, QueueId};

use super::layout::{PHASES, index};
use super::sort::{Rank, Sort};

/// How many jobs are looked at in one step.
const STEP: usize = 2_000;

/// A filter, and what it has found so far.
#[derive(Debug)]
pub struct Filter {
    query: Query,
    sort: Sort,
    /// The queue whose jobs they are; without one, those of all.
    queue: Option<QueueId>,
    /// In their order.
    hits: [Vec<Hit>; 3],
    /// Jobs that have not been looked at.
    rest: VecDeque<JobId>,
}

/// A job with its place.
type Hit = (Rank, JobId);

/// The jobs that a list shows, in the order in which it shows them.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    /// All of a queue.
    All(&'a VecDeque<JobId>, Phase),
    /// Those that were found.
    Found(&'a Filter, Phase),
}

impl Filter {
    /// Finds jobs of a queue, or of all.
    pub fn new(query: Query, sort: Sort, queue: Option<QueueId>, ledger: &Ledger) -> Self {
        let all = ledger.queues();
        let here = |id: &QueueId| queue.as_ref().is_none_or(|queue| queue == id);
        let records: Vec<_> = all.into_iter().filter(|(id, _)| here(id)).map(|(_, record)| record).collect();
        let lists = PHASES.into_iter().flat_map(|phase| records.iter().map(move |record| record.list(phase)));
        let rest = lists.flatten().copied().collect();
        Self { query, sort, queue, hits: Default::default(), rest }
    }

    /// Finds something else. When that only says more than before, only the hits are looked at again.
    pub fn change(&mut self, query: Query, ledger: &Ledger) {
        if query.narrows(&self.query) {
            let hits = std::mem::take(&mut self.hits);
            let found: VecDeque<_> = hits.into_iter().flatten().map(|(_, id)| id).collect();
            let rest = std::mem::replace(&mut self.rest, found);
            self.rest.extend(rest);
            self.query = query;
        } else {
            *self = Self::new(query, self.sort, self.queue.take(), ledger);
        }
    }

    /// Whether there are jobs that have not been looked at.
    pub fn is_scanning(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Looks at some more jobs.
    pub fn step(&mut self, ledger: &Ledger) {
        let mut found: [Vec<Hit>; 3] = Default::default();
        for _ in 0..STEP {
            let Some(id) = self.rest.pop_front() else { break };
            if let Some(job) = ledger.job(id).filter(|job| self.wants(job)) {
                found[index(job.phase())].push((self.rank(job, ledger), id));
            }
        }
        for (hits, mut found) in self.hits.iter_mut().zip(found) {
            if !found.is_empty() {
                hits.append(&mut found);
                // Two runs in order are merged, not sorted anew. News may have brought a job before it was looked at.
                hits.sort();
                hits.dedup();
            }
        }
    }

    /// A job is about to change: `job` is how it was.
    pub fn before(&mut self, job: &Job, ledger: &Ledger) {
        let hit = (self.rank(job, ledger), job.id);
        let hits = &mut self.hits[index(job.phase())];
        if let Ok(place) = hits.binary_search(&hit) {
            hits.remove(place);
        }
    }

    /// A job has changed: `job` is how it is now.
    pub fn after(&mut self, job: &Job, ledger: &Ledger) {
        if !self.wants(job) {
            return;
        }
        let hit = (self.rank(job, ledger), job.id);
        let hits = &mut self.hits[index(job.phase())];
        if let Err(place) = hits.binary_search(&hit) {
            hits.insert(place, hit);
        }
    }

    /// Whether jobs of all queues are found.
    pub fn is_of_all(&self) -> bool {
        self.queue.is_none()
    }

    /// What was found in one list.
    pub fn rows(&self, phase: Phase) -> Rows<'_> {
        Rows::Found(self, phase)
    }

    fn wants(&self, job: &Job) -> bool {
        self.queue.as_ref().is_none_or(|queue| *queue == job.queue) && self.query.finds(job)
    }

    fn rank(&self, job: &Job, ledger: &Ledger) -> Rank {
        self.sort.rank(job, self.queue.is_none(), ledger)
    }

    fn hits(&self, phase: Phase) -> &[Hit] {
        &self.hits[index(phase)]
    }
}

impl Rows<'_> {
    /// How many jobs there are.
    pub fn len(self) -> usize {
        match self {
            Self::All(list, _) => list.len(),
            Self::Found(filter, phase) => filter.hits(phase).len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The job in a row.
    pub fn get(self, row: usize) -> Option<JobId> {
        let place = self.turned(row)?;
        match self {
            Self::All(list, _) => list.get(place).copied(),
            Self::Found(filter, phase) => filter.hits(phase).get(place).map(|(_, id)| *id),
        }
    }

    /// The row of a job, if it is in this list.
    pub fn row(self, id: JobId, ledger: &Ledger) -> Option<usize> {
        let job = ledger.job(id)?;
        let place = match self {
            Self::All(list, phase) if job.phase() == phase => {
                ledger.place(id).filter(|place| list.get(*place) == Some(&id))?
            }
            Self::Found(filter, phase) if job.phase() == phase => {
                filter.hits(phase).binary_search(&(filter.rank(job, ledger), id)).ok()?
            }
            _ => return None,
        };
        self.turned(place)
    }

    /// All jobs, from top to bottom.
    pub fn iter(self) -> impl Iterator<Item = JobId> {
        (0..self.len()).filter_map(move |row| self.get(row))
    }

    /// What finished last is at the top.
    fn turned(self, place: usize) -> Option<usize> {
        let turns = match self {
            Self::All(_, phase) => phase == Phase::Finished,
            Self::Found(filter, phase) => phase == Phase::Finished && filter.sort == Sort::Queue,
        };
        if turns { self.len().checked_sub(place + 1) } else { Some(place).filter(|place| *place < self.len()) }
    }
}
