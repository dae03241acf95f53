//! Access to the lines of a growing log by offset: the line at, before or after an offset.
//!
//! Lines are identified by offsets because these are known at both ends of a log of any size at once. Line numbers
//! follow when the index is complete. Until then, a long log is read from its end.

use super::job_progress::JobProgress;
use super::line_index::{LineIndex, LinePlace, LocatedLine};
use super::output_source::OutputSource;
use crate::store::StoreError;
use crate::store::log::OutputSpan;

/// The most bytes read per refresh, so that key presses are handled in between.
const MAX_REFRESH_BYTES: u64 = 256 * 1024;

/// How many bytes of the end are read while the index is incomplete.
const TAIL_BYTES: u64 = 128 * 1024;

/// The most blocks added before the tail at once. A view needs one or two.
const MAX_BLOCKS_BACK: usize = 16;

/// The lines of a log.
pub(super) struct LogLines {
    source: Box<dyn OutputSource>,
    written: u64,
    index: LineIndex,
    tail: Option<LineIndex>,
}

impl LogLines {
    /// Creates the lines of `source`. Nothing is read before the first refresh.
    pub(super) fn new(source: Box<dyn OutputSource>) -> Self {
        Self { source, written: 0, index: LineIndex::new(), tail: None }
    }

    /// Reads new output within the budget and returns whether there is more. `at_end` says that the view shows the end.
    pub(super) fn refresh(&mut self, at_end: bool) -> Result<bool, StoreError> {
        let written = self.source.written()?;
        if written < self.written {
            // The log was replaced.
            self.index = LineIndex::new();
            self.tail = None;
        }
        self.written = written;
        if self.index.is_complete_for(written) {
            return Ok(false);
        }
        let source = self.source.as_mut();
        let more = self.index.extend(source, written, MAX_REFRESH_BYTES)?;
        if !more {
            self.tail = None;
            return Ok(false);
        }
        let is_behind = |tail: &LineIndex| at_end && written.saturating_sub(tail.scanned_to()) > MAX_REFRESH_BYTES;
        let mut tail = match self.tail.take() {
            Some(tail) if !is_behind(&tail) => tail,
            _ => LineIndex::for_tail(source, written, TAIL_BYTES)?,
        };
        tail.extend(source, written, MAX_REFRESH_BYTES)?;
        self.tail = Some(tail);
        Ok(true)
    }

    /// The length of the log in bytes.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// The number of lines. `None` while they are being counted.
    pub(super) fn line_count(&self) -> Option<u64> {
        self.index.line_count()
    }

    /// The last progress that the job reported.
    pub(super) fn progress(&self) -> JobProgress {
        self.tail.as_ref().unwrap_or(&self.index).progress()
    }

    /// The span that contains the byte at `offset`, which must have been read.
    pub(super) fn span_at(&mut self, offset: u64) -> OutputSpan {
        self.source.span_at(offset)
    }

    /// Whether times and streams are known.
    pub(super) fn has_origins(&mut self) -> bool {
        self.source.has_origins()
    }

    /// The last line that starts at or before `offset`.
    pub(super) fn line_at(&mut self, offset: u64) -> Result<Option<LocatedLine>, StoreError> {
        self.with_index_at(offset, |index, source, written| index.line_at(source, offset, written))
    }

    /// Where the last line is that starts at or before `offset`.
    pub(super) fn place_at(&mut self, offset: u64) -> Result<Option<LinePlace>, StoreError> {
        self.with_index_at(offset, |index, source, written| index.place_at(source, offset, written))
    }

    /// Reads from the index that has the line at `offset`.
    fn with_index_at<T>(
        &mut self,
        offset: u64,
        read: impl FnOnce(&mut LineIndex, &mut dyn OutputSource, u64) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let source = self.source.as_mut();
        let index_end = self.index.known_end();
        match &mut self.tail {
            // The offset is closer to the tail than to the indexed part, so the tail grows backwards.
            Some(tail) if offset >= index_end && offset - index_end >= tail.start_offset().saturating_sub(offset) => {
                for _ in 0..MAX_BLOCKS_BACK {
                    if tail.start_offset() <= offset {
                        break;
                    }
                    tail.extend_backwards(source, index_end)?;
                }
                read(tail, source, self.written)
            }
            _ => read(&mut self.index, source, self.written),
        }
    }

    /// The last line.
    pub(super) fn last_line(&mut self) -> Result<Option<LocatedLine>, StoreError> {
        self.line_at(self.written.saturating_sub(1))
    }

    /// The line after `line`.
    pub(super) fn line_after(&mut self, line: &LocatedLine) -> Result<Option<LocatedLine>, StoreError> {
        if line.end >= self.written {
            return Ok(None);
        }
        Ok(self.line_at(line.end)?.filter(|next| next.start >= line.end))
    }

    /// The line before `line`.
    pub(super) fn line_before(&mut self, line: &LocatedLine) -> Result<Option<LocatedLine>, StoreError> {
        let Some(offset) = line.start.checked_sub(1) else { return Ok(None) };
        Ok(self.line_at(offset)?.filter(|previous| previous.start < line.start))
    }
}
