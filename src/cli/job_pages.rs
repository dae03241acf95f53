//! Reads the jobs of queues in the order of lists, a page at a time.

use std::collections::BTreeMap;

use super::error::CliError;
use crate::model::{Job, JobId, Phase, QueueId};
use crate::store::{JobListPage, ListPosition, Store};

/// How many jobs are in a page: a small site is one page, which is one snapshot.
const PAGE_LENGTH: usize = 4096;

/// The pages of a list. Each is as of the time at which it is read. A job that changes meanwhile is in one page: those that
/// have started or finished before they were read come last.
#[derive(Clone)]
pub(super) struct JobPages {
    queues: Vec<QueueId>,
    next: Step,
    /// The last event before the first page was read.
    first_seq: Option<u64>,
    /// The jobs of earlier pages.
    seen: JobSet,
    /// The last finished job that was read of each queue.
    last_finished: BTreeMap<QueueId, Box<Job>>,
}

#[derive(Clone)]
enum Step {
    /// A page of the list.
    Listed(ListPosition),
    /// What was not pending any more when it would have been read: a page of the queue of this index.
    Moved(usize, Option<Box<Job>>),
    End,
}

impl JobPages {
    pub(super) fn new(queues: Vec<QueueId>) -> Self {
        Self {
            queues,
            next: Step::Listed(ListPosition::default()),
            first_seq: None,
            seen: JobSet::default(),
            last_finished: BTreeMap::new(),
        }
    }

    /// The next page; `None` behind the last.
    pub(super) fn next_page(&mut self, store: &mut dyn Store) -> Result<Option<JobListPage>, CliError> {
        match std::mem::replace(&mut self.next, Step::End) {
            Step::Listed(position) => self.read_listed(store, &position).map(Some),
            Step::Moved(queue, after) => self.read_moved(store, queue, after),
            Step::End => Ok(None),
        }
    }

    fn read_listed(&mut self, store: &mut dyn Store, from: &ListPosition) -> Result<JobListPage, CliError> {
        let mut page = store.list_page(&self.queues, from, PAGE_LENGTH)?;
        let is_changed = *self.first_seq.get_or_insert(page.state.seq()) != page.state.seq();
        let jobs = page.jobs.iter().filter_map(|id| page.state.job(*id));
        let last: BTreeMap<&QueueId, &Job> =
            jobs.filter(|job| job.phase() == Phase::Finished).map(|job| (&job.queue, job)).collect();
        self.last_finished.extend(last.into_iter().map(|(queue, job)| (queue.clone(), Box::new(job.clone()))));
        page.jobs.retain(|id| self.seen.insert(*id) || !is_changed);
        self.next = match page.next.take() {
            Some(next) => Step::Listed(next),
            None if is_changed => self.moved_of(0),
            None => Step::End,
        };
        Ok(page)
    }

    fn moved_of(&self, queue: usize) -> Step {
        match self.queues.get(queue) {
            Some(id) => Step::Moved(queue, self.last_finished.get(id).cloned()),
            None => Step::End,
        }
    }

    fn read_moved(
        &mut self,
        store: &mut dyn Store,
        queue: usize,
        after: Option<Box<Job>>,
    ) -> Result<Option<JobListPage>, CliError> {
        let Some(id) = self.queues.get(queue) else { return Ok(None) };
        let mut page = store.list_page(std::slice::from_ref(id), &ListPosition { queue: 0, after }, PAGE_LENGTH)?;
        let is_pending = |id: &JobId| page.state.job(*id).is_none_or(|job| job.phase() == Phase::Pending);
        let has_all = page.jobs.last().is_none_or(is_pending);
        page.jobs.retain(|id| !is_pending(id));
        page.jobs.retain(|id| self.seen.insert(*id));
        self.next = match page.next.take().filter(|_| !has_all) {
            Some(next) => Step::Moved(queue, next.after),
            None => self.moved_of(queue + 1),
        };
        Ok(Some(page))
    }
}

/// A set of jobs that takes about a bit for each.
#[derive(Clone, Default)]
struct JobSet(BTreeMap<u64, [u64; Self::WORDS]>);

impl JobSet {
    const WORDS: usize = 64;

    /// Returns whether the job was not in the set.
    fn insert(&mut self, JobId(id): JobId) -> bool {
        let (word, bit) = (id / 64, 1 << (id % 64));
        let words = self.0.entry(word / Self::WORDS as u64).or_insert([0; Self::WORDS]);
        // Less than the length of the array.
        let word = &mut words[usize::try_from(word % Self::WORDS as u64).unwrap_or_default()];
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}
