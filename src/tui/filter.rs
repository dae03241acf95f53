//! The jobs of a queue that match what was typed after `/`. However many jobs there are, no key and no frame waits:
//! the scan goes on in short steps, and news change single entries.

use std::collections::VecDeque;

use crate::model::{Job, JobId, Ledger, Phase, QueueId, QueueRecord, State};

use super::layout::{PHASES, index};

/// How many jobs are looked at in one step.
const STEP: usize = 2_000;

/// A filter, and what it has found so far.
#[derive(Debug)]
pub struct Filter {
    needle: Needle,
    /// In the order of the queue's own lists.
    hits: [Vec<(Rank, JobId)>; 3],
    /// Jobs that have not been looked at.
    rest: VecDeque<JobId>,
}

/// The jobs that a list shows, in the order in which it shows them.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    /// All of them.
    All(&'a VecDeque<JobId>, Phase),
    /// Those that match.
    Hits(&'a [(Rank, JobId)], Phase),
}

/// What decides the order of jobs in one list.
type Rank = (i64, u64);

impl Filter {
    /// Finds the jobs of a queue with `text` in their title, name or tags.
    pub fn new(text: &str, record: &QueueRecord) -> Self {
        let rest = PHASES.into_iter().flat_map(|phase| record.list(phase)).copied().collect();
        Self { needle: Needle::new(text), hits: Default::default(), rest }
    }

    /// The same queue with another text. When that only says more than before, only the hits are looked at again.
    pub fn change(&mut self, text: &str, record: &QueueRecord) {
        let needle = Needle::new(text);
        if needle.narrows(&self.needle) {
            let hits = std::mem::take(&mut self.hits);
            let found: VecDeque<_> = hits.into_iter().flatten().map(|(_, id)| id).collect();
            let rest = std::mem::replace(&mut self.rest, found);
            self.rest.extend(rest);
            self.needle = needle;
        } else {
            *self = Self::new(text, record);
        }
    }

    /// What was typed.
    pub fn text(&self) -> &str {
        &self.needle.text
    }

    /// Whether there are jobs that have not been looked at.
    pub fn is_scanning(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Looks at some more jobs.
    pub fn step(&mut self, ledger: &Ledger) {
        for _ in 0..STEP {
            let Some(id) = self.rest.pop_front() else { return };
            if let Some(job) = ledger.job(id) {
                self.put(job);
            }
        }
    }

    /// A job is about to change: `job` is how it was.
    pub fn before(&mut self, job: &Job) {
        let hits = &mut self.hits[index(job.phase())];
        if let Ok(place) = hits.binary_search(&(rank(job), job.id)) {
            hits.remove(place);
        }
    }

    /// A job has changed: `job` is how it is now.
    pub fn after(&mut self, job: &Job, queue: &QueueId) {
        if job.queue == *queue {
            self.put(job);
        }
    }

    /// The matching jobs of one list.
    pub fn rows(&self, phase: Phase) -> Rows<'_> {
        Rows::Hits(&self.hits[index(phase)], phase)
    }

    fn put(&mut self, job: &Job) {
        if !self.needle.is_in(job) {
            return;
        }
        let hits = &mut self.hits[index(job.phase())];
        let hit = (rank(job), job.id);
        if let Err(place) = hits.binary_search(&hit) {
            hits.insert(place, hit);
        }
    }
}

impl Rows<'_> {
    /// How many jobs there are.
    pub fn len(self) -> usize {
        match self {
            Self::All(list, _) => list.len(),
            Self::Hits(hits, _) => hits.len(),
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
            Self::Hits(hits, _) => hits.get(place).map(|(_, id)| *id),
        }
    }

    /// The row of a job, if it is in this list.
    pub fn row(self, id: JobId, ledger: &Ledger) -> Option<usize> {
        let job = ledger.job(id)?;
        let place = match self {
            Self::All(list, phase) if job.phase() == phase => {
                ledger.place(id).filter(|place| list.get(*place) == Some(&id))?
            }
            Self::Hits(hits, phase) if job.phase() == phase => hits.binary_search(&(rank(job), id)).ok()?,
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
        let (Self::All(_, phase) | Self::Hits(_, phase)) = self;
        match phase {
            Phase::Finished => self.len().checked_sub(place + 1),
            _ => Some(place).filter(|place| *place < self.len()),
        }
    }
}

/// A text to find: capitals count when there is one in it.
#[derive(Debug)]
struct Needle {
    text: String,
    exact: bool,
}

impl Needle {
    fn new(text: &str) -> Self {
        Self { text: text.to_owned(), exact: text.chars().any(char::is_uppercase) }
    }

    fn narrows(&self, wider: &Self) -> bool {
        self.text.contains(&wider.text) && (self.exact || !wider.exact)
    }

    fn is_in(&self, job: &Job) -> bool {
        let found = |text: &str| {
            if self.exact { text.contains(&self.text) } else { text.to_lowercase().contains(&self.text) }
        };
        found(&job.label()) || job.name().is_some_and(found) || job.definition.tags.iter().any(|tag| found(tag))
    }
}

/// As the ledger orders the jobs of one phase.
fn rank(job: &Job) -> Rank {
    match &job.state {
        State::Pending { .. } => (job.position, 0),
        State::Running { .. } => job.last_run.as_ref().map_or((0, 0), |run| (nanoseconds(run.started), run.id.0)),
        State::Finished { at, .. } => (nanoseconds(*at), 0),
    }
}

fn nanoseconds(at: chrono::DateTime<chrono::Utc>) -> i64 {
    at.timestamp_nanos_opt().unwrap_or(i64::MAX)
}
