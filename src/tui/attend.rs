//! The runs that go on in view: how far each says it is, and where its output is read.

use std::collections::HashMap;
use std::fmt;

use crate::model::RunId;
use crate::store::LineWriter;
use crate::store::log::LogReader;

use super::output::Progress;
use super::wake::Effect;

/// The runs that are attended to: what they print wakes the screen.
#[derive(Default)]
pub(super) struct Attendance {
    wanted: Vec<RunId>,
    runs: HashMap<RunId, Attended>,
}

/// A run that is attended to.
struct Attended {
    reader: LogReader,
    line: LineWriter,
    /// Up to where it was looked through for reports of progress.
    at: u64,
    progress: Progress,
}

/// How much of the end is looked through at first: tools report often.
const FIRST: u64 = 512 * 1024;
/// How much one look goes through at most, in bytes; what lies before that is out of date.
const LOOK: u64 = 256 * 1024;
/// A report is shorter. One that had only begun is seen whole the next time.
const REPORT: u64 = 32;

impl Attendance {
    /// Attends to these runs and no others; asks for that if they are others than before.
    pub(super) fn want(&mut self, mut runs: Vec<RunId>) -> Option<Effect> {
        runs.sort_unstable();
        runs.dedup();
        if runs == self.wanted {
            return None;
        }
        self.runs.retain(|run, _| runs.binary_search(run).is_ok());
        self.wanted.clone_from(&runs);
        Some(Effect::Attend(runs))
    }

    /// The output of a run can be read.
    pub(super) fn open(&mut self, run: RunId, reader: LogReader, line: LineWriter) {
        if self.wanted.binary_search(&run).is_ok() {
            let mut attended = Attended { reader, line, at: 0, progress: Progress::None };
            attended.look(FIRST);
            self.runs.insert(run, attended);
        }
    }

    /// Some of them have printed more.
    pub(super) fn refresh(&mut self) {
        self.runs.values_mut().for_each(|attended| attended.look(LOOK));
    }

    /// How far a run says it is.
    pub(super) fn progress(&self, run: RunId) -> Progress {
        self.runs.get(&run).map_or(Progress::None, |attended| attended.progress)
    }

    /// Where the output of a run is read, and where it is typed into.
    pub(super) fn ends(&self, run: RunId) -> Option<(LogReader, LineWriter)> {
        self.runs.get(&run).map(|attended| (attended.reader.again(), attended.line.again()))
    }
}

impl Attended {
    fn look(&mut self, most: u64) {
        // A log that can't be read says so where it is shown.
        let Ok(written) = self.reader.len() else { return };
        self.at = self.at.min(written).max(written.saturating_sub(most));
        let mut bytes = vec![0; usize::try_from(written - self.at).unwrap_or(0)];
        let (mut at, mut len) = (self.at, 0);
        while len < bytes.len() {
            match self.reader.read_at(at, &mut bytes[len..]) {
                Ok(piece) if piece.len > 0 => {
                    len += piece.len;
                    at = piece.offset + piece.len as u64;
                }
                _ => break,
            }
        }
        self.progress = Progress::last_in(&bytes[..len]).unwrap_or(self.progress);
        self.at = at.saturating_sub(REPORT).max(self.at);
    }
}

impl fmt::Debug for Attendance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attendance").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}
