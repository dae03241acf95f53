//! Searches the visible text of a log in bounded steps.

use std::ops::Range;

use memchr::memmem;

use super::line_index::LineContent;
use super::log_lines::LogLines;
use super::viewport::RowPosition;
use crate::store::StoreError;

/// The most bytes searched in one step.
const MAX_STEP_BYTES: u64 = 128 * 1024;

/// The fixed cost of a line, in bytes.
const LINE_OVERHEAD_BYTES: u64 = 64;

/// Plain text to search for. Case is ignored unless it contains capitals.
#[derive(Debug)]
pub(super) struct SearchPattern {
    text: String,
    is_case_sensitive: bool,
}

impl SearchPattern {
    /// `None` for an empty text.
    pub(super) fn new(text: &str) -> Option<Self> {
        let is_case_sensitive = text.chars().any(char::is_uppercase);
        (!text.is_empty()).then(|| Self { text: text.to_owned(), is_case_sensitive })
    }

    /// The non-overlapping matches in a line, as byte ranges.
    pub(super) fn find_all(&self, line: &str) -> Vec<Range<usize>> {
        if self.is_case_sensitive {
            return memmem::find_iter(line.as_bytes(), &self.text).map(|at| at..at + self.text.len()).collect();
        }
        let mut hits = Vec::new();
        let mut from = 0;
        while let Some(hit) = self.find_from(line, from) {
            from = hit.end;
            hits.push(hit);
        }
        hits
    }

    fn find_from(&self, line: &str, from: usize) -> Option<Range<usize>> {
        line[from..].char_indices().find_map(|(at, _)| {
            let start = from + at;
            self.match_len(&line[start..]).map(|len| start..start + len)
        })
    }

    /// The length of the prefix of `line` that matches, ignoring case.
    fn match_len(&self, line: &str) -> Option<usize> {
        let mut pending = self.text.chars();
        for (at, character) in line.char_indices() {
            let mut rest = pending.clone();
            if rest.next().is_none() {
                return Some(at);
            }
            for lower in character.to_lowercase() {
                if pending.next() != Some(lower) {
                    return None;
                }
            }
        }
        pending.next().is_none().then_some(line.len())
    }
}

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

impl Search {
    pub(super) fn new(pattern: SearchPattern) -> Self {
        let (checkpoints, numbered_hit, pending) = (Vec::new(), None, None);
        Self { pattern, current: None, count: 0, counted_to: 0, is_counting: true, checkpoints, numbered_hit, pending }
    }

    /// Requests the next or previous hit, counted from the current one or from `top`.
    pub(super) fn request_hit(&mut self, forwards: bool, top: RowPosition) {
        let (line, limit) = match &self.current {
            Some(hit) => (hit.line, Some(if forwards { hit.range.end } else { hit.range.start })),
            None if forwards => (top.line, Some(top.byte)),
            None => (top.line, None),
        };
        self.pending = Some(PendingJump { forwards, line, limit, origin: line, has_wrapped: false });
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
            let Some(line) = lines.line_at(pending.line)? else {
                self.pending = None;
                break;
            };
            spent += line.end - line.start + LINE_OVERHEAD_BYTES;
            if let LineContent::Text(text) = &line.content {
                let hits = self.pattern.find_all(text.text());
                let limit = pending.limit;
                let range = if pending.forwards {
                    hits.into_iter().find(|hit| limit.is_none_or(|limit| hit.start >= limit))
                } else {
                    hits.into_iter().rfind(|hit| limit.is_none_or(|limit| hit.end <= limit))
                };
                if let Some(range) = range {
                    let hit = SearchHit { line: line.start, range };
                    self.pending = None;
                    self.current = Some(hit.clone());
                    return Ok(Some(hit));
                }
            }
            let next = if pending.forwards { lines.line_after(&line)? } else { lines.line_before(&line)? };
            let around = match next {
                Some(_) => None,
                None if pending.forwards => lines.line_at(0)?,
                None => lines.last_line()?,
            };
            let past_origin =
                if pending.forwards { line.start >= pending.origin } else { line.start <= pending.origin };
            if pending.has_wrapped && (past_origin || next.is_none()) {
                self.pending = None;
                break;
            }
            pending.has_wrapped |= next.is_none();
            pending.limit = None;
            match next.or(around) {
                Some(next) => pending.line = next.start,
                None => self.pending = None,
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
            let Some(line) = lines.line_at(self.counted_to)?.filter(|line| line.is_complete) else { break };
            if let LineContent::Text(text) = &line.content {
                self.count += self.pattern.find_all(text.text()).len() as u64;
            }
            spent += line.end - line.start + LINE_OVERHEAD_BYTES;
            self.counted_to = line.end;
            if self.counted_to - self.checkpoints.last().map_or(0, |checkpoint| checkpoint.0) >= MAX_STEP_BYTES {
                self.checkpoints.push((self.counted_to, self.count));
            }
        }
        Ok(())
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
        while let Some(line) = lines.line_at(at)? {
            if let LineContent::Text(text) = &line.content {
                let hits = self.pattern.find_all(text.text());
                if line.start >= hit.line {
                    before += hits.iter().filter(|other| other.start < hit.range.start).count() as u64;
                    break;
                }
                before += hits.len() as u64;
            }
            at = line.end;
        }
        self.numbered_hit = Some((hit, before));
        Ok(())
    }
}
