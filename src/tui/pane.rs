//! The output of the job under the cursor: which run it is, and the view on it.

use std::fmt;

use crate::model::{Job, Run, RunId};
use crate::store::log::LogReader;

use super::lists::Step;
use super::output::{Output, Scroll};
use super::wake::{Effect, Way};

/// The output pane; it stays with its run until another job is chosen or the job is run again.
#[derive(Default)]
pub(super) struct OutputPane {
    /// The run that is shown.
    run: Option<RunId>,
    /// The latest run of the job.
    latest: Option<RunId>,
    /// The run that is shown, while it isn't the latest.
    earlier: Option<Run>,
    output: Option<Output>,
    more: bool,
}

impl OutputPane {
    /// The run whose output is shown.
    pub(super) fn run(&self) -> Option<RunId> {
        self.run
    }

    /// The view on the output, once it can be read.
    pub(super) fn output_mut(&mut self) -> Option<&mut Output> {
        self.output.as_mut()
    }

    /// Shows the latest run of `job`; asks for its output when that is another one than before.
    pub(super) fn show(&mut self, job: Option<&Job>) -> Option<Effect> {
        let run = job.and_then(|job| job.last_run.as_ref());
        let id = run.map(|run| run.id);
        if self.latest == id {
            return None;
        }
        *self = Self { run: id, latest: id, ..Self::default() };
        run.map(|run| Effect::OpenLog { run: run.id, live: run.ending.is_none() })
    }

    /// The run that is shown, while it isn't the latest of its job.
    pub(super) fn earlier(&self) -> Option<&Run> {
        self.earlier.as_ref()
    }

    /// Asks for the run before the one that is shown, or after it.
    pub(super) fn turn(&self, job: &Job, way: Way) -> Result<Effect, String> {
        let from = self.run.ok_or("it has not run yet")?;
        match (way, &self.earlier) {
            (Way::Later, None) => Err("this is its latest run".to_owned()),
            _ => Ok(Effect::Turn { job: job.id, from, way }),
        }
    }

    /// Shows another run of the same job.
    pub(super) fn turn_to(&mut self, from: RunId, run: Run) -> Option<Effect> {
        if self.run != Some(from) {
            return None;
        }
        let (id, live) = (run.id, run.ending.is_none());
        let earlier = Some(run).filter(|run| self.latest != Some(run.id));
        *self = Self { run: Some(id), latest: self.latest, earlier, ..Self::default() };
        Some(Effect::OpenLog { run: id, live })
    }

    /// The output can be read; it is of no interest when another run is shown by now.
    pub(super) fn open(&mut self, run: RunId, reader: LogReader) {
        if self.run == Some(run) {
            self.output = Some(Output::new(reader));
            self.refresh();
        }
    }

    /// Reads on, a bounded amount.
    pub(super) fn refresh(&mut self) {
        self.more = self.output.as_mut().is_some_and(Output::refresh);
    }

    /// Whether there is more to read at once.
    pub(super) fn has_more(&self) -> bool {
        self.more
    }

    /// Scrolls.
    pub(super) fn scroll(&mut self, scroll: Scroll) -> Result<(), String> {
        self.on_output(|output| output.scroll(scroll))
    }

    /// Follows what is printed, or holds the view.
    pub(super) fn toggle_follow(&mut self) -> Result<(), String> {
        self.on_output(Output::toggle_follow)
    }

    /// Wraps long lines, or cuts them.
    pub(super) fn toggle_wrap(&mut self) -> Result<(), String> {
        self.on_output(Output::toggle_wrap)
    }

    /// Searches and goes to the first match; an empty text ends the search.
    pub(super) fn search(&mut self, text: &str) -> Result<(), String> {
        self.on_output(|output| {
            output.set_search(Some(text).filter(|text| !text.is_empty()));
            output.search_next(true);
        })
    }

    /// To the next match, or the one before.
    pub(super) fn find_again(&mut self, forwards: bool) -> Result<(), String> {
        self.on_output(|output| output.search_next(forwards))
    }

    fn on_output(&mut self, change: impl FnOnce(&mut Output)) -> Result<(), String> {
        let output = self.output.as_mut().ok_or("there is no output here")?;
        change(output);
        // What has been asked for may need more of the output.
        self.refresh();
        Ok(())
    }
}

impl From<Step> for Scroll {
    fn from(step: Step) -> Self {
        let rows = |by: usize| isize::try_from(by).unwrap_or(isize::MAX);
        match step {
            Step::Down(by) => Self::Rows(rows(by)),
            Step::Up(by) => Self::Rows(-rows(by)),
            Step::First => Self::Home,
            Step::Last => Self::End,
        }
    }
}

impl fmt::Debug for OutputPane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputPane").field("run", &self.run).finish_non_exhaustive()
    }
}
