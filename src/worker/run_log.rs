//! Writes the output of a run to its log.

use crate::clock;
use crate::model::{RunId, Stream, WindowSize};
use crate::runner::Output;
use crate::store::StoreError;
use crate::store::log::LogWriter;

/// Writes output to a log. If that fails, the run continues without a log.
pub(super) struct RunLog {
    log: Option<LogWriter>,
    run: RunId,
}

impl RunLog {
    pub(super) fn new(log: LogWriter, run: RunId) -> Self {
        Self { log: Some(log), run }
    }

    fn check(&mut self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            tracing::error!(run = %self.run, %error, "can't write the log of a run; its output is lost");
            self.log = None;
        }
    }
}

impl Output for RunLog {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if let Some(log) = &mut self.log {
            let written = log.write(stream, bytes, clock::now());
            self.check(written);
        }
    }

    fn resized(&mut self, size: WindowSize) {
        if let Some(log) = &mut self.log {
            log.resize(size);
        }
    }

    fn finish(mut self: Box<Self>) {
        if let Some(log) = self.log.take() {
            let finished = log.finish();
            self.check(finished);
        }
    }
}
