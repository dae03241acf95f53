//! What is told of the chosen job besides the job itself: its runs, which the store has, and where one looks.

use std::time::Duration;

use crate::model::{HookEnd, Job, JobId, Outcome, Run, RunId};

use super::lists::Step;
use super::wake::Effect;

/// How many of the latest runs are held.
const HELD: usize = 200;

/// The runs of the job whose details are in view.
#[derive(Debug, Default)]
pub(super) struct Detail {
    /// The job as it was when its runs were asked for: its latest run, and whether that was over.
    asked: Option<(JobId, Option<(RunId, bool)>)>,
    history: Option<History>,
    /// The first line that is shown.
    pub(super) scroll: usize,
}

/// The runs of a job, and how long they took.
#[derive(Debug, PartialEq)]
pub(super) struct History {
    /// The latest ones that have been kept, earliest first.
    pub(super) runs: Vec<Run>,
    /// How long a run takes; what didn't succeed counts only where nothing did.
    pub(super) median: Option<Duration>,
    /// Of how many runs that is the median.
    pub(super) counted: usize,
    /// Whether these are the successes.
    pub(super) good: bool,
    /// What came of `on_finish` after the latest run of which that is known.
    pub(super) hook_end: Option<HookEnd>,
}

impl Detail {
    /// Shows a job, or nothing. Asks for its runs when there may be others than those that are known.
    pub(super) fn show(&mut self, job: Option<&Job>) -> Option<Effect> {
        let last = |job: &Job| job.last_run.as_ref().map(|run| (run.id, run.ending.is_some()));
        let asked = job.map(|job| (job.id, last(job)));
        if asked == self.asked {
            return None;
        }
        if asked.map(|(job, _)| job) != self.asked.map(|(job, _)| job) {
            *self = Self::default();
        }
        self.asked = asked;
        let (job, last) = asked?;
        last.map(|_| Effect::Runs { job })
    }

    /// These are the runs of a job; they are of no interest when another one is shown by now.
    pub(super) fn take(&mut self, job: JobId, runs: Vec<Run>, hook_end: Option<HookEnd>) {
        if self.asked.is_some_and(|(asked, _)| asked == job) {
            self.history = Some(History::new(runs, hook_end));
        }
    }

    /// The runs of the job that is shown, once they are known.
    pub(super) fn history(&self) -> Option<&History> {
        self.history.as_ref()
    }

    /// Scrolls.
    pub(super) fn step(&mut self, step: Step) {
        self.scroll = match step {
            Step::Down(by) => self.scroll.saturating_add(by),
            Step::Up(by) => self.scroll.saturating_sub(by),
            Step::First => 0,
            Step::Last => usize::MAX,
        };
    }
}

impl History {
    fn new(mut runs: Vec<Run>, hook_end: Option<HookEnd>) -> Self {
        let times = |good: bool| -> Vec<Duration> {
            let counts = |run: &&Run| run.ending.as_ref().is_some_and(|end| !good || end.outcome == Outcome::Succeeded);
            runs.iter().filter(counts).filter_map(took).collect()
        };
        let successes = times(true);
        let good = !successes.is_empty();
        let mut times = if good { successes } else { times(false) };
        let counted = times.len();
        let middle = counted / 2;
        let median = (middle < counted).then(|| *times.select_nth_unstable(middle).1);
        runs.drain(..runs.len().saturating_sub(HELD));
        Self { runs, median, counted, good, hook_end }
    }
}

/// How long a run took, if it is over.
pub(super) fn took(run: &Run) -> Option<Duration> {
    (run.ending.as_ref()?.at - run.started).to_std().ok()
}
