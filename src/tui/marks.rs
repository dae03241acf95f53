//! The marked jobs, counted for each list. As a set of bits: marking a million jobs takes some milliseconds, and a frame
//! asks for the counts.

use std::collections::BTreeMap;

use crate::model::{Job, JobId, Phase, SiteState};

use super::layout::phase_index;

/// The marked jobs, by the list that they were in last.
#[derive(Debug, Default)]
pub struct Marks([JobBits; 3]);

/// A set of jobs.
#[derive(Debug, Default)]
struct JobBits {
    /// By the upper bits of the number of a job.
    pages: BTreeMap<u64, Box<BitPage>>,
    len: usize,
}

/// A bit for each number with the same upper bits.
type BitPage = [u64; 1 << (PAGE_BITS - WORD_BITS)];

/// How many lower bits of a number a page is for: numbers may be far apart.
const PAGE_BITS: u32 = 16;
/// How many bits the number of a bit in a word has.
const WORD_BITS: u32 = 6;

impl Marks {
    /// Whether a job is marked.
    pub fn contains(&self, id: JobId) -> bool {
        self.0.iter().any(|set| set.contains(id))
    }

    /// Whether all these jobs of a list are marked.
    pub fn contains_all(&self, phase: Phase, jobs: &[JobId]) -> bool {
        let set = self.of(phase);
        jobs.len() <= set.len && set.contains_all(jobs)
    }

    /// Whether no job is marked.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|set| set.len == 0)
    }

    /// The number of marked jobs of a list.
    pub fn count(&self, phase: Phase) -> usize {
        self.of(phase).len
    }

    /// The marked jobs, by list and number.
    pub fn iter(&self) -> impl Iterator<Item = JobId> {
        self.0.iter().flat_map(JobBits::iter)
    }

    /// Marks jobs of a list.
    pub fn mark(&mut self, phase: Phase, jobs: &[JobId]) {
        self.0[phase_index(phase)].insert(jobs);
    }

    /// Unmarks jobs.
    pub fn unmark(&mut self, jobs: &[JobId]) {
        self.0.iter_mut().filter(|set| set.len > 0).for_each(|set| set.remove(jobs));
    }

    /// Unmarks all jobs.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes into account that a job has moved to another list or, without one, was removed.
    pub fn note_change(&mut self, id: JobId, phase: Option<Phase>) {
        if self.contains(id) && phase.is_none_or(|phase| !self.of(phase).contains(id)) {
            self.unmark(&[id]);
            if let Some(phase) = phase {
                self.mark(phase, &[id]);
            }
        }
    }

    /// Takes into account that any jobs may have changed.
    pub fn refresh(&mut self, site_state: &SiteState) {
        let marked: Vec<JobId> = self.iter().collect();
        for id in marked {
            self.note_change(id, site_state.job(id).map(Job::phase));
        }
    }

    fn of(&self, phase: Phase) -> &JobBits {
        &self.0[phase_index(phase)]
    }
}

impl JobBits {
    fn contains(&self, id: JobId) -> bool {
        let (page, word, bit) = location(id);
        self.pages.get(&page).is_some_and(|page| page[word] & bit != 0)
    }

    fn contains_all(&self, jobs: &[JobId]) -> bool {
        runs_by_page(jobs).all(|(number, run)| {
            let page = self.pages.get(&number);
            page.is_some_and(|page| run.iter().map(|id| location(*id)).all(|(_, word, bit)| page[word] & bit != 0))
        })
    }

    fn insert(&mut self, jobs: &[JobId]) {
        for (number, run) in runs_by_page(jobs) {
            let page = self.pages.entry(number).or_insert_with(|| Box::new([0; _]));
            for (_, word, bit) in run.iter().map(|id| location(*id)) {
                self.len += usize::from(page[word] & bit == 0);
                page[word] |= bit;
            }
        }
    }

    fn remove(&mut self, jobs: &[JobId]) {
        for (number, run) in runs_by_page(jobs) {
            let Some(page) = self.pages.get_mut(&number) else { continue };
            for (_, word, bit) in run.iter().map(|id| location(*id)) {
                self.len -= usize::from(page[word] & bit != 0);
                page[word] &= !bit;
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = JobId> {
        self.pages.iter().flat_map(|(upper, page)| {
            let words = (0..).zip(page.iter()).filter(|(_, word)| **word != 0);
            words.flat_map(move |(nth, word)| {
                let first = (upper << PAGE_BITS) | (nth << WORD_BITS);
                (0..u64::BITS).filter(move |bit| word >> bit & 1 == 1).map(move |bit| JobId(first | u64::from(bit)))
            })
        })
    }
}

/// Jobs whose bits follow each other in the same page, with the number of that: it is looked up once for all of them.
fn runs_by_page(jobs: &[JobId]) -> impl Iterator<Item = (u64, &[JobId])> {
    let page = |id: &JobId| location(*id).0;
    jobs.chunk_by(move |one, two| page(one) == page(two)).filter_map(move |run| Some((page(run.first()?), run)))
}

/// The page, the word in it and the bit of a job.
fn location(JobId(number): JobId) -> (u64, usize, u64) {
    let [lowest, second, ..] = number.to_le_bytes();
    let lower = u16::from_le_bytes([lowest, second]);
    (number >> PAGE_BITS, usize::from(lower >> WORD_BITS), 1 << (number % u64::from(u64::BITS)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::layout::PHASES;

    fn ids(numbers: impl IntoIterator<Item = u64>) -> Vec<JobId> {
        numbers.into_iter().map(JobId).collect()
    }

    #[test]
    fn marks_are_counted_by_list_and_follow_their_jobs() {
        let mut marks = Marks::default();
        let far_apart = ids([1, 63, 64, 65_535, 65_536, 1_000_000, u64::MAX]);
        marks.mark(Phase::Pending, &far_apart);
        marks.mark(Phase::Pending, &ids([1]));
        assert_eq!((marks.count(Phase::Pending), marks.count(Phase::Running)), (7, 0));
        assert_eq!(marks.iter().collect::<Vec<_>>(), far_apart);
        assert!(marks.contains_all(Phase::Pending, &far_apart) && !marks.contains_all(Phase::Pending, &ids([1, 2])));
        assert!(!marks.contains_all(Phase::Running, &ids([1])));
        // One starts, one is removed, one without a mark ends.
        marks.note_change(JobId(64), Some(Phase::Running));
        marks.note_change(JobId(65_536), None);
        marks.note_change(JobId(2), Some(Phase::Finished));
        assert_eq!(PHASES.map(|phase| marks.count(phase)), [5, 1, 0]);
        assert!(marks.contains(JobId(64)) && !marks.contains(JobId(65_536)) && !marks.contains(JobId(2)));
        marks.unmark(&far_apart);
        assert!(marks.is_empty() && marks.iter().next().is_none());
    }

    #[test]
    fn a_million_marks_are_a_set_of_all_of_them() {
        let mut marks = Marks::default();
        marks.mark(Phase::Finished, &ids(1..=1_000_000));
        assert_eq!(marks.count(Phase::Finished), 1_000_000);
        assert!(marks.iter().eq(ids(1..=1_000_000)));
        marks.clear();
        assert!(marks.is_empty());
    }
}
