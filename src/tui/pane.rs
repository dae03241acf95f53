//! The output of the job under the cursor: which run it is, and the view on it.

use crate::model::{Job, RunId};
use crate::store::log::LogReader;

use super::lists::Step;
use super::wake::Effect;

/// The output pane; it stays with its run until another job is chosen or the job is run again.
#[derive(Debug, Default)]
pub struct OutputPane {
    run: Option<RunId>,
}

impl OutputPane {
    /// The run whose output is shown.
    pub fn run(&self) -> Option<RunId> {
        self.run
    }

    /// Shows the latest run of `job`; asks for its output when that is another one than before.
    pub fn show(&mut self, job: Option<&Job>) -> Option<Effect> {
        let run = job.and_then(|job| job.last_run.as_ref());
        let id = run.map(|run| run.id);
        if self.run == id {
            return None;
        }
        *self = Self { run: id };
        run.map(|run| Effect::OpenLog { run: run.id, live: run.ending.is_none() })
    }

    /// The output can be read; it is of no interest when another run is shown by now.
    pub fn open(&mut self, _run: RunId, _reader: LogReader) {}

    /// Reads on.
    pub fn refresh(&mut self) {}

    /// Whether there is more to read at once.
    pub fn has_more(&self) -> bool {
        false
    }

    /// Scrolls.
    pub fn scroll(&mut self, _step: Step) -> Result<(), String> {
        Ok(())
    }

    /// Follows what is printed, or holds the view.
    pub fn toggle_follow(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// Wraps long lines, or cuts them.
    pub fn toggle_wrap(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// Searches; ends the search when `text` is empty. Tells whether there is a match.
    pub fn search(&mut self, _text: &str) -> bool {
        false
    }

    /// To the next match, or the one before.
    pub fn find_again(&mut self, _forward: bool) -> Result<(), String> {
        Ok(())
    }
}
