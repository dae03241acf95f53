//! Writes the output of a run to its log, and tells the worker when a run stalls.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock;
use crate::model::{RunId, Stream, WindowSize};
use crate::runner::Output;
use crate::store::StoreError;
use crate::store::log::LogWriter;

/// Writes output to a log. If that fails, the run continues without a log.
pub(super) struct RunLog {
    log: Option<LogWriter>,
    run: RunId,
    on_stall: StallCallback,
}

/// Called when a run is stalled, with the time since when it has printed nothing, and without a time when it prints again.
pub(super) type StallCallback = Box<dyn Fn(Option<DateTime<Utc>>) + Send>;

impl RunLog {
    pub(super) fn new(log: LogWriter, run: RunId, on_stall: StallCallback) -> Self {
        Self { log: Some(log), run, on_stall }
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

    fn stalled(&mut self, silent_for: Option<Duration>) {
        let since = |silent: Duration| TimeDelta::from_std(silent).map_or(clock::now(), |silent| clock::now() - silent);
        (self.on_stall)(silent_for.map(since));
    }

    fn finish(mut self: Box<Self>) {
        if let Some(log) = self.log.take() {
            let finished = log.finish();
            self.check(finished);
        }
    }
}
