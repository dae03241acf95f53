//! A stretch of the log in memory, with the lines in it: the unit of reading.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use super::line::Line;
use super::progress::Progress;
use super::sanitize::{self, Carry, ESCAPE};
use super::source::Source;
use super::split::{LOOK_AHEAD, Step, is_plain, step};
use crate::store::StoreError;

/// Where reading can begin: at a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Start {
    /// Where the line begins; lines cover the log without holes.
    pub offset: u64,
    /// Where what shows of it begins; later when a carriage return has made the bytes before moot.
    pub body: u64,
    /// What it inherits.
    pub carry: Carry,
    /// Its number, from 0.
    pub line: u64,
    /// The bytes from here to the next start have been dropped from the log. They count as one line.
    pub lost: bool,
}

/// Lines that are kept as they are shown; no screen is larger.
const MOST_SHOWN: usize = 512;

/// Some lines of the log.
#[derive(Debug)]
pub(super) struct Block {
    /// Where it starts.
    pub start: Start,
    /// Where its last line ends.
    pub end: u64,
    /// Where the next block starts; none at the end of the log, where this one can still grow.
    pub next: Option<Start>,
    /// The last progress reported in it.
    pub progress: Option<Progress>,
    /// From `start.body` on.
    bytes: Vec<u8>,
    /// How many lines it has.
    len: usize,
    /// Where they are; not known before somebody looks at them, if they could be counted without.
    lines: OnceCell<Vec<Span>>,
    carries: Vec<Carry>,
    /// Whether the last line has no end yet.
    open: bool,
    /// Lines that were shown lately.
    shown: RefCell<HashMap<usize, Rc<Line>>>,
}

/// A line in a block; offsets from the block's first byte.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// Where it begins.
    start: u32,
    /// Where what shows of it begins.
    body: u32,
    /// Where that ends.
    stop: u32,
    /// Index of what it inherits.
    carry: u32,
}

/// Where the lines of a block end, and the next one begins; offsets from the block's first byte.
#[derive(Clone, Copy, Debug)]
struct Rest {
    start: usize,
    /// Where what shows of it begins.
    body: usize,
    /// What it inherits.
    carry: Carry,
}

/// What loading found.
#[derive(Debug)]
pub(super) enum Loaded {
    /// Lines.
    Block(Rc<Block>),
    /// The bytes up to this offset are no longer there.
    Lost { until: u64 },
}

impl Span {
    fn new(start: usize, shown: Range<usize>, carry: usize) -> Self {
        // A block is far smaller than 4 GiB.
        let short = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { start: short(start), body: short(shown.start), stop: short(shown.end), carry: short(carry) }
    }
}

impl Block {
    /// Reads the lines from `start` up to `bound`, or, where that isn't known yet, about `size` bytes of them. The log
    /// is `written` bytes long.
    pub(super) fn load(
        source: &mut dyn Source,
        start: Start,
        bound: Option<u64>,
        size: usize,
        written: u64,
    ) -> Result<Loaded, StoreError> {
        let available = usize::try_from(bound.unwrap_or(written).saturating_sub(start.body)).unwrap_or(usize::MAX);
        let wanted = if bound.is_some() { available } else { available.min(size + LOOK_AHEAD) };
        let mut bytes = vec![0; wanted];
        let (mut filled, mut torn) = (0, false);
        while filled < wanted {
            let at = start.body + filled as u64;
            let piece = source.read_at(at, &mut bytes[filled..])?;
            if piece.offset > at && filled == 0 {
                return Ok(Loaded::Lost { until: piece.offset });
            }
            torn = piece.offset > at;
            if torn || piece.len == 0 {
                break;
            }
            filled += piece.len;
        }
        bytes.truncate(filled);
        let plain = !start.carry.inside && is_plain(&bytes);
        let mut block = Self {
            start,
            end: start.offset,
            next: None,
            progress: if plain { None } else { Progress::last_in(&bytes) },
            bytes,
            len: 0,
            lines: OnceCell::new(),
            carries: vec![start.carry],
            open: false,
            shown: RefCell::default(),
        };
        let bound = if torn { Some(start.body + filled as u64) } else { bound };
        let rest = if plain { block.count(size, bound.is_some()) } else { block.split(size, bound.is_some()) };
        block.conclude(rest, size, bound);
        Ok(Loaded::Block(Rc::new(block)))
    }

    /// Counts the lines of plain bytes: all of them, where the block is `bounded`; else those of about `size` bytes. Most
    /// blocks are read only for that, and a flood of short lines has tens of thousands of them in each.
    fn count(&mut self, size: usize, bounded: bool) -> Rest {
        let last = if bounded { None } else { self.bytes.get(size - 1..).and_then(|rest| memchr::memchr(b'\n', rest)) };
        self.bytes.truncate(last.map_or(self.bytes.len(), |last| size + last));
        let open = self.bytes.last().is_some_and(|last| *last != b'\n');
        self.open = open && !bounded;
        self.len = memchr::memchr_iter(b'\n', &self.bytes).count() + usize::from(open);
        let (start, body) = (self.bytes.len(), self.bytes.len());
        Rest { start, body, carry: if open { Carry::default() } else { self.start.carry } }
    }

    /// Finds the lines of any bytes; as many as [`count`](Self::count) would.
    fn split(&mut self, size: usize, bounded: bool) -> Rest {
        let (mut lines, mut carry) = (Vec::new(), self.start.carry);
        // Most lines have no escape: one look finds that out for many of them.
        let escape_from = |bytes: &[u8], at: usize| memchr::memchr(ESCAPE, &bytes[at..]).map(|found| at + found);
        let mut escape = escape_from(&self.bytes, 0);
        let (mut start, mut body) = (0, 0);
        while body < self.bytes.len() && (bounded || body < size) {
            // Each inherits the latest carry.
            let inherits = self.carries.len() - 1;
            let after = match step(&self.bytes[body..], carry) {
                Step::Line { len, next } => {
                    lines.push(Span::new(start, body..body + len, inherits));
                    let line = body..body + len;
                    body += next;
                    start = body;
                    if !carry.inside && escape.is_none_or(|escape| escape >= line.end) {
                        continue;
                    }
                    escape = escape_from(&self.bytes, line.end);
                    carry.after(&self.bytes[line])
                }
                Step::Moved { by, carry } => {
                    body += by;
                    carry
                }
                Step::Open => {
                    lines.push(Span::new(start, body..self.bytes.len(), inherits));
                    body = self.bytes.len();
                    start = body;
                    self.open = !bounded;
                    Carry::default()
                }
            };
            if after != carry {
                carry = after;
                self.carries.push(carry);
            }
        }
        self.len = lines.len();
        self.lines = lines.into();
        Rest { start, body, carry }
    }

    /// Its lines are known now, up to the `rest`: says where it ends, and what comes next.
    fn conclude(&mut self, rest: Rest, size: usize, bound: Option<u64>) {
        let Rest { start, body, carry } = rest;
        if self.len > 0 {
            self.end = self.start.body + start as u64;
        }
        if let Some(bound) = bound {
            self.end = bound;
            self.next = Some(Start { offset: bound, body: bound, carry, line: self.end_line(), lost: false });
        } else if body >= size && !self.open {
            let body = self.start.body + body as u64;
            self.next = Some(Start { offset: self.end, body, carry, line: self.end_line(), lost: false });
        }
    }

    /// Where its lines are.
    fn lines(&self) -> &[Span] {
        self.lines.get_or_init(|| {
            let mut lines = Vec::with_capacity(self.len);
            let mut start = 0;
            for line in self.bytes.split_inclusive(|byte| *byte == b'\n') {
                let end = start + line.len();
                lines.push(Span::new(start, start..end - usize::from(line.ends_with(b"\n")), 0));
                start = end;
            }
            lines
        })
    }

    /// The number of the line after its last one.
    pub(super) fn end_line(&self) -> u64 {
        self.start.line + self.len as u64
    }

    /// How many lines it has.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The index of the last line that begins at `offset` or before it.
    pub(super) fn find(&self, offset: u64) -> Option<usize> {
        let (lines, from_body) = (self.lines(), offset.checked_sub(self.start.body));
        let behind = lines.partition_point(|span| from_body.is_some_and(|offset| u64::from(span.start) <= offset));
        // The first line may begin before the bytes do.
        if behind == 0 && offset >= self.start.offset && !lines.is_empty() { Some(0) } else { behind.checked_sub(1) }
    }

    /// Where a line begins.
    pub(super) fn begin(&self, index: usize) -> u64 {
        match self.lines().get(index) {
            // The first line may begin before its body, and the bytes start with the body.
            Some(_) if index == 0 => self.start.offset,
            Some(span) => self.start.body + u64::from(span.start),
            None => self.end,
        }
    }

    /// Whether a line has its end; only the last one of the log may have none.
    pub(super) fn is_ended(&self, index: usize) -> bool {
        !(self.open && index + 1 == self.len)
    }

    /// How much memory it takes, roughly.
    pub(super) fn weight(&self) -> usize {
        self.bytes.len() + self.len * size_of::<Span>()
    }

    /// A line as it is shown.
    pub(super) fn line(&self, index: usize) -> Rc<Line> {
        let mut shown = self.shown.borrow_mut();
        if shown.len() >= MOST_SHOWN {
            shown.clear();
        }
        Rc::clone(shown.entry(index).or_insert_with(|| Rc::new(self.read(index))))
    }

    fn read(&self, index: usize) -> Line {
        let Some(span) = self.lines().get(index) else { return Line::default() };
        let carry = self.carries.get(span.carry as usize).copied().unwrap_or_default();
        sanitize::line(&self.bytes[span.body as usize..span.stop as usize], carry)
    }
}
