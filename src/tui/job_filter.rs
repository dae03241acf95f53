//! Filtered and sorted lists of jobs, of one queue or of all queues. Jobs are scanned in short steps, so that no key press
//! and no frame waits for many jobs; events change single entries.

use std::collections::VecDeque;

use crate::model::{Job, JobId, Phase, Query, QueueId, SiteState};
use crate::text;

use super::layout::{PHASES, phase_index};
use super::sort_order::{SortKey, SortOrder};

/// The filter for failed jobs.
pub(super) const FAILURES_FILTER: &str = "state:failed,interrupted";

/// How many jobs are scanned in one step.
const SCAN_STEP: usize = 2_000;

/// Found jobs are added to a list when they are at least this part of it, so that each is moved only a few times.
const MERGED_PART: usize = 8;

/// A filter, and the jobs that it has found so far.
#[derive(Debug)]
pub struct JobFilter {
    query: Query,
    sort: SortOrder,
    /// The queue of the jobs; none for all queues.
    queue: Option<QueueId>,
    /// The found jobs of each phase, sorted.
    found: [Vec<RankedJob>; 3],
    /// Found jobs that are not in these lists yet, while the scan is in progress.
    unmerged: [Vec<RankedJob>; 3],
    /// Jobs that have not been scanned.
    unscanned: VecDeque<JobId>,
    /// The selected job. It stays in the list though it no longer matches, until another job is selected.
    kept: Option<JobId>,
}

/// What a filter finds, for a heading: `1 matches "lint"`, or without the count where there is none. `filter` has no
/// control characters.
pub(super) fn describe_filter(filter: &str, found: Option<usize>) -> String {
    let (failures, needle) = split_failures_filter(filter);
    let found = match found {
        _ if needle.is_empty() => None,
        Some(1) => Some(format!("1 matches \"{needle}\"")),
        Some(found) => Some(format!("{} match \"{needle}\"", text::count(found))),
        None => Some(format!("match \"{needle}\"")),
    };
    let failures = failures.then(|| "failures only".to_owned());
    failures.into_iter().chain(found).collect::<Vec<_>>().join(", ")
}

/// Whether a filter starts with the one for failures, and the rest of it.
pub(super) fn split_failures_filter(filter: &str) -> (bool, &str) {
    match filter.strip_prefix(FAILURES_FILTER) {
        Some(rest) if rest.is_empty() || rest.starts_with(' ') => (true, rest.trim_start()),
        _ => (false, filter),
    }
}

/// A job with its sort key.
type RankedJob = (SortKey, JobId);

/// The jobs of a list in the order of its rows.
#[derive(Clone, Copy, Debug)]
pub enum ListRows<'a> {
    /// All jobs of a queue.
    All(&'a VecDeque<JobId>, Phase),
    /// The jobs that a filter has found.
    Found(&'a JobFilter, Phase),
}

impl JobFilter {
    /// A filter of the jobs of a queue, or of all queues.
    pub fn new(query: Query, sort: SortOrder, queue: Option<QueueId>, site_state: &SiteState) -> Self {
        let all = site_state.queues();
        let is_wanted = |id: &QueueId| queue.as_ref().is_none_or(|queue| queue == id);
        let records: Vec<_> = all.into_iter().filter(|(id, _)| is_wanted(id)).map(|(_, record)| record).collect();
        let lists = PHASES.into_iter().flat_map(|phase| records.iter().map(move |record| record.jobs_in(phase)));
        let unscanned = lists.flatten().copied().collect();
        Self { query, sort, queue, found: Default::default(), unmerged: Default::default(), unscanned, kept: None }
    }

    /// Changes the query. If it narrows the previous one, only the found jobs are scanned again.
    pub fn set_query(&mut self, query: Query, site_state: &SiteState) {
        self.kept = None;
        if query.narrows(&self.query) {
            self.merge_all();
            let found = std::mem::take(&mut self.found);
            let found: VecDeque<_> = found.into_iter().flatten().map(|(_, id)| id).collect();
            let unscanned = std::mem::replace(&mut self.unscanned, found);
            self.unscanned.extend(unscanned);
            self.query = query;
        } else {
            *self = Self::new(query, self.sort, self.queue.take(), site_state);
        }
    }

    /// Whether there are jobs to scan.
    pub fn is_scanning(&self) -> bool {
        !self.unscanned.is_empty()
    }

    /// Scans some more jobs.
    pub fn scan_more(&mut self, site_state: &SiteState) {
        for _ in 0..SCAN_STEP {
            let Some(id) = self.unscanned.pop_front() else { break };
            if let Some(job) = site_state.job(id).filter(|job| self.matches(job)) {
                let ranked = (self.sort_key(job, site_state), id);
                self.unmerged[phase_index(job.phase())].push(ranked);
            }
        }
        let is_complete = self.unscanned.is_empty();
        self.merge(|found, new| is_complete || new.len() * MERGED_PART >= found.len());
    }

    /// Adds found jobs to their lists.
    fn merge(&mut self, is_due: impl Fn(&[RankedJob], &[RankedJob]) -> bool) {
        for (found, new) in self.found.iter_mut().zip(&mut self.unmerged) {
            if !new.is_empty() && is_due(found, new) {
                found.append(new);
                // Most of it is sorted already. An event may have added a job before it was scanned.
                found.sort();
                found.dedup();
            }
        }
    }

    fn merge_all(&mut self) {
        self.merge(|_, _| true);
    }

    /// Removes a job that is about to change.
    pub fn remove_job(&mut self, job: &Job, site_state: &SiteState) {
        self.merge_all();
        let ranked = (self.sort_key(job, site_state), job.id);
        let found = &mut self.found[phase_index(job.phase())];
        if let Ok(place) = found.binary_search(&ranked) {
            found.remove(place);
        }
    }

    /// Adds a job that has changed, if it matches.
    pub fn add_job(&mut self, job: &Job, site_state: &SiteState) {
        if !self.matches(job) {
            return;
        }
        self.merge_all();
        let ranked = (self.sort_key(job, site_state), job.id);
        let found = &mut self.found[phase_index(job.phase())];
        if let Err(place) = found.binary_search(&ranked) {
            found.insert(place, ranked);
        }
    }

    /// Keeps the selected job in the list, and drops the one that was kept before if it no longer matches.
    pub fn keep(&mut self, selected: Option<JobId>, site_state: &SiteState) {
        let previous = std::mem::replace(&mut self.kept, selected);
        let dropped = previous.filter(|id| Some(*id) != selected).and_then(|id| site_state.job(id));
        if let Some(job) = dropped.filter(|job| !self.matches(job)) {
            self.remove_job(job, site_state);
        }
    }

    /// The rows of one list.
    pub fn rows(&self, phase: Phase) -> ListRows<'_> {
        ListRows::Found(self, phase)
    }

    fn matches(&self, job: &Job) -> bool {
        self.queue.as_ref().is_none_or(|queue| *queue == job.queue)
            && (self.query.matches(job) || self.kept == Some(job.id))
    }

    fn sort_key(&self, job: &Job, site_state: &SiteState) -> SortKey {
        self.sort.sort_key(job, self.queue.is_none(), site_state)
    }

    fn found(&self, phase: Phase) -> &[RankedJob] {
        &self.found[phase_index(phase)]
    }
}

impl ListRows<'_> {
    /// The number of jobs.
    pub fn len(self) -> usize {
        match self {
            Self::All(list, _) => list.len(),
            Self::Found(filter, phase) => filter.found(phase).len(),
        }
    }

    /// Whether the list is empty.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The job in a row.
    pub fn get(self, row: usize) -> Option<JobId> {
        let index = self.reversed(row)?;
        match self {
            Self::All(list, _) => list.get(index).copied(),
            Self::Found(filter, phase) => filter.found(phase).get(index).map(|(_, id)| *id),
        }
    }

    /// The row of a job, if it is in this list.
    pub fn row_of(self, id: JobId, site_state: &SiteState) -> Option<usize> {
        let job = site_state.job(id)?;
        let place = match self {
            Self::All(list, phase) if job.phase() == phase => {
                site_state.list_index(id).filter(|place| list.get(*place) == Some(&id))?
            }
            Self::Found(filter, phase) if job.phase() == phase => {
                filter.found(phase).binary_search(&(filter.sort_key(job, site_state), id)).ok()?
            }
            _ => return None,
        };
        self.reversed(place)
    }

    /// All jobs from top to bottom.
    pub fn iter(self) -> impl Iterator<Item = JobId> {
        (0..self.len()).filter_map(move |row| self.get(row))
    }

    /// Converts between row and index: finished jobs in queue order are shown latest first.
    fn reversed(self, place: usize) -> Option<usize> {
        let is_reversed = match self {
            Self::All(_, phase) => phase == Phase::Finished,
            Self::Found(filter, phase) => phase == Phase::Finished && filter.sort == SortOrder::Queue,
        };
        if is_reversed { self.len().checked_sub(place + 1) } else { Some(place).filter(|place| *place < self.len()) }
    }
}
