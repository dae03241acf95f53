//! A block of consecutive log lines held in memory: the unit of reading.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use super::job_progress::JobProgress;
use super::line_parser::{self, ESCAPE, ParserState};
use super::line_splitter::{LOOKAHEAD_BYTES, SplitStep, find_line_end, is_plain};
use super::output_source::OutputSource;
use super::search_pattern::SearchPattern;
use super::styled_line::StyledLine;
use crate::store::StoreError;
use crate::store::log::is_plain as is_verbatim;

/// The start of a block, always at the start of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BlockStart {
    /// The offset of the line. Lines cover the log without gaps.
    pub offset: u64,
    /// The offset of the line's visible text. It is later than `offset` when a carriage return made the bytes before it
    /// obsolete.
    pub text_start: u64,
    /// The parser state at the start of the line.
    pub parser_state: ParserState,
    /// The line number, from 0.
    pub line: u64,
    /// Whether the bytes up to the next start have been discarded from the log. They count as one line.
    pub discarded: bool,
}

/// The most lines kept in rendered form. No screen has more rows.
const MAX_RENDERED_LINES: usize = 512;

/// Consecutive lines of the log.
#[derive(Debug)]
pub(super) struct LineBlock {
    /// Where the block starts.
    pub start: BlockStart,
    /// The offset at which its last line ends.
    pub end: u64,
    /// Where the next block starts. `None` at the end of the log, where this block can still grow.
    pub next: Option<BlockStart>,
    /// The last progress reported in the block.
    pub progress: Option<JobProgress>,
    /// The bytes from `start.text_start` on.
    bytes: Vec<u8>,
    /// The number of lines.
    len: usize,
    /// The positions of the lines, found on first use if the lines could be counted without them.
    lines: OnceCell<Vec<LineSpan>>,
    parser_states: Vec<ParserState>,
    /// Whether the last line has no line end yet.
    has_open_line: bool,
    /// Whether a line was cut because it is too long.
    has_cut_line: bool,
    /// Recently rendered lines.
    rendered: RefCell<HashMap<usize, Rc<StyledLine>>>,
    /// Whether the lines are shown as they are, found on first use.
    is_verbatim: OnceCell<bool>,
}

/// The position of a line, as offsets from the first byte of the block.
#[derive(Clone, Copy, Debug)]
struct LineSpan {
    /// The start of the line.
    start: u32,
    /// The start of its visible text.
    text_start: u32,
    /// The end of its visible text.
    text_end: u32,
    /// The index of the parser state at its start.
    parser_state: u32,
}

/// Where the lines of a block end and the next block begins, as offsets from the first byte of the block.
#[derive(Clone, Copy, Debug)]
struct BlockEnd {
    start: usize,
    /// The start of the next visible text.
    text_start: usize,
    /// The parser state there.
    parser_state: ParserState,
}

/// The result of [`LineBlock::load`].
#[derive(Debug)]
pub(super) enum LoadedBlock {
    /// Lines were read.
    Lines(Rc<LineBlock>),
    /// The bytes up to this offset have been discarded.
    Discarded { until: u64 },
}

impl LineSpan {
    fn new(start: usize, text: Range<usize>, parser_state: usize) -> Self {
        // A block is far smaller than 4 GiB.
        let short = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self {
            start: short(start),
            text_start: short(text.start),
            text_end: short(text.end),
            parser_state: short(parser_state),
        }
    }
}

impl LineBlock {
    /// Reads the lines from `start` up to `known_end`, or about `size` bytes if the end is not known yet. The log is
    /// `written` bytes long.
    pub(super) fn load(
        source: &mut dyn OutputSource,
        start: BlockStart,
        known_end: Option<u64>,
        size: usize,
        written: u64,
    ) -> Result<LoadedBlock, StoreError> {
        let available =
            usize::try_from(known_end.unwrap_or(written).saturating_sub(start.text_start)).unwrap_or(usize::MAX);
        let wanted = if known_end.is_some() { available } else { available.min(size + LOOKAHEAD_BYTES) };
        let mut bytes = vec![0; wanted];
        let (mut filled, mut has_gap) = (0, false);
        while filled < wanted {
            let at = start.text_start + filled as u64;
            let piece = source.read_at(at, &mut bytes[filled..])?;
            if piece.offset > at && filled == 0 {
                return Ok(LoadedBlock::Discarded { until: piece.offset });
            }
            has_gap = piece.offset > at;
            if has_gap || piece.len == 0 {
                break;
            }
            filled += piece.len;
        }
        bytes.truncate(filled);
        let plain = !start.parser_state.in_control_string && is_plain(&bytes);
        let mut block = Self {
            start,
            end: start.offset,
            next: None,
            progress: if plain { None } else { JobProgress::find_last(&bytes) },
            bytes,
            len: 0,
            lines: OnceCell::new(),
            parser_states: vec![start.parser_state],
            has_open_line: false,
            has_cut_line: false,
            rendered: RefCell::default(),
            is_verbatim: OnceCell::new(),
        };
        let known_end = if has_gap { Some(start.text_start + filled as u64) } else { known_end };
        let block_end = if plain {
            block.count_plain_lines(size, known_end.is_some())
        } else {
            block.split_lines(size, known_end.is_some())
        };
        block.set_end(block_end, size, known_end);
        Ok(LoadedBlock::Lines(Rc::new(block)))
    }

    /// Counts the lines of plain text: all of them if the block is bounded, otherwise those of about `size` bytes.
    /// Most blocks are only counted, and a block of short lines has tens of thousands of them.
    fn count_plain_lines(&mut self, size: usize, is_bounded: bool) -> BlockEnd {
        let last =
            if is_bounded { None } else { self.bytes.get(size - 1..).and_then(|rest| memchr::memchr(b'\n', rest)) };
        self.bytes.truncate(last.map_or(self.bytes.len(), |last| size + last));
        let has_open_line = self.bytes.last().is_some_and(|last| *last != b'\n');
        self.has_open_line = has_open_line && !is_bounded;
        self.len = memchr::memchr_iter(b'\n', &self.bytes).count() + usize::from(has_open_line);
        let (start, text_start) = (self.bytes.len(), self.bytes.len());
        BlockEnd {
            start,
            text_start,
            parser_state: if has_open_line { ParserState::default() } else { self.start.parser_state },
        }
    }

    /// Finds the lines of any bytes; the number is that of [`count_plain_lines`](Self::count_plain_lines).
    fn split_lines(&mut self, size: usize, is_bounded: bool) -> BlockEnd {
        let (mut lines, mut parser_state) = (Vec::new(), self.start.parser_state);
        // Most lines have no escape sequence, so one search covers many of them.
        let escape_from = |bytes: &[u8], at: usize| memchr::memchr(ESCAPE, &bytes[at..]).map(|found| at + found);
        let mut escape = escape_from(&self.bytes, 0);
        let (mut start, mut text_start) = (0, 0);
        while text_start < self.bytes.len() && (is_bounded || text_start < size) {
            // The line starts with the latest parser state.
            let state_index = self.parser_states.len() - 1;
            let after = match find_line_end(&self.bytes[text_start..], parser_state) {
                SplitStep::Line { len, next } => {
                    lines.push(LineSpan::new(start, text_start..text_start + len, state_index));
                    let line = text_start..text_start + len;
                    self.has_cut_line |= next == len;
                    text_start += next;
                    start = text_start;
                    if !parser_state.in_control_string && escape.is_none_or(|escape| escape >= line.end) {
                        continue;
                    }
                    escape = escape_from(&self.bytes, line.end);
                    parser_state.after(&self.bytes[line])
                }
                SplitStep::Overwritten { by, parser_state } => {
                    text_start += by;
                    parser_state
                }
                SplitStep::Incomplete => {
                    lines.push(LineSpan::new(start, text_start..self.bytes.len(), state_index));
                    text_start = self.bytes.len();
                    start = text_start;
                    self.has_open_line = !is_bounded;
                    ParserState::default()
                }
            };
            if after != parser_state {
                parser_state = after;
                self.parser_states.push(parser_state);
            }
        }
        self.len = lines.len();
        self.lines = lines.into();
        BlockEnd { start, text_start, parser_state }
    }

    /// Sets the end of the block and the start of the next one.
    fn set_end(&mut self, block_end: BlockEnd, size: usize, known_end: Option<u64>) {
        let BlockEnd { start, text_start, parser_state } = block_end;
        if self.len > 0 {
            self.end = self.start.text_start + start as u64;
        }
        if let Some(known_end) = known_end {
            self.end = known_end;
            self.next = Some(BlockStart {
                offset: known_end,
                text_start: known_end,
                parser_state,
                line: self.next_line_number(),
                discarded: false,
            });
        } else if text_start >= size && !self.has_open_line {
            let text_start = self.start.text_start + text_start as u64;
            self.next = Some(BlockStart {
                offset: self.end,
                text_start,
                parser_state,
                line: self.next_line_number(),
                discarded: false,
            });
        }
    }

    /// The positions of the lines.
    fn line_spans(&self) -> &[LineSpan] {
        self.lines.get_or_init(|| {
            let mut lines = Vec::with_capacity(self.len);
            let mut start = 0;
            for line in self.bytes.split_inclusive(|byte| *byte == b'\n') {
                let end = start + line.len();
                lines.push(LineSpan::new(start, start..end - usize::from(line.ends_with(b"\n")), 0));
                start = end;
            }
            lines
        })
    }

    /// The number of the line after the block.
    pub(super) fn next_line_number(&self) -> u64 {
        self.start.line + self.len as u64
    }

    /// The number of lines.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The index of the last line that starts at or before `offset`.
    pub(super) fn line_index_at(&self, offset: u64) -> Option<usize> {
        let (lines, from_body) = (self.line_spans(), offset.checked_sub(self.start.text_start));
        let count = lines.partition_point(|span| from_body.is_some_and(|offset| u64::from(span.start) <= offset));
        // The first line may start before the bytes in memory.
        if count == 0 && offset >= self.start.offset && !lines.is_empty() { Some(0) } else { count.checked_sub(1) }
    }

    /// The offset at which a line starts.
    pub(super) fn line_start(&self, index: usize) -> u64 {
        match self.line_spans().get(index) {
            // The first line may start before its visible text, which is where the bytes in memory start.
            Some(_) if index == 0 => self.start.offset,
            Some(span) => self.start.text_start + u64::from(span.start),
            None => self.end,
        }
    }

    /// The number of lines that have a line end.
    pub(super) fn complete_len(&self) -> usize {
        self.len - usize::from(self.has_open_line && self.len > 0)
    }

    /// Where the matches in the visible text of a line are.
    pub(super) fn line_hits(&self, index: usize, pattern: &SearchPattern) -> Vec<Range<usize>> {
        let (raw, parser_state) = self.raw_line(index);
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        if !parser_state.in_control_string && is_verbatim(raw) {
            return pattern.find_iter(raw).collect();
        }
        pattern.find_all(self.render_line(index).text())
    }

    /// The approximate memory size in bytes.
    pub(super) fn memory_size(&self) -> usize {
        self.bytes.len() + self.len * size_of::<LineSpan>()
    }

    /// A line in rendered form.
    pub(super) fn rendered_line(&self, index: usize) -> Rc<StyledLine> {
        let mut rendered = self.rendered.borrow_mut();
        if rendered.len() >= MAX_RENDERED_LINES {
            rendered.clear();
        }
        Rc::clone(rendered.entry(index).or_insert_with(|| Rc::new(self.render_line(index))))
    }

    fn render_line(&self, index: usize) -> StyledLine {
        let (text, parser_state) = self.raw_line(index);
        line_parser::parse_line(text, parser_state)
    }

    /// The bytes of a line, and the parser state at its start.
    pub(super) fn raw_line(&self, index: usize) -> (&[u8], ParserState) {
        let Some(span) = self.line_spans().get(index) else { return (&[], ParserState::default()) };
        let parser_state = self.parser_states.get(span.parser_state as usize).copied().unwrap_or_default();
        (&self.bytes[span.text_start as usize..span.text_end as usize], parser_state)
    }

    /// The bytes of some lines, if they are shown as they are; their first byte is the first one of the first line.
    pub(super) fn verbatim_lines(&self, lines: Range<usize>) -> Option<&[u8]> {
        let is_split_at_ends = || !self.has_cut_line && self.parser_states.iter().all(|state| !state.in_control_string);
        if !self.is_verbatim.get_or_init(|| is_split_at_ends() && is_verbatim(&self.bytes)) || lines.is_empty() {
            return None;
        }
        let spans = self.line_spans();
        let (first, last) = (spans.get(lines.start)?, spans.get(lines.end - 1)?);
        self.bytes.get(first.text_start as usize..last.text_end as usize)
    }

    /// The index of the line with a byte of [`verbatim_lines`](Self::verbatim_lines), and the offset in that line.
    pub(super) fn place_in_lines(&self, first: usize, offset: usize) -> (usize, usize) {
        let spans = self.line_spans();
        let at = offset + spans.get(first).map_or(0, |span| span.text_start as usize);
        let index = spans.partition_point(|span| span.text_start as usize <= at).saturating_sub(1);
        (index, at - spans.get(index).map_or(0, |span| span.text_start as usize))
    }
}
