//! The workers of the site with the jobs that each of them runs.

use crate::model::{Job, JobId, SiteState, WorkerId, WorkerInfo};

use super::action::Action;
use super::keys::{KeyCode, KeyPress};
use super::page_context::{PageContext, PageResponse, next_row, scrolled_to};

/// How many running jobs are listed.
const MAX_JOBS: usize = 2_000;

/// The table, one of its rows selected.
#[derive(Debug, Default)]
pub(super) struct WorkersTable {
    selected: Option<WorkersRowId>,
    /// The first visible row.
    pub(super) offset: usize,
}

/// A row by what it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WorkersRowId {
    Worker(WorkerId),
    Job(JobId),
}

/// A row of the table.
#[derive(Debug)]
pub(super) enum WorkersRow<'a> {
    /// A worker, and how many jobs it runs.
    Worker(&'a WorkerInfo, usize),
    /// A job that the worker above runs.
    Job(&'a Job),
    /// Jobs of a worker that is gone.
    Lost(WorkerId, usize),
}

impl WorkersRow<'_> {
    fn id(&self) -> WorkersRowId {
        match self {
            Self::Worker(worker, _) => WorkersRowId::Worker(worker.id),
            Self::Lost(id, _) => WorkersRowId::Worker(*id),
            Self::Job(job) => WorkersRowId::Job(job.id),
        }
    }
}

impl WorkersTable {
    /// The selected job.
    pub(super) fn selected_job(&self) -> Option<JobId> {
        match self.selected {
            Some(WorkersRowId::Job(job)) => Some(job),
            _ => None,
        }
    }

    /// The selected worker, and how many jobs it runs.
    pub(super) fn selected_worker<'a>(&self, site: &'a SiteState) -> Option<(&'a WorkerInfo, usize)> {
        let rows = Self::rows(site);
        match rows.get(self.selected_row(&rows)) {
            Some(WorkersRow::Worker(worker, running)) => Some((worker, *running)),
            _ => None,
        }
    }

    /// The workers by host and process, each followed by its jobs in the order in which they started.
    pub(super) fn rows(site: &SiteState) -> Vec<WorkersRow<'_>> {
        let mut workers: Vec<&WorkerInfo> = site.workers().collect();
        workers.sort_by(|a, b| (&a.host, a.pid, a.id).cmp(&(&b.host, b.pid, b.id)));
        let queues = site.queues();
        let running = queues.iter().flat_map(|(_, queue)| &queue.running).filter_map(|id| site.job(*id));
        let mut running: Vec<&Job> = running.take(MAX_JOBS).collect();
        running.sort_by_key(|job| job.last_run.as_ref().map(|run| (run.worker, run.started, run.id)));
        let worker_of = |job: &&Job| job.last_run.as_ref().map(|run| run.worker);
        let of = |id: WorkerId| running.iter().filter(move |job| worker_of(job) == Some(id)).copied();
        let mut rows = Vec::new();
        for worker in &workers {
            rows.push(WorkersRow::Worker(worker, of(worker.id).count()));
            rows.extend(of(worker.id).map(WorkersRow::Job));
        }
        let mut lost: Vec<WorkerId> = running.iter().filter_map(worker_of).collect();
        lost.dedup();
        lost.retain(|id| workers.iter().all(|worker| worker.id != *id));
        for id in lost {
            rows.push(WorkersRow::Lost(id, of(id).count()));
            rows.extend(of(id).map(WorkersRow::Job));
        }
        rows
    }

    /// The index of the selected row, or else of the first one.
    pub(super) fn selected_row(&self, rows: &[WorkersRow<'_>]) -> usize {
        rows.iter().position(|row| Some(row.id()) == self.selected).unwrap_or(0)
    }

    /// Handles a key press.
    pub(super) fn press(&mut self, key: KeyPress, action: Option<Action>, context: &PageContext<'_>) -> PageResponse {
        let rows = Self::rows(context.site);
        let row = self.selected_row(&rows);
        if let Some(next) = next_row(key, action, row, visible_rows(context.height), rows.len()) {
            self.selected = rows.get(next).map(WorkersRow::id);
            return PageResponse::KeepOpen;
        }
        match (key.code, action, rows.get(row)) {
            (KeyCode::Enter, _, Some(WorkersRow::Job(job))) => PageResponse::ShowRun(job.id, None),
            (KeyCode::Enter, _, Some(_)) => PageResponse::Refuse("Select a job below the worker to show its output."),
            (KeyCode::Enter, ..) | (_, None, _) => PageResponse::KeepOpen,
            (_, Some(action), _) => PageResponse::Perform(action),
        }
    }

    /// Selects a visible row; returns whether it was selected before.
    pub(super) fn click(&mut self, row: usize, context: &PageContext<'_>) -> bool {
        let rows = Self::rows(context.site);
        let Some(clicked) = rows.get(self.offset + row).map(WorkersRow::id) else { return false };
        let was_selected = rows.get(self.selected_row(&rows)).is_some_and(|row| row.id() == clicked);
        self.selected = Some(clicked);
        was_selected
    }

    /// Keeps the selected row visible.
    pub(super) fn sync(&mut self, context: &PageContext<'_>) {
        let rows = Self::rows(context.site);
        let row = self.selected_row(&rows);
        self.selected = rows.get(row).map(WorkersRow::id);
        self.offset = scrolled_to(row, self.offset, visible_rows(context.height), rows.len());
    }
}

/// The rows of a body of this height.
pub(super) fn visible_rows(height: u16) -> usize {
    usize::from(height.saturating_sub(1))
}
