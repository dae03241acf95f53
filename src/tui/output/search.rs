//! Searches the visible text of a log in bounded steps.

use std::ops::Range;

use super::line_index::LinePlace;
use super::log_lines::LogLines;
use super::search_pattern::SearchPattern;
use super::viewport::RowPosition;
use crate::store::StoreError;

/// The most bytes searched in one step.
const MAX_STEP_BYTES: u64 = 512 * 1024;

/// Searching a byte of a line that has to be rendered takes as long as so many bytes of one that is shown as it is.
const RENDERING_COST: u64 = 8;

/// The fixed cost of a rendered line, in bytes.
const LINE_OVERHEAD_BYTES: u64 = 64;

/// The most bytes between two counts from which hits are numbered.
const CHECKPOINT_BYTES: u64 = 128 * 1024;

/// A search in progress.
#[derive(Debug)]
pub(super) struct Search {
    pub pattern: SearchPattern,
    /// The current hit.
    pub current: Option<SearchHit>,
    /// The number of hits in the lines before `counted_to`.
    pub count: u64,
    counted_to: u64,
    /// Whether some of the output has not been counted yet.
    is_counting: bool,
    /// Counted lines, each with the number of hits before it.
    checkpoints: Vec<(u64, u64)>,
    /// The current hit with the number of hits before it.
    numbered_hit: Option<(SearchHit, u64)>,
    pending: Option<PendingJump>,
}

/// A match in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SearchHit {
    pub line: u64,
    pub range: Range<usize>,
}

/// A move to the next or previous hit that has not been found yet.
#[derive(Debug)]
struct PendingJump {
    forwards: bool,
    /// The line to search next.
    line: u64,
    /// In that line, only hits on this side of the limit count.
    limit: Option<usize>,
    /// Where the search started. It ends there after it has wrapped around.
    origin: u64,
    has_wrapped: bool,
}

/// What a step of a jump has found.
enum JumpStep {
    Found(SearchHit),
    /// Continue with this line.
    To(u64),
    /// The end of the log, or its start, was reached.
    End,
    /// All lines were searched.
    Over,
}

impl Search {
    pub(super) fn new(pattern: SearchPattern) -> Self {
        let (checkpoints, numbered_hit, pending) = (Vec::new(), None, None);
        Self { pattern, current: None, count: 0, counted_to: 0, is_counting: true, checkpoints, numbered_hit, pending }
    }

    /// Whether it searches for this text.
    pub(super) fn is_for(&self, text: &str) -> bool {
        self.pattern.text() == text
    }

    /// Requests the next or previous hit, counted from the current one or from `top`. A request that is not met yet is
    /// not started again.
    pub(super) fn request_hit(&mut self, forwards: bool, top: RowPosition) {
        if self.pending.as_ref().is_some_and(|pending| pending.forwards == forwards) {
            return;
        }
        let (line, limit) = match &self.current {
            Some(hit) => (hit.line, Some(if forwards { hit.range.end } else { hit.range.start })),
            None if forwards => (top.line, Some(top.byte)),
            None => (top.line, None),
        };
        self.pending = Some(PendingJump { forwards, line, limit, origin: line, has_wrapped: false });
    }

    /// Whether the requested hit was not found yet.
    pub(super) fn is_seeking(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether a hit is being searched for or counted.
    pub(super) fn is_searching(&self) -> bool {
        self.pending.is_some() || self.is_counting
    }

    /// Continues to search for the requested hit and returns it when it is found.
    pub(super) fn find_requested(&mut self, lines: &mut LogLines) -> Result<Option<SearchHit>, StoreError> {
        let mut spent = 0;
        while let Some(pending) = &mut self.pending {
            if spent > MAX_STEP_BYTES {
                break;
            }
            let Some(place) = lines.place_at(pending.line)? else {
                self.pending = None;
                break;
            };
            match pending.search_at(&place, &self.pattern, lines.written(), &mut spent) {
                JumpStep::Found(hit) => {
                    self.pending = None;
                    self.current = Some(hit.clone());
                    return Ok(Some(hit));
                }
                JumpStep::To(line) => (pending.line, pending.limit) = (line, None),
                JumpStep::End if !pending.has_wrapped => {
                    pending.has_wrapped = true;
                    pending.line = if pending.forwards { 0 } else { lines.written().saturating_sub(1) };
                    pending.limit = None;
                }
                JumpStep::End | JumpStep::Over => self.pending = None,
            }
        }
        Ok(None)
    }

    /// Continues to count hits.
    pub(super) fn count_hits(&mut self, lines: &mut LogLines) -> Result<(), StoreError> {
        let mut spent = 0;
        self.is_counting = false;
        while self.counted_to < lines.written() {
            if spent > MAX_STEP_BYTES {
                self.is_counting = true;
                break;
            }
            let Some((count, end)) = self.count_part(lines, self.counted_to, u64::MAX, &mut spent)? else { break };
            self.count += count;
            self.counted_to = end;
            if end - self.checkpoints.last().map_or(0, |checkpoint| checkpoint.0) >= CHECKPOINT_BYTES {
                self.checkpoints.push((end, self.count));
            }
        }
        Ok(())
    }

    /// Counts the hits in complete lines from the one at `from` on, up to `until` or the end of a block. Returns where it
    /// has ended; `None` if there is no complete line.
    fn count_part(
        &self,
        lines: &mut LogLines,
        from: u64,
        until: u64,
        spent: &mut u64,
    ) -> Result<Option<(u64, u64)>, StoreError> {
        let (block, first) = match lines.place_at(from)? {
            None => return Ok(None),
            Some(LinePlace::Discarded { end, .. }) => return Ok(Some((0, end))),
            Some(LinePlace::Line { block, index, .. }) => (block, index),
        };
        let complete = block.complete_len();
        let end = if until >= block.end { complete } else { block.line_index_at(until).unwrap_or(0).min(complete) };
        if first >= end {
            return Ok(None);
        }
        if let Some(text) = block.verbatim_lines(first..end) {
            *spent += text.len() as u64;
            return Ok(Some((self.pattern.find_iter(text).count() as u64, block.line_start(end))));
        }
        let (mut count, mut index) = (0, first);
        while index < end && *spent <= MAX_STEP_BYTES {
            count += block.line_hits(index, &self.pattern).len() as u64;
            index += 1;
            *spent += line_cost(block.line_start(index - 1)..block.line_start(index));
        }
        Ok(Some((count, block.line_start(index))))
    }

    /// The number of the current hit, from 1, if it is known.
    pub(super) fn current_number(&self) -> Option<u64> {
        let (hit, before) = self.numbered_hit.as_ref()?;
        (self.current.as_ref() == Some(hit)).then_some(before + 1)
    }

    /// Computes the number of the current hit once the hits before it have been counted.
    pub(super) fn number_current_hit(&mut self, lines: &mut LogLines) -> Result<(), StoreError> {
        let Some(hit) = self.current.clone() else { return Ok(()) };
        if self.current_number().is_some() || self.counted_to <= hit.line {
            return Ok(());
        }
        let checkpoint = self.checkpoints.partition_point(|checkpoint| checkpoint.0 <= hit.line);
        let (mut at, mut before) = checkpoint.checked_sub(1).map_or((0, 0), |checkpoint| self.checkpoints[checkpoint]);
        while at < hit.line {
            let Some((count, end)) = self.count_part(lines, at, hit.line, &mut 0)? else { break };
            before += count;
            at = end;
        }
        if let Some(LinePlace::Line { block, index, .. }) = lines.place_at(hit.line)? {
            let hits = block.line_hits(index, &self.pattern);
            before += hits.iter().filter(|other| other.start < hit.range.start).count() as u64;
        }
        self.numbered_hit = Some((hit, before));
        Ok(())
    }
}

impl PendingJump {
    /// Searches the part of a block that starts or ends with the line to search next.
    fn search_at(&self, place: &LinePlace, pattern: &SearchPattern, written: u64, spent: &mut u64) -> JumpStep {
        let (block, index) = match place {
            LinePlace::Discarded { start, end, .. } => return self.next(*start, *end, written),
            LinePlace::Line { block, index, .. } => (block, *index),
        };
        // After it has wrapped around, the search ends with the line where it started.
        let origin = block.line_index_at(self.origin).filter(|_| self.has_wrapped && self.origin < block.end);
        let lines = if self.forwards {
            index..origin.filter(|origin| *origin >= index).map_or(block.len(), |origin| origin + 1)
        } else {
            origin.filter(|origin| *origin <= index).unwrap_or(0)..index + 1
        };
        let is_meant = |line: usize, hit: &Range<usize>| match self.limit.filter(|_| line == index) {
            Some(limit) if self.forwards => hit.start >= limit,
            Some(limit) => hit.end <= limit,
            None => true,
        };
        let found = |line: usize, range| JumpStep::Found(SearchHit { line: block.line_start(line), range });
        if let Some(text) = block.verbatim_lines(lines.clone()) {
            *spent += text.len() as u64;
            let hits = pattern.find_iter(text).map(|hit| {
                let (line, start) = block.place_in_lines(lines.start, hit.start);
                (line, start..start + hit.len())
            });
            let mut hits = hits.filter(|(line, hit)| is_meant(*line, hit));
            return match if self.forwards { hits.next() } else { hits.last() } {
                Some((line, hit)) => found(line, hit),
                None => self.next(block.line_start(lines.start), block.line_start(lines.end), written),
            };
        }
        let (mut first, mut end) = (lines.start, lines.end);
        while first < end && *spent <= MAX_STEP_BYTES {
            let line = if self.forwards { first } else { end - 1 };
            let mut hits = block.line_hits(line, pattern).into_iter().filter(|hit| is_meant(line, hit));
            if let Some(hit) = if self.forwards { hits.next() } else { hits.next_back() } {
                return found(line, hit);
            }
            if self.forwards {
                first += 1;
            } else {
                end -= 1;
            }
            *spent += line_cost(block.line_start(line)..block.line_start(line + 1));
        }
        if self.forwards {
            self.next(block.line_start(lines.start), block.line_start(first), written)
        } else {
            self.next(block.line_start(end), block.line_start(lines.end), written)
        }
    }

    /// Where to continue after the lines from `start` to `end`.
    fn next(&self, start: u64, end: u64, written: u64) -> JumpStep {
        match self.forwards {
            true if self.has_wrapped && end > self.origin => JumpStep::Over,
            false if self.has_wrapped && start <= self.origin => JumpStep::Over,
            true if end >= written => JumpStep::End,
            true => JumpStep::To(end),
            false => start.checked_sub(1).map_or(JumpStep::End, JumpStep::To),
        }
    }
}

/// What it costs to render a line.
fn line_cost(line: Range<u64>) -> u64 {
    RENDERING_COST * (line.end - line.start + LINE_OVERHEAD_BYTES)
}
