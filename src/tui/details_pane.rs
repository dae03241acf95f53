//! The details of the selected job: its runs, loaded from the store, and the scroll position.

use std::time::Duration;

use crate::model::{HookResult, Job, JobId, Outcome, Run, RunId};
use crate::store::WorkerMachines;

use super::effect::{Effect, StoreRequest};
use super::job_lists::CursorMove;

/// How many of the latest runs are kept.
const MAX_RUNS: usize = 200;

/// The job whose details are visible, and its runs.
#[derive(Debug, Default)]
pub(super) struct DetailsPane {
    /// The job when its runs were requested: its latest run, and whether that had ended.
    requested: Option<(JobId, Option<(RunId, bool)>)>,
    history: Option<RunHistory>,
    /// The first visible line.
    pub(super) scroll: usize,
}

/// The runs of a job, and their durations.
#[derive(Debug, PartialEq)]
pub(super) struct RunHistory {
    /// The latest runs, oldest first.
    pub(super) runs: Vec<Run>,
    /// The median duration: of the successful runs, or of all runs if none succeeded.
    pub(super) median: Option<Duration>,
    /// The number of runs in the median.
    pub(super) median_count: usize,
    /// Whether the median is of successful runs.
    pub(super) median_of_successes: bool,
    /// The latest known result of `on_finish`.
    pub(super) hook_result: Option<HookResult>,
    /// The machines of the workers of the runs, where a server has the site.
    pub(super) machines: WorkerMachines,
}

impl DetailsPane {
    /// Shows a job, or nothing. Requests its runs if they may have changed.
    pub(super) fn show(&mut self, job: Option<&Job>) -> Option<Effect> {
        let last = |job: &Job| job.last_run.as_ref().map(|run| (run.id, run.end.is_some()));
        let requested = job.map(|job| (job.id, last(job)));
        if requested == self.requested {
            return None;
        }
        if requested.map(|(job, _)| job) != self.requested.map(|(job, _)| job) {
            *self = Self::default();
        }
        self.requested = requested;
        let (job, last) = requested?;
        last.map(|_| Effect::Store(StoreRequest::LoadRuns(job)))
    }

    /// Sets the runs of a job, unless another job is shown by now.
    pub(super) fn set_runs(
        &mut self,
        job: JobId,
        runs: Vec<Run>,
        hook_result: Option<HookResult>,
        machines: WorkerMachines,
    ) {
        if self.requested.is_some_and(|(requested, _)| requested == job) {
            self.history = Some(RunHistory::new(runs, hook_result, machines));
        }
    }

    /// The runs of the job, once they are loaded.
    pub(super) fn history(&self) -> Option<&RunHistory> {
        self.history.as_ref()
    }

    /// Moves the scroll position.
    pub(super) fn move_scroll(&mut self, step: CursorMove) {
        self.scroll = match step {
            CursorMove::Down(by) => self.scroll.saturating_add(by),
            CursorMove::Up(by) => self.scroll.saturating_sub(by),
            CursorMove::First => 0,
            CursorMove::Last => usize::MAX,
        };
    }
}

impl RunHistory {
    fn new(mut runs: Vec<Run>, hook_result: Option<HookResult>, machines: WorkerMachines) -> Self {
        let times = |good: bool| -> Vec<Duration> {
            let counts = |run: &&Run| run.end.as_ref().is_some_and(|end| !good || end.outcome == Outcome::Succeeded);
            runs.iter().filter(counts).filter_map(Run::duration).collect()
        };
        let successes = times(true);
        let median_of_successes = !successes.is_empty();
        let mut times = if median_of_successes { successes } else { times(false) };
        let median_count = times.len();
        let middle = median_count / 2;
        let median = (middle < median_count).then(|| *times.select_nth_unstable(middle).1);
        runs.drain(..runs.len().saturating_sub(MAX_RUNS));
        Self { runs, median, median_count, median_of_successes, hook_result, machines }
    }
}
