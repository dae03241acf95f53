//! An index of block starts in a log. It is sparse, grows forwards in bounded steps, and backwards from the end of the
//! log on demand. Its size is bounded: when it is full, every second start is removed and blocks become twice as large.

use std::rc::Rc;

use super::job_progress::JobProgress;
use super::line_block::{BlockStart, LineBlock, LoadedBlock};
use super::output_source::OutputSource;
use super::styled_line::StyledLine;
use crate::store::StoreError;

/// The initial size of a block in bytes.
const BLOCK_BYTES: usize = 64 * 1024;

/// How many bytes are read at once to find the next line start.
const LINE_SEARCH_BYTES: usize = 4096;

/// The most starts kept before they are thinned out. With these numbers, that happens when a log exceeds 512 MiB.
const MAX_STARTS: usize = 8192;

/// The most bytes of blocks kept in memory.
const MAX_CACHED_BYTES: usize = 2 * 1024 * 1024;

/// The fewest blocks kept in memory: a screen can span two, and the end of the log is needed too.
const MIN_CACHED_BLOCKS: usize = 3;

/// A line found by its offset.
#[derive(Clone, Debug)]
pub(super) struct LocatedLine {
    /// The offset at which it starts.
    pub start: u64,
    /// The offset at which the next line starts.
    pub end: u64,
    /// Its number from 0, if it is known.
    pub number: Option<u64>,
    /// Its content.
    pub content: LineContent,
}

/// The content of a line.
#[derive(Clone, Debug)]
pub(super) enum LineContent {
    /// Output.
    Text(Rc<StyledLine>),
    /// This many bytes have been discarded from the log here.
    Discarded(u64),
}

/// Where a line is.
#[derive(Debug)]
pub(super) enum LinePlace {
    /// It was discarded from the log, with all bytes up to `end`.
    Discarded { start: u64, end: u64, line: u64 },
    /// In a block whose first line has the number `first_line`.
    Line { block: Rc<LineBlock>, index: usize, first_line: u64 },
}

/// The starts of blocks from some line of the log on.
pub(super) struct LineIndex {
    starts: Vec<BlockStart>,
    block_size: usize,
    /// Whether the index starts at the first line of the log, so that lines have numbers.
    has_line_numbers: bool,
    cache: Vec<Rc<LineBlock>>,
    /// The length of the log when the index last reached its end. `None` while there is more to scan.
    complete_to: Option<u64>,
    /// The number of lines from the last start to the end of the log.
    tail_lines: u64,
    /// The last progress reported in the complete blocks, and after them.
    progress: JobProgress,
    tail_progress: Option<JobProgress>,
}

impl LineIndex {
    /// Creates an index of the whole log.
    pub(super) fn new() -> Self {
        Self::starting_at(BlockStart::default(), true)
    }

    /// Creates an index of the last `size` bytes of a log of `written` bytes. Its lines have no numbers.
    pub(super) fn for_tail(source: &mut dyn OutputSource, written: u64, size: u64) -> Result<Self, StoreError> {
        let offset = next_line_start(source, written.saturating_sub(size), written)?;
        Ok(Self::starting_at(BlockStart { offset, text_start: offset, ..BlockStart::default() }, false))
    }

    fn starting_at(start: BlockStart, has_line_numbers: bool) -> Self {
        Self {
            starts: vec![start],
            block_size: BLOCK_BYTES,
            has_line_numbers,
            cache: Vec::new(),
            complete_to: None,
            tail_lines: 0,
            progress: JobProgress::None,
            tail_progress: None,
        }
    }

    /// The offset of the first line.
    pub(super) fn start_offset(&self) -> u64 {
        self.starts.first().map_or(0, |start| start.offset)
    }

    /// The offset up to which the block starts are known.
    pub(super) fn known_end(&self) -> u64 {
        self.starts.last().map_or(0, |start| start.offset)
    }

    /// The offset up to which the log was read. It is beyond [`known_end`](Self::known_end) in a line that was
    /// overwritten many times.
    pub(super) fn scanned_to(&self) -> u64 {
        self.starts.last().map_or(0, |start| start.text_start)
    }

    /// Whether the index covers a log of this length completely.
    pub(super) fn is_complete_for(&self, written: u64) -> bool {
        self.complete_to == Some(written)
    }

    /// The number of lines in the log.
    pub(super) fn line_count(&self) -> Option<u64> {
        let last = self.starts.last().filter(|_| self.has_line_numbers && self.complete_to.is_some())?;
        Some(last.line + self.tail_lines)
    }

    /// The last progress reported.
    pub(super) fn progress(&self) -> JobProgress {
        self.tail_progress.unwrap_or(self.progress)
    }

    /// Extends the index towards the end of the log by at most `budget` bytes. Returns whether there is more.
    pub(super) fn extend(
        &mut self,
        source: &mut dyn OutputSource,
        written: u64,
        budget: u64,
    ) -> Result<bool, StoreError> {
        self.complete_to = None;
        let limit = self.scanned_to().saturating_add(budget);
        while let Some(last) = self.starts.last().copied() {
            if last.text_start >= limit {
                return Ok(true);
            }
            match LineBlock::load(source, last, None, self.block_size, written)? {
                LoadedBlock::Discarded { until } => self.mark_discarded(self.starts.len() - 1, until),
                LoadedBlock::Lines(block) if block.next.is_some() => self.push_block(&block),
                LoadedBlock::Lines(block) => {
                    self.tail_lines = block.len() as u64;
                    self.tail_progress = block.progress;
                    self.complete_to = Some(written);
                    self.cache_block(block);
                    return Ok(false);
                }
            }
        }
        Ok(false)
    }

    /// Adds one block before the first one, but none before `floor`.
    pub(super) fn extend_backwards(&mut self, source: &mut dyn OutputSource, floor: u64) -> Result<(), StoreError> {
        let first = self.start_offset();
        let from = first.saturating_sub(self.block_size as u64).max(floor);
        let offset = if from == floor { floor } else { next_line_start(source, from, first)? };
        if offset < first {
            self.starts.insert(0, BlockStart { offset, text_start: offset, ..BlockStart::default() });
        }
        Ok(())
    }

    /// The last line that starts at or before `offset`.
    pub(super) fn line_at(
        &mut self,
        source: &mut dyn OutputSource,
        offset: u64,
        written: u64,
    ) -> Result<Option<LocatedLine>, StoreError> {
        let has_number = self.has_line_numbers;
        Ok(self.place_at(source, offset, written)?.map(|place| match place {
            LinePlace::Discarded { start, end, line } => LocatedLine {
                start,
                end,
                number: has_number.then_some(line),
                content: LineContent::Discarded(end - start),
            },
            LinePlace::Line { block, index, first_line } => LocatedLine {
                start: block.line_start(index),
                end: block.line_start(index + 1),
                number: has_number.then_some(first_line + index as u64),
                content: LineContent::Text(block.rendered_line(index)),
            },
        }))
    }

    /// Where the last line is that starts at or before `offset`.
    pub(super) fn place_at(
        &mut self,
        source: &mut dyn OutputSource,
        mut offset: u64,
        written: u64,
    ) -> Result<Option<LinePlace>, StoreError> {
        // Each iteration adds at least one block, and a view is never more than a few blocks away.
        for _ in 0..64 {
            let at = self.starts.partition_point(|start| start.offset <= offset).saturating_sub(1);
            let (start, next) = (self.starts[at], self.starts.get(at + 1).copied());
            if let (true, Some(next)) = (start.discarded, next) {
                let (start, end, line) = (start.offset, next.offset, start.line);
                return Ok(Some(LinePlace::Discarded { start, end, line }));
            }
            let Some(block) = self.load_block(source, at, written)? else { continue };
            if next.is_none() && block.next.is_some_and(|next| next.offset <= offset || block.len() == 0) {
                self.push_block(&block);
                continue;
            }
            match block.line_index_at(offset) {
                Some(index) => {
                    let first_line = self.starts[at].line;
                    return Ok(Some(LinePlace::Line { block, index, first_line }));
                }
                // The log ends exactly where the last block starts.
                None => match start.offset.checked_sub(1) {
                    Some(before) if at > 0 => offset = before,
                    _ => return Ok(None),
                },
            }
        }
        Ok(None)
    }

    /// A block from memory or from the log. `None` if its bytes have been discarded and the index changed.
    fn load_block(
        &mut self,
        source: &mut dyn OutputSource,
        at: usize,
        written: u64,
    ) -> Result<Option<Rc<LineBlock>>, StoreError> {
        let (start, bound) = (self.starts[at], self.starts.get(at + 1).map(|next| next.offset));
        let known = self.cache.iter().position(|block| {
            let same = block.start.offset == start.offset && block.start.text_start == start.text_start;
            same && match bound {
                Some(bound) => block.next.is_some() && block.end == bound,
                None => block.next.is_some() || self.is_complete_for(written),
            }
        });
        if let Some(known) = known {
            self.cache[..=known].rotate_right(1);
            return Ok(self.cache.first().cloned());
        }
        match LineBlock::load(source, start, bound, self.block_size, written)? {
            LoadedBlock::Discarded { until } => {
                self.mark_discarded(at, until);
                Ok(None)
            }
            LoadedBlock::Lines(block) => {
                if let Some(bound) = bound {
                    self.fix_after_discard(at, &block, bound);
                }
                Ok(Some(self.cache_block(block)))
            }
        }
    }

    /// Corrects the index after part of the block at `at`, which should end at `bound`, was discarded.
    fn fix_after_discard(&mut self, at: usize, block: &LineBlock, bound: u64) {
        if let Some(torn) = block.next.filter(|next| next.offset < bound) {
            self.starts.insert(at + 1, BlockStart { line: self.starts[at].line + block.len() as u64, ..torn });
        } else if at > 0 && self.starts[at - 1].discarded {
            // The discarded lines were never counted, so the number is computed from the next block.
            self.starts[at].line = self.starts[at + 1].line.saturating_sub(block.len() as u64);
        }
    }

    fn cache_block(&mut self, block: Rc<LineBlock>) -> Rc<LineBlock> {
        self.cache.retain(|known| known.start.offset != block.start.offset);
        self.cache.insert(0, Rc::clone(&block));
        let mut memory_size = 0;
        let full = self.cache.iter().position(|block| {
            memory_size += block.memory_size();
            memory_size > MAX_CACHED_BYTES
        });
        self.cache.truncate(full.unwrap_or(usize::MAX).max(MIN_CACHED_BLOCKS));
        block
    }

    /// Adds the start of the block that follows `block`.
    fn push_block(&mut self, block: &LineBlock) {
        let Some(next) = block.next else { return };
        if let Some(progress) = block.progress {
            self.progress = progress;
        }
        self.tail_progress = None;
        if block.len() == 0 {
            // The block holds only overwritten text: the same line continues later.
            self.starts.pop();
        }
        self.starts.push(next);
        if self.starts.len() > MAX_STARTS {
            self.thin_out();
        }
    }

    /// Removes every second start and doubles the block size.
    fn thin_out(&mut self) {
        self.block_size *= 2;
        let last = self.starts.len() - 1;
        let mut after_loss = false;
        let mut index = 0;
        self.starts.retain(|start| {
            let kept = index % 2 == 0 || index == last || start.discarded || after_loss;
            after_loss = start.discarded;
            index += 1;
            kept
        });
        self.cache.clear();
    }

    /// Marks the bytes from the start at `at` up to `until` as discarded.
    fn mark_discarded(&mut self, at: usize, until: u64) {
        let after = self.starts.partition_point(|start| start.offset < until).max(at + 1);
        self.starts.drain(at + 1..after);
        let discarded = &mut self.starts[at];
        discarded.discarded = true;
        let line = discarded.line + 1;
        if self.starts.get(at + 1).is_none_or(|next| next.offset > until) {
            self.starts.insert(at + 1, BlockStart { offset: until, text_start: until, line, ..BlockStart::default() });
        }
        if at > 0 && self.starts[at - 1].discarded {
            self.starts.remove(at);
        }
    }
}

/// The first line start after `offset` within one block size, otherwise `offset` itself.
fn next_line_start(source: &mut dyn OutputSource, offset: u64, end: u64) -> Result<u64, StoreError> {
    if offset == 0 {
        return Ok(0);
    }
    let (mut bytes, mut at) = ([0; LINE_SEARCH_BYTES], offset);
    let end = end.min(offset + BLOCK_BYTES as u64);
    while at < end {
        let most = usize::try_from(end - at).unwrap_or(LINE_SEARCH_BYTES).min(LINE_SEARCH_BYTES);
        let piece = source.read_at(at, &mut bytes[..most])?;
        if piece.offset > at {
            // The bytes there have been discarded.
            return Ok(piece.offset);
        }
        if let Some(found) = memchr::memchr(b'\n', &bytes[..piece.len]) {
            return Ok(at + found as u64 + 1);
        }
        if piece.len == 0 {
            break;
        }
        at += piece.len as u64;
    }
    Ok(offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::log::LogChunk;

    /// A log of 4 KiB lines, each of one letter.
    struct Letters(u64);

    impl OutputSource for Letters {
        fn written(&mut self) -> Result<u64, StoreError> {
            Ok(self.0)
        }

        fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<LogChunk, StoreError> {
            let len = usize::try_from(self.0 - offset).unwrap().min(buffer.len());
            for (at, byte) in (offset..).zip(&mut buffer[..len]) {
                let letter = u8::try_from(at / 4096 % 26).unwrap();
                *byte = if at % 4096 == 4095 { b'\n' } else { b'a' + letter };
            }
            Ok(LogChunk { offset, len })
        }
    }

    /// Without this test, only a log of half a gibibyte would thin out its index.
    #[test]
    fn a_thinned_index_finds_the_same_lines() {
        let mut source = Letters(2 << 20);
        let written = source.0;
        let mut index = LineIndex::new();
        while index.extend(&mut source, written, 1 << 20).unwrap() {}
        let lines = |index: &mut LineIndex, source: &mut Letters| -> Vec<_> {
            let starts = (0..written).step_by(4096 * 7);
            starts.map(|offset| format!("{:?}", index.line_at(source, offset, written).unwrap())).collect()
        };
        let (before, starts) = (lines(&mut index, &mut source), index.starts.len());
        for _ in 0..3 {
            index.thin_out();
        }
        assert!(index.starts.len() <= starts / 8 + 2);
        assert_eq!(lines(&mut index, &mut source), before);
        // The index then grows in larger steps.
        source.0 *= 2;
        let written = source.0;
        while index.extend(&mut source, written, 1 << 20).unwrap() {}
        assert_eq!(index.line_count(), Some(written / 4096));
    }
}
