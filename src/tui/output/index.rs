//! Where blocks of lines start in a log: a sparse table that is filled forwards in bounded steps, and backwards from
//! its end when somebody looks there. Its size is bounded too: when it is full, blocks become larger.

use std::rc::Rc;

use super::block::{Block, Loaded, Start};
use super::line::Line;
use super::progress::Progress;
use super::source::Source;
use crate::store::StoreError;

/// How much is read at once, at first.
const BLOCK: usize = 64 * 1024;

/// Where a line begins is looked for in pieces of so many bytes: it is near, mostly.
const GLANCE: usize = 4096;

/// More starts than this are thinned out, and blocks grow: with these numbers, when a log has more than 512 MiB.
const MOST_STARTS: usize = 8192;

/// How many bytes of blocks stay in memory: what is on the screen, and a little around it.
const CACHED: usize = 2 * 1024 * 1024;

/// But so many blocks at least: a screen can lie across two, and the end of the log is looked at too.
const CACHED_BLOCKS: usize = 3;

/// A line that was looked up.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Where it begins.
    pub start: u64,
    /// Where the next one begins.
    pub end: u64,
    /// Its number from 0, as far as it is known.
    pub number: Option<u64>,
    /// Whether it has its end; only the last one of the log may have none.
    pub ended: bool,
    /// What it shows.
    pub content: Content,
}

/// What a line shows.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Output.
    Line(Rc<Line>),
    /// So many bytes have been dropped from the log here.
    Lost(u64),
}

/// The starts of blocks, from some line of the log on.
pub(super) struct Index {
    starts: Vec<Start>,
    block_size: usize,
    /// Whether it starts at the log's first line, so that lines can be numbered.
    numbered: bool,
    cache: Vec<Rc<Block>>,
    /// How far the log was scanned when its end was reached last; none when there is more to scan.
    complete: Option<u64>,
    /// Lines from the last start to the end of the log.
    open_lines: u64,
    /// The last progress seen in the scanned blocks, and in those up to the end.
    progress: Progress,
    open_progress: Option<Progress>,
}

impl Index {
    /// An index of the whole log.
    pub(super) fn new() -> Self {
        Self::from(Start::default(), true)
    }

    /// An index of the last `size` bytes of a log that is `written` bytes long. Its lines have no numbers.
    pub(super) fn of_tail(source: &mut dyn Source, written: u64, size: u64) -> Result<Self, StoreError> {
        let offset = line_after(source, written.saturating_sub(size), written)?;
        Ok(Self::from(Start { offset, body: offset, ..Start::default() }, false))
    }

    fn from(start: Start, numbered: bool) -> Self {
        Self {
            starts: vec![start],
            block_size: BLOCK,
            numbered,
            cache: Vec::new(),
            complete: None,
            open_lines: 0,
            progress: Progress::None,
            open_progress: None,
        }
    }

    /// The offset of its first line.
    pub(super) fn first(&self) -> u64 {
        self.starts.first().map_or(0, |start| start.offset)
    }

    /// The offset up to which it knows the blocks.
    pub(super) fn frontier(&self) -> u64 {
        self.starts.last().map_or(0, |start| start.offset)
    }

    /// The offset up to which it has read; past the frontier in a line that was overwritten many times.
    pub(super) fn scanned(&self) -> u64 {
        self.starts.last().map_or(0, |start| start.body)
    }

    /// Whether it knows all of a log of this length.
    pub(super) fn knows(&self, written: u64) -> bool {
        self.complete == Some(written)
    }

    /// How many lines the log has.
    pub(super) fn lines(&self) -> Option<u64> {
        let last = self.starts.last().filter(|_| self.numbered && self.complete.is_some())?;
        Some(last.line + self.open_lines)
    }

    /// The last progress that it has seen.
    pub(super) fn progress(&self) -> Progress {
        self.open_progress.unwrap_or(self.progress)
    }

    /// Goes on to the end of the log, but no further than `budget` bytes. Returns whether there is more.
    pub(super) fn extend(&mut self, source: &mut dyn Source, written: u64, budget: u64) -> Result<bool, StoreError> {
        self.complete = None;
        let limit = self.scanned().saturating_add(budget);
        while let Some(last) = self.starts.last().copied() {
            if last.body >= limit {
                return Ok(true);
            }
            match Block::load(source, last, None, self.block_size, written)? {
                Loaded::Lost { until } => self.lose(self.starts.len() - 1, until),
                Loaded::Block(block) if block.next.is_some() => self.push(&block),
                Loaded::Block(block) => {
                    self.open_lines = block.len() as u64;
                    self.open_progress = block.progress;
                    self.complete = Some(written);
                    self.remember(block);
                    return Ok(false);
                }
            }
        }
        Ok(false)
    }

    /// Knows one block more before its first one, but nothing before `floor`.
    pub(super) fn extend_back(&mut self, source: &mut dyn Source, floor: u64) -> Result<(), StoreError> {
        let first = self.first();
        let from = first.saturating_sub(self.block_size as u64).max(floor);
        let offset = if from == floor { floor } else { line_after(source, from, first)? };
        if offset < first {
            self.starts.insert(0, Start { offset, body: offset, ..Start::default() });
        }
        Ok(())
    }

    /// The last line that begins at `offset` or before it.
    pub(super) fn line_at(
        &mut self,
        source: &mut dyn Source,
        mut offset: u64,
        written: u64,
    ) -> Result<Option<Found>, StoreError> {
        // Each round learns of a block more, so a few are enough wherever a view can be.
        for _ in 0..64 {
            let at = self.starts.partition_point(|start| start.offset <= offset).saturating_sub(1);
            let (start, next) = (self.starts[at], self.starts.get(at + 1).copied());
            if let (true, Some(next)) = (start.lost, next) {
                return Ok(Some(Found {
                    start: start.offset,
                    end: next.offset,
                    number: self.numbered.then_some(start.line),
                    ended: true,
                    content: Content::Lost(next.offset - start.offset),
                }));
            }
            let Some(block) = self.block(source, at, written)? else { continue };
            if next.is_none() && block.next.is_some_and(|next| next.offset <= offset || block.len() == 0) {
                self.push(&block);
                continue;
            }
            match block.find(offset) {
                Some(index) => {
                    return Ok(Some(Found {
                        start: block.begin(index),
                        end: block.begin(index + 1),
                        number: self.numbered.then_some(self.starts[at].line + index as u64),
                        ended: block.is_ended(index),
                        content: Content::Line(block.line(index)),
                    }));
                }
                // The log ended exactly where the last block began.
                None => match start.offset.checked_sub(1) {
                    Some(before) if at > 0 => offset = before,
                    _ => return Ok(None),
                },
            }
        }
        Ok(None)
    }

    /// A block, from memory or from the log; none when its bytes turned out to be lost and the table has changed.
    fn block(&mut self, source: &mut dyn Source, at: usize, written: u64) -> Result<Option<Rc<Block>>, StoreError> {
        let (start, bound) = (self.starts[at], self.starts.get(at + 1).map(|next| next.offset));
        let known = self.cache.iter().position(|block| {
            let same = block.start.offset == start.offset && block.start.body == start.body;
            same && match bound {
                Some(bound) => block.next.is_some() && block.end == bound,
                None => block.next.is_some() || self.knows(written),
            }
        });
        if let Some(known) = known {
            self.cache[..=known].rotate_right(1);
            return Ok(self.cache.first().cloned());
        }
        match Block::load(source, start, bound, self.block_size, written)? {
            Loaded::Lost { until } => {
                self.lose(at, until);
                Ok(None)
            }
            Loaded::Block(block) => {
                if let Some(bound) = bound {
                    self.settle(at, &block, bound);
                }
                Ok(Some(self.remember(block)))
            }
        }
    }

    /// Puts right what a loss of bytes has made of the block at `at`, which should end at `bound`.
    fn settle(&mut self, at: usize, block: &Block, bound: u64) {
        if let Some(torn) = block.next.filter(|next| next.offset < bound) {
            self.starts.insert(at + 1, Start { line: self.starts[at].line + block.len() as u64, ..torn });
        } else if at > 0 && self.starts[at - 1].lost {
            // Counted from behind, since nobody has counted the lines that were lost.
            self.starts[at].line = self.starts[at + 1].line.saturating_sub(block.len() as u64);
        }
    }

    fn remember(&mut self, block: Rc<Block>) -> Rc<Block> {
        self.cache.retain(|known| known.start.offset != block.start.offset);
        self.cache.insert(0, Rc::clone(&block));
        let mut weight = 0;
        let full = self.cache.iter().position(|block| {
            weight += block.weight();
            weight > CACHED
        });
        self.cache.truncate(full.unwrap_or(usize::MAX).max(CACHED_BLOCKS));
        block
    }

    /// The last block has a successor.
    fn push(&mut self, block: &Block) {
        let Some(next) = block.next else { return };
        if let Some(progress) = block.progress {
            self.progress = progress;
        }
        self.open_progress = None;
        if block.len() == 0 {
            // Only overwritten text so far: the same line, further on.
            self.starts.pop();
        }
        self.starts.push(next);
        if self.starts.len() > MOST_STARTS {
            self.thin();
        }
    }

    /// Forgets every second start; reads twice as much at once.
    fn thin(&mut self) {
        self.block_size *= 2;
        let last = self.starts.len() - 1;
        let mut after_loss = false;
        let mut index = 0;
        self.starts.retain(|start| {
            let kept = index % 2 == 0 || index == last || start.lost || after_loss;
            after_loss = start.lost;
            index += 1;
            kept
        });
        self.cache.clear();
    }

    /// The bytes from the start at `at` up to `until` are no longer in the log.
    fn lose(&mut self, at: usize, until: u64) {
        let behind = self.starts.partition_point(|start| start.offset < until).max(at + 1);
        self.starts.drain(at + 1..behind);
        let lost = &mut self.starts[at];
        lost.lost = true;
        let line = lost.line + 1;
        if self.starts.get(at + 1).is_none_or(|next| next.offset > until) {
            self.starts.insert(at + 1, Start { offset: until, body: until, line, ..Start::default() });
        }
        if at > 0 && self.starts[at - 1].lost {
            self.starts.remove(at);
        }
    }
}

/// The first line start after `offset` as far as that can be told from a block's bytes, else `offset` itself.
fn line_after(source: &mut dyn Source, offset: u64, end: u64) -> Result<u64, StoreError> {
    if offset == 0 {
        return Ok(0);
    }
    let (mut bytes, mut at) = ([0; GLANCE], offset);
    let end = end.min(offset + BLOCK as u64);
    while at < end {
        let most = usize::try_from(end - at).unwrap_or(GLANCE).min(GLANCE);
        let piece = source.read_at(at, &mut bytes[..most])?;
        if piece.offset > at {
            // What was there has been dropped.
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
    use crate::store::log::Piece;

    /// A log of lines of 4 KiB, each all of one letter.
    struct Letters(u64);

    impl Source for Letters {
        fn written(&mut self) -> Result<u64, StoreError> {
            Ok(self.0)
        }

        fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<Piece, StoreError> {
            let len = usize::try_from(self.0 - offset).unwrap().min(buffer.len());
            for (at, byte) in (offset..).zip(&mut buffer[..len]) {
                let letter = u8::try_from(at / 4096 % 26).unwrap();
                *byte = if at % 4096 == 4095 { b'\n' } else { b'a' + letter };
            }
            Ok(Piece { offset, len })
        }
    }

    /// Only a log of half a gibibyte thins its index by itself.
    #[test]
    fn a_thinned_index_finds_the_same_lines() {
        let mut source = Letters(2 << 20);
        let written = source.0;
        let mut index = Index::new();
        while index.extend(&mut source, written, 1 << 20).unwrap() {}
        let lines = |index: &mut Index, source: &mut Letters| -> Vec<_> {
            let starts = (0..written).step_by(4096 * 7);
            starts.map(|offset| format!("{:?}", index.line_at(source, offset, written).unwrap())).collect()
        };
        let (before, starts) = (lines(&mut index, &mut source), index.starts.len());
        for _ in 0..3 {
            index.thin();
        }
        assert!(index.starts.len() <= starts / 8 + 2);
        assert_eq!(lines(&mut index, &mut source), before);
        // And goes on in larger steps.
        source.0 *= 2;
        let written = source.0;
        while index.extend(&mut source, written, 1 << 20).unwrap() {}
        assert_eq!(index.lines(), Some(written / 4096));
    }
}
