//! The lines of a log by offset: the one at, before or after a place, wherever that is, while the log grows.
//!
//! Offsets name lines because they are known at once at both ends of a log of any size; numbers follow when the index
//! gets there. A log that is long when it is opened is read from its end until then.

use super::index::{Found, Index};
use super::progress::Progress;
use super::source::Source;
use crate::store::StoreError;
use crate::store::log::Stretch;

/// How many bytes one refresh reads at most, so that keys are answered meanwhile.
const BUDGET: u64 = 256 * 1024;

/// How much of the end is read while the index is not there yet.
const TAIL: u64 = 128 * 1024;

/// How many blocks are looked for before the tail at once; a view needs one or two.
const BLOCKS_BACK: usize = 16;

/// All lines of a log.
pub(super) struct Lines {
    source: Box<dyn Source>,
    written: u64,
    index: Index,
    tail: Option<Index>,
}

impl Lines {
    /// Nothing is read before the first refresh.
    pub(super) fn new(source: Box<dyn Source>) -> Self {
        Self { source, written: 0, index: Index::new(), tail: None }
    }

    /// Looks what is new, within the budget; returns whether there is more. `to_end`: the end is what is looked at.
    pub(super) fn refresh(&mut self, to_end: bool) -> Result<bool, StoreError> {
        let written = self.source.written()?;
        if written < self.written {
            // Not the same log any more.
            self.index = Index::new();
            self.tail = None;
        }
        self.written = written;
        if self.index.knows(written) {
            return Ok(false);
        }
        let source = self.source.as_mut();
        let more = self.index.extend(source, written, BUDGET)?;
        if !more {
            self.tail = None;
            return Ok(false);
        }
        let behind = |tail: &Index| to_end && written.saturating_sub(tail.scanned()) > BUDGET;
        let mut tail = match self.tail.take() {
            Some(tail) if !behind(&tail) => tail,
            _ => Index::of_tail(source, written, TAIL)?,
        };
        tail.extend(source, written, BUDGET)?;
        self.tail = Some(tail);
        Ok(true)
    }

    /// How many bytes there are.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// How many lines there are; none while they are still being counted.
    pub(super) fn count(&self) -> Option<u64> {
        self.index.lines()
    }

    /// The last progress that the job reported.
    pub(super) fn progress(&self) -> Progress {
        self.tail.as_ref().unwrap_or(&self.index).progress()
    }

    /// Where the byte at `offset`, which was read, came from.
    pub(super) fn stretch_at(&mut self, offset: u64) -> Stretch {
        self.source.stretch_at(offset)
    }

    /// Whether anything is known of where the output came from, and when.
    pub(super) fn is_marked(&mut self) -> bool {
        self.source.is_marked()
    }

    /// The last line that begins at `offset` or before it.
    pub(super) fn at(&mut self, offset: u64) -> Result<Option<Found>, StoreError> {
        let source = self.source.as_mut();
        let known = self.index.frontier();
        match &mut self.tail {
            // Nearer to the tail than to what the index knows: the tail grows towards it.
            Some(tail) if offset >= known && offset - known >= tail.first().saturating_sub(offset) => {
                for _ in 0..BLOCKS_BACK {
                    if tail.first() <= offset {
                        break;
                    }
                    tail.extend_back(source, known)?;
                }
                tail.line_at(source, offset, self.written)
            }
            _ => self.index.line_at(source, offset, self.written),
        }
    }

    /// The last line.
    pub(super) fn last(&mut self) -> Result<Option<Found>, StoreError> {
        self.at(self.written.saturating_sub(1))
    }

    /// The line after `line`.
    pub(super) fn after(&mut self, line: &Found) -> Result<Option<Found>, StoreError> {
        if line.end >= self.written {
            return Ok(None);
        }
        Ok(self.at(line.end)?.filter(|next| next.start >= line.end))
    }

    /// The line before `line`.
    pub(super) fn before(&mut self, line: &Found) -> Result<Option<Found>, StoreError> {
        let Some(offset) = line.start.checked_sub(1) else { return Ok(None) };
        Ok(self.at(offset)?.filter(|previous| previous.start < line.start))
    }
}
