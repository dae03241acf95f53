//! Subscriptions to the output of visible running jobs: their progress, and how to read them.

use std::collections::HashMap;
use std::fmt;

use crate::model::RunId;
use crate::store::TerminalInputWriter;
use crate::store::log::LogReader;

use super::effect::{Effect, StoreRequest};
use super::output::JobProgress;

/// The runs whose output the screen is subscribed to.
#[derive(Default)]
pub(super) struct OutputSubscriptions {
    subscribed: Vec<RunId>,
    runs: HashMap<RunId, SubscribedRun>,
}

/// A run with its output.
struct SubscribedRun {
    reader: LogReader,
    input: TerminalInputWriter,
    /// Up to where the output was searched for progress reports.
    scanned: u64,
    /// How much it has written.
    written: u64,
    progress: JobProgress,
}

/// How many bytes at the end are searched for progress reports at first.
const FIRST_SCAN_BYTES: u64 = 512 * 1024;
/// How many bytes are searched at most after the output has grown; earlier reports are out of date.
const MAX_SCAN_BYTES: u64 = 256 * 1024;
/// The longest progress report in bytes. The last bytes are searched again, as they may end within a report.
const MAX_REPORT_BYTES: u64 = 32;

impl OutputSubscriptions {
    /// Subscribes to these runs and no others; returns the request if the runs have changed.
    pub(super) fn subscribe(&mut self, mut runs: Vec<RunId>) -> Option<Effect> {
        runs.sort_unstable();
        runs.dedup();
        if runs == self.subscribed {
            return None;
        }
        self.runs.retain(|run, _| runs.binary_search(run).is_ok());
        self.subscribed.clone_from(&runs);
        Some(Effect::Store(StoreRequest::Subscribe(runs)))
    }

    /// The output of a run was opened.
    pub(super) fn open(&mut self, run: RunId, reader: LogReader, input: TerminalInputWriter) {
        if self.subscribed.binary_search(&run).is_ok() {
            let mut subscribed = SubscribedRun { reader, input, scanned: 0, written: 0, progress: JobProgress::None };
            subscribed.scan(FIRST_SCAN_BYTES);
            self.runs.insert(run, subscribed);
        }
    }

    /// Searches new output for progress reports.
    pub(super) fn refresh(&mut self) {
        self.runs.values_mut().for_each(|run| run.scan(MAX_SCAN_BYTES));
    }

    /// The runs.
    pub(super) fn runs(&self) -> &[RunId] {
        &self.subscribed
    }

    /// How many bytes a run has written.
    pub(super) fn written(&self, run: RunId) -> Option<u64> {
        self.runs.get(&run).map(|run| run.written)
    }

    /// The progress that a run has reported.
    pub(super) fn progress(&self, run: RunId) -> JobProgress {
        self.runs.get(&run).map_or(JobProgress::None, |run| run.progress)
    }

    /// Reads the output of a run, and writes to its terminal.
    pub(super) fn reader_and_writer(&self, run: RunId) -> Option<(LogReader, TerminalInputWriter)> {
        self.runs.get(&run).map(|run| (run.reader.reopen(), run.input.reopen()))
    }
}

impl SubscribedRun {
    fn scan(&mut self, max_bytes: u64) {
        // The output pane shows errors of the log.
        let Ok(written) = self.reader.len() else { return };
        self.written = written;
        self.scanned = self.scanned.min(written).max(written.saturating_sub(max_bytes));
        let mut bytes = vec![0; usize::try_from(written - self.scanned).unwrap_or(0)];
        let (mut at, mut len) = (self.scanned, 0);
        while len < bytes.len() {
            match self.reader.read_at(at, &mut bytes[len..]) {
                Ok(piece) if piece.len > 0 => {
                    len += piece.len;
                    at = piece.offset + piece.len as u64;
                }
                _ => break,
            }
        }
        self.progress = JobProgress::find_last(&bytes[..len]).unwrap_or(self.progress);
        self.scanned = at.saturating_sub(MAX_REPORT_BYTES).max(self.scanned);
    }
}

impl fmt::Debug for OutputSubscriptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputSubscriptions").field("subscribed", &self.subscribed).finish_non_exhaustive()
    }
}
