//! Whom an action is meant for: the marked jobs that are shown, or else the one under the cursor.

use crate::model::{Job, JobId, Phase, QueueId};
use crate::tui::layout::PHASES;
use crate::tui::state::Screen;

/// The jobs that an action is meant for.
#[derive(Debug)]
pub(super) struct Targets {
    /// As they stand on the screen, from top to bottom; at least one.
    pub(super) jobs: Vec<Job>,
    /// They are marked, not just under the cursor.
    pub(super) marked: bool,
    /// How many marked jobs the filter hides; they are left alone.
    pub(super) hidden: usize,
}

impl Screen {
    /// The marked jobs that are shown; where none is marked, the job under the cursor.
    pub(super) fn targets(&self) -> Result<Targets, String> {
        let marks = self.lists.marks();
        let marked: Vec<JobId> =
            self.site.read(|ledger| marks.iter().filter(|id| ledger.job(**id).is_some()).copied().collect());
        // In the tiles nobody sees what is marked.
        if marked.is_empty() || self.tiles.is_some() {
            return Ok(Targets { jobs: vec![self.chosen_or_why()?], marked: false, hidden: 0 });
        }
        let jobs = self.shown(&marked)?;
        let hidden = marked.len() - jobs.len();
        if jobs.is_empty() {
            return Err(format!("the filter hides {}", these(hidden, "marked job")));
        }
        Ok(Targets { jobs, marked: true, hidden })
    }

    /// Those of the jobs that are shown, from top to bottom.
    fn shown(&self, wanted: &[JobId]) -> Result<Vec<Job>, String> {
        if self.lists.is_scanning() {
            return Err("still looking for matches; try again".to_owned());
        }
        Ok(self.queue.read(|record, ledger| {
            let mut shown: Vec<(Phase, usize, Job)> = Vec::with_capacity(wanted.len());
            for job in wanted.iter().filter_map(|id| ledger.job(*id)) {
                if let Some(row) = self.lists.rows(record, job.phase()).row(job.id, ledger) {
                    shown.push((job.phase(), row, job.clone()));
                }
            }
            shown.sort_by_key(|(phase, row, _)| (PHASES.iter().position(|other| other == phase), *row));
            shown.into_iter().map(|(_, _, job)| job).collect()
        }))
    }

    /// All jobs that a list shows, from top to bottom.
    pub(super) fn all_shown(&self, phase: Phase) -> Result<Vec<JobId>, String> {
        if self.lists.is_scanning() {
            return Err("still looking for matches; try again".to_owned());
        }
        Ok(self.queue.read(|record, _| self.lists.rows(record, phase).iter().collect()))
    }
}

impl Targets {
    /// The job, where it is the only one and not marked.
    pub(super) fn only(&self) -> Option<&Job> {
        self.jobs.first().filter(|_| !self.marked)
    }

    /// `3 marked jobs in build`, `2 of 3 marked jobs in 2 queues`: those of them that the action is for.
    pub(super) fn scope(&self, acting: &[&Job], what: &str) -> String {
        let all = self.jobs.len();
        let count =
            if acting.len() == all { these(all, what) } else { format!("{} of {}", acting.len(), these(all, what)) };
        let rest = match self.hidden {
            0 => String::new(),
            hidden => format!(", not {hidden} that the filter hides"),
        };
        format!("{count} {}{rest}", whereabouts(acting.iter().map(|job| &job.queue)))
    }
}

/// `in build`, `in 2 queues`.
pub(super) fn whereabouts<'a>(queues: impl Iterator<Item = &'a QueueId>) -> String {
    let mut names: Vec<&QueueId> = queues.collect();
    names.sort();
    names.dedup();
    match names[..] {
        [only] => format!("in {only}"),
        _ => format!("in {} queues", names.len()),
    }
}

/// `1 job`, `2 jobs`.
pub(super) fn these(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
