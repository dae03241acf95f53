//! Connects the pseudo-terminal of a run with the screens that type into it.

use crate::model::{Job, RunId, TerminalInput};
use crate::runner::{PtyInput, PtyOptions};
use crate::store::{Store, TerminalInputReader};

impl PtyInput for TerminalInputReader {
    fn read(&mut self) -> Vec<TerminalInput> {
        self.read()
    }
}

/// The terminal of a run of this job: of the size that a screen last used, and with an input pipe for typing. If the pipe
/// can't be opened, the run starts without input.
pub(super) fn pty_options(job: &Job, run: RunId, store: &dyn Store) -> PtyOptions {
    if !job.script().is_some_and(|script| script.exec.pty) {
        return PtyOptions::default();
    }
    let pipes = store.terminal_inputs();
    let input = match pipes.open_reader(run) {
        Ok(reader) => Some(Box::new(reader) as Box<dyn PtyInput>),
        Err(error) => {
            tracing::warn!(%run, %error, "can't open the terminal input of a job");
            None
        }
    };
    PtyOptions { size: pipes.last_size(), input }
}
