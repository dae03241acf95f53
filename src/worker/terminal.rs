//! Connects a run in a pseudo-terminal with the screens that show it.

use crate::model::{Job, RunId, Typed};
use crate::runner::{Input, Terminal};
use crate::store::{LineReader, Store};

impl Input for LineReader {
    fn read(&mut self) -> Vec<Typed> {
        self.read()
    }
}

/// The terminal of a run of this job, if it wants one: as large as a screen showed one last, and with a line to it. That
/// there is no line doesn't stop the run.
pub(super) fn of(job: &Job, run: RunId, store: &dyn Store) -> Terminal {
    if !job.script().is_some_and(|script| script.setup.pty) {
        return Terminal::default();
    }
    let lines = store.lines();
    let input = match lines.reader(run) {
        Ok(line) => Some(Box::new(line) as Box<dyn Input>),
        Err(error) => {
            tracing::warn!(%run, %error, "nothing can be typed into the job");
            None
        }
    };
    Terminal { size: lines.size(), input }
}
