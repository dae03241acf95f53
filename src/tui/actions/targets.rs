//! The jobs that an action applies to: the visible marked jobs, or else the selected job.

use crate::model::{Job, JobId, Phase, QueueId};
use crate::text::{count_noun, is_or_are};
use crate::tui::layout::PHASES;
use crate::tui::state::Screen;

/// The jobs that an action applies to.
#[derive(Debug)]
pub(super) struct ActionTargets {
    /// The jobs from top to bottom; at least one.
    pub(super) jobs: Vec<Job>,
    /// Whether the jobs are marked, not just selected.
    pub(super) are_marked: bool,
    /// How many marked jobs are hidden by the filter; the action doesn't apply to them.
    pub(super) hidden: usize,
}

impl Screen {
    /// The visible marked jobs, or the selected job if none is marked.
    pub(super) fn targets(&self) -> Result<ActionTargets, String> {
        let marks = self.lists.marks();
        let marked: Vec<JobId> =
            self.site.read(|site_state| marks.iter().filter(|id| site_state.job(*id).is_some()).collect());
        // The tiles don't show marks.
        if marked.is_empty() || self.tiles.is_some() {
            return Ok(ActionTargets { jobs: vec![self.require_selected()?], are_marked: false, hidden: 0 });
        }
        let jobs = self.visible(&marked)?;
        let hidden = marked.len() - jobs.len();
        if jobs.is_empty() {
            return Err(format!("The filter hides {}.", count_noun(hidden, "marked job")));
        }
        Ok(ActionTargets { jobs, are_marked: true, hidden })
    }

    /// The visible ones of these jobs, from top to bottom.
    fn visible(&self, wanted: &[JobId]) -> Result<Vec<Job>, String> {
        if self.lists.is_scanning() {
            return Err("Still searching. Try again in a moment.".to_owned());
        }
        Ok(self.queue.read(|record, site_state| {
            let mut shown: Vec<(Phase, usize, Job)> = Vec::with_capacity(wanted.len());
            for job in wanted.iter().filter_map(|id| site_state.job(*id)) {
                if let Some(row) = self.lists.rows(record, job.phase()).row_of(job.id, site_state) {
                    shown.push((job.phase(), row, job.clone()));
                }
            }
            shown.sort_by_key(|(phase, row, _)| (PHASES.iter().position(|other| other == phase), *row));
            shown.into_iter().map(|(_, _, job)| job).collect()
        }))
    }

    /// Whether the lists show all jobs that match their filter.
    pub(super) fn require_complete_lists(&self) -> Result<(), String> {
        if self.lists.is_scanning() { Err("Still searching. Try again in a moment.".to_owned()) } else { Ok(()) }
    }

    /// All jobs of a list, from top to bottom.
    pub(super) fn visible_jobs(&self, phase: Phase) -> Result<Vec<JobId>, String> {
        self.require_complete_lists()?;
        Ok(self.queue.read(|record, _| self.lists.rows(record, phase).iter().collect()))
    }
}

impl ActionTargets {
    /// The selected job, if no jobs are marked.
    pub(super) fn single(&self) -> Option<&Job> {
        self.jobs.first().filter(|_| !self.are_marked)
    }

    /// The jobs that are acted on, in words: `3 marked jobs in build`, `2 of 3 marked jobs in 2 queues`.
    pub(super) fn scope(&self, acting: &[&Job], what: &str) -> String {
        let all = self.jobs.len();
        let count = if acting.len() == all {
            count_noun(all, what)
        } else {
            format!("{} of {}", acting.len(), count_noun(all, what))
        };
        let hidden = match self.hidden {
            0 => String::new(),
            hidden => format!(" ({hidden} more {} hidden by the filter)", is_or_are(hidden)),
        };
        format!("{count} {}{hidden}", location(acting.iter().map(|job| &job.queue)))
    }
}

/// Where jobs are, in words: `in build`, `in 2 queues`.
pub(super) fn location<'a>(queues: impl Iterator<Item = &'a QueueId>) -> String {
    let mut names: Vec<&QueueId> = queues.collect();
    names.sort();
    names.dedup();
    match names[..] {
        [only] => format!("in {only}"),
        _ => format!("in {}", count_noun(names.len(), "queue")),
    }
}
