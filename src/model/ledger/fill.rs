//! Loading a site: thousands of jobs find their places at once.

use std::collections::BTreeMap;

use super::{Counters, Jobs, Ledger, QueueRecord, order, wants_attention};
use crate::model::index::Index;
use crate::model::{Job, JobId, QueueId, QueueView, Worker};

impl Ledger {
    /// The jobs of a site, `count` or so, put where their states say. That costs least where each queue's come in its
    /// order.
    pub fn of<E>(count: usize, jobs: impl IntoIterator<Item = Result<Box<Job>, E>>) -> Result<Self, E> {
        let mut ledger = Self::default();
        ledger.jobs.reserve(count);
        let mut queues: BTreeMap<QueueId, Filling> = BTreeMap::new();
        let mut jobs = jobs.into_iter();
        let mut next = jobs.next().transpose()?;
        while let Some(first) = next {
            let id = first.queue.clone();
            let queue = queues.entry(id.clone()).or_default();
            let mut job = first;
            // Neighbours are mostly of one queue.
            next = loop {
                ledger.note(&job);
                queue.add(&job, &ledger.jobs);
                ledger.jobs.insert(job.id, job);
                match jobs.next().transpose()? {
                    Some(neighbour) if neighbour.queue == id => job = neighbour,
                    other => break other,
                }
            };
        }
        for (id, queue) in queues {
            let (record, index) = queue.done(&ledger.jobs);
            ledger.queues.insert(id.clone(), record);
            ledger.indexes.insert(id, index);
        }
        Ok(ledger)
    }

    /// Sets what is not jobs; part of loading a site.
    pub fn restore(
        &mut self,
        queues: impl IntoIterator<Item = QueueView>,
        workers: impl IntoIterator<Item = Worker>,
        stamp: Option<String>,
        counters: Counters,
    ) {
        for QueueView { id, settings, mode } in queues {
            let queue = self.queues.entry(id).or_default();
            queue.settings = settings;
            queue.mode = mode;
        }
        self.workers = workers.into_iter().map(|worker| (worker.id, worker)).collect();
        self.stamp = stamp;
        self.counters = counters;
    }
}

/// A queue while its jobs come in.
#[derive(Default)]
struct Filling {
    record: QueueRecord,
    index: Index,
    places: Vec<(i64, JobId)>,
    /// Whether a job has come after one that it stands before.
    shuffled: bool,
}

impl Filling {
    /// Appends a job to its list; the others are in `jobs`.
    fn add(&mut self, job: &Job, jobs: &Jobs) {
        self.index.add(job);
        self.places.push((job.position, job.id));
        self.record.failed += usize::from(wants_attention(job));
        let list = self.record.list_mut(job.phase());
        let before = list.back().and_then(|before| jobs.get(before));
        self.shuffled |= before.is_some_and(|before| order(before, job).is_gt());
        list.push_back(job.id);
    }

    /// What is known of the queue, with its lists in order.
    fn done(self, jobs: &Jobs) -> (QueueRecord, Index) {
        let Self { mut record, mut index, places, shuffled } = self;
        let QueueRecord { pending, running, finished, .. } = &mut record;
        for list in [pending, running, finished].into_iter().filter(|_| shuffled) {
            list.make_contiguous().sort_by(|a, b| match (jobs.get(a), jobs.get(b)) {
                (Some(a), Some(b)) => order(a, b),
                _ => a.cmp(b),
            });
        }
        index.places = places.into_iter().collect();
        (record, index)
    }
}
