//! Searches the lines of outputs for a regular expression.
//!
//! Lines are searched as they are shown: without colours and other escape sequences. Whole blocks are searched at once, and
//! only where one has a match, its lines are looked at one by one, or those around the match if the block is plain text.

use std::borrow::Cow;
use std::ops::{ControlFlow, Range};

use regex::bytes::{Regex, RegexBuilder};

use super::reader::LogReader;
use crate::store::error::StoreError;
use crate::text;

/// How much of an output is read at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// Longer lines are searched in parts of this length, so that memory is bounded. By default, no output is as long.
const MAX_LINE_BYTES: usize = 32 * 1024 * 1024;

/// A regular expression for lines, or a plain text.
#[derive(Clone, Debug)]
pub struct LinePattern {
    line: Regex,
    /// Finds all matches in several lines of plain text, and maybe some that reach over the end of a line. None if it could
    /// miss one.
    block: Option<Regex>,
}

/// A line of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputLine<'t> {
    /// Counted from 1. None after a part of the output was dropped, if it is not known how many lines that had.
    pub number: Option<u64>,
    /// Where it starts in the output.
    pub offset: u64,
    /// Without its end, and without escape sequences.
    pub text: Cow<'t, str>,
    /// Whether the pattern matches.
    pub is_match: bool,
}

/// A search in one output.
pub struct LineSearch<'p> {
    /// None if every line matches.
    pattern: Option<&'p LinePattern>,
    /// Whether lines that don't match are visited, too.
    visits_all: bool,
    /// How many lines ended before the current position, or before `counted_to`, if that is known.
    line_ends: Option<u64>,
    /// Up to where the ends of lines were counted.
    counted_to: u64,
    /// A block that is not plain text, as it is shown.
    shown: String,
}

/// Called for each line; can end the search.
type Visit<'v> = &'v mut dyn FnMut(&OutputLine<'_>) -> ControlFlow<()>;

impl LinePattern {
    /// A regular expression, or a text as it is written.
    pub fn new(pattern: &str, ignores_case: bool, is_text: bool) -> Result<Self, regex::Error> {
        let pattern = if is_text { regex::escape(pattern) } else { pattern.to_owned() };
        let build = |is_multi_line| {
            RegexBuilder::new(&pattern).case_insensitive(ignores_case).multi_line(is_multi_line).build()
        };
        // These mean the start or end of the text, or change what `^` and `.` mean.
        let has_flags = pattern.match_indices("(?").any(|(at, _)| !pattern[at + 2..].starts_with(':'));
        let is_about_text = has_flags || ["\\A", "\\z"].iter().any(|part| pattern.contains(part));
        let block = if is_about_text { None } else { build(true).ok() };
        Ok(Self { line: build(false)?, block })
    }

    /// Where the matches in a line are, in bytes.
    pub fn ranges(&self, line: &str) -> Vec<Range<usize>> {
        self.line.find_iter(line.as_bytes()).map(|found| found.range()).collect()
    }
}

impl<'p> LineSearch<'p> {
    /// Searches for the lines that match; with `visits_all`, visits the others as well.
    pub fn new(pattern: &'p LinePattern, visits_all: bool) -> Self {
        Self { pattern: Some(pattern), visits_all, line_ends: Some(0), counted_to: 0, shown: String::new() }
    }

    /// Visits all lines.
    pub fn all() -> Self {
        Self { pattern: None, visits_all: true, line_ends: Some(0), counted_to: 0, shown: String::new() }
    }

    /// Searches an output up to its current end.
    pub fn run(self, log: &mut LogReader, visit: Visit<'_>) -> Result<(), StoreError> {
        self.run_in(&mut Vec::new(), log, visit)
    }

    /// The same with a buffer that several searches use one after another.
    pub fn run_in(mut self, buffer: &mut Vec<u8>, log: &mut LogReader, visit: Visit<'_>) -> Result<(), StoreError> {
        buffer.resize(CHUNK_BYTES, 0);
        // The start of a line whose end was not read yet.
        let mut pending = Vec::new();
        let mut offset = 0;
        loop {
            let chunk = log.read_at(offset, buffer)?;
            if chunk.len == 0 {
                break;
            }
            if chunk.offset > offset {
                // A part of the output was dropped here.
                let start = offset - pending.len() as u64;
                if self.search_last(&std::mem::take(&mut pending), start, log, visit)?.is_break() {
                    return Ok(());
                }
                self.count_to(offset, log)?;
                self.counted_to = chunk.offset;
                self.line_ends = self.line_ends.zip(log.dropped_lines()?).map(|(ends, dropped)| ends + dropped);
            }
            offset = chunk.offset + chunk.len as u64;
            let mut rest = buffer.get(..chunk.len).unwrap_or_default();
            let mut start = chunk.offset;
            if !pending.is_empty()
                && let Some(end) = memchr::memchr(b'\n', rest)
            {
                let (first, others) = rest.split_at(end + 1);
                let line_start = start - pending.len() as u64;
                pending.extend_from_slice(first);
                if self.search_part(&std::mem::take(&mut pending), line_start, log, visit)?.is_break() {
                    return Ok(());
                }
                (start, rest) = (start + first.len() as u64, others);
            }
            if pending.is_empty() {
                let end = memchr::memrchr(b'\n', rest).map_or(0, |end| end + 1);
                let (complete, incomplete) = rest.split_at(end);
                if self.search_part(complete, start, log, visit)?.is_break() {
                    return Ok(());
                }
                rest = incomplete;
            }
            pending.extend_from_slice(rest);
            if pending.len() > MAX_LINE_BYTES {
                let start = offset - pending.len() as u64;
                if self.search_last(&std::mem::take(&mut pending), start, log, visit)?.is_break() {
                    return Ok(());
                }
            }
        }
        let start = offset - pending.len() as u64;
        self.search_last(&pending, start, log, visit).map(drop)
    }

    /// Searches complete lines. Where none matches, their ends are counted later, if that is needed at all.
    fn search_part(
        &mut self,
        block: &[u8],
        offset: u64,
        log: &mut LogReader,
        visit: Visit<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let regex = self.pattern.and_then(|pattern| pattern.block.as_ref()).filter(|_| !self.visits_all);
        if regex.is_some_and(|regex| !regex.is_match(self.shown(block))) {
            return Ok(ControlFlow::Continue(()));
        }
        self.count_to(offset, log)?;
        let flow = self.search_block(block, offset, visit);
        self.counted_to = offset + block.len() as u64;
        Ok(flow)
    }

    /// Complete lines, as they are shown.
    fn shown<'b>(&'b mut self, block: &'b [u8]) -> &'b [u8] {
        if is_plain(block) {
            return block;
        }
        self.shown.clear();
        text::sanitize_lines_into(&String::from_utf8_lossy(block), &mut self.shown);
        self.shown.as_bytes()
    }

    /// Counts the ends of the lines before `offset` that were not counted yet.
    fn count_to(&mut self, offset: u64, log: &mut LogReader) -> Result<(), StoreError> {
        if self.counted_to >= offset {
            return Ok(());
        }
        let mut buffer = vec![0; CHUNK_BYTES];
        while self.counted_to < offset && self.line_ends.is_some() {
            let left = usize::try_from(offset - self.counted_to).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let chunk = log.read_at(self.counted_to, buffer.get_mut(..left).unwrap_or_default())?;
            if chunk.offset > self.counted_to || chunk.len == 0 {
                // It was dropped meanwhile.
                self.line_ends = None;
            }
            self.count_ends(buffer.get(..chunk.len).unwrap_or_default());
            self.counted_to += chunk.len as u64;
        }
        self.counted_to = offset;
        Ok(())
    }

    /// Searches an incomplete line.
    fn search_last(
        &mut self,
        line: &[u8],
        offset: u64,
        log: &mut LogReader,
        visit: Visit<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        if line.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        self.count_to(offset, log)?;
        self.counted_to = offset + line.len() as u64;
        Ok(self.search_line(line, offset, visit))
    }

    /// Searches complete lines.
    fn search_block(&mut self, block: &[u8], offset: u64, visit: Visit<'_>) -> ControlFlow<()> {
        let regex = self.pattern.and_then(|pattern| pattern.block.as_ref());
        let Some(regex) = regex.filter(|_| !self.visits_all && is_plain(block)) else {
            return self.search_lines(block, offset, visit);
        };
        let mut start = 0;
        while let Some(found) = regex.find_at(block, start) {
            // The line in which the match starts.
            let at = found.start().min(block.len().saturating_sub(1));
            let line_start = memchr::memrchr(b'\n', &block[..at]).map_or(0, |end| end + 1).max(start);
            let line_end = memchr::memchr(b'\n', &block[at..]).map_or(block.len(), |end| at + end);
            self.count_ends(&block[start..line_start]);
            if found.end() > line_end + 1 {
                // Each of these may reach over many lines.
                return self.search_lines(&block[line_start..], offset + line_start as u64, visit);
            }
            self.search_line(&block[line_start..line_end], offset + line_start as u64, visit)?;
            start = (line_end + 1).min(block.len());
            self.count_ends(&block[line_end..start]);
            if start >= block.len() {
                break;
            }
        }
        self.count_ends(&block[start..]);
        ControlFlow::Continue(())
    }

    fn search_lines(&mut self, block: &[u8], offset: u64, visit: Visit<'_>) -> ControlFlow<()> {
        let mut start = 0;
        while let Some(len) = memchr::memchr(b'\n', &block[start..]) {
            self.search_line(&block[start..start + len], offset + start as u64, visit)?;
            start += len + 1;
            self.count_ends(b"\n");
        }
        ControlFlow::Continue(())
    }

    fn search_line(&mut self, line: &[u8], offset: u64, visit: Visit<'_>) -> ControlFlow<()> {
        let text = if is_plain(line) {
            String::from_utf8_lossy(line)
        } else {
            text::sanitize_line(&String::from_utf8_lossy(line)).into()
        };
        let is_match = self.pattern.is_none_or(|pattern| pattern.line.is_match(text.as_bytes()));
        if !is_match && !self.visits_all {
            return ControlFlow::Continue(());
        }
        let number = self.line_ends.map(|ends| ends + 1);
        visit(&OutputLine { number, offset, text, is_match })
    }

    fn count_ends(&mut self, bytes: &[u8]) {
        if let Some(ends) = &mut self.line_ends {
            *ends += memchr::memchr_iter(b'\n', bytes).count() as u64;
        }
    }
}

/// Whether text is shown as it is: printable ASCII and line ends.
pub fn is_plain(bytes: &[u8]) -> bool {
    bytes.chunks(4096).all(|piece| {
        // Eight bytes at once, without an early exit within a piece: also fast where the program is optimized for size.
        let (words, rest) = piece.as_chunks();
        let mut last = [b' '; 8];
        last[..rest.len()].copy_from_slice(rest);
        let marks = words.iter().fold(0, |marks, word| marks | marks_of_others(u64::from_ne_bytes(*word)));
        (marks | marks_of_others(u64::from_ne_bytes(last))) & HIGH_BITS == 0
    })
}

/// A word of eight bytes that are 1.
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x80 * ONES;

/// Sets the highest bit of each byte that is neither printable ASCII nor the end of a line; the other bits mean nothing.
/// If one is not ASCII, those after it may be wrong.
fn marks_of_others(word: u64) -> u64 {
    let is_from_space = word.wrapping_add(0x60 * ONES);
    let is_other_than_end = (word ^ (ONES * 0x0A)).wrapping_add(0x7F * ONES);
    let is_delete = word.wrapping_add(ONES);
    word | is_delete | (is_other_than_end & !is_from_space)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the lines that match: in blocks, and line by line.
    fn found(pattern: &str, text: &str) -> [Vec<(u64, u64)>; 2] {
        let pattern = LinePattern::new(pattern, false, false).unwrap();
        let slow = LinePattern { block: None, ..pattern.clone() };
        [pattern, slow].map(|pattern| {
            let mut lines = Vec::new();
            let mut search = LineSearch::new(&pattern, false);
            let _ = search.search_block(text.as_bytes(), 0, &mut |line: &OutputLine<'_>| {
                lines.push((line.number.unwrap(), line.offset));
                ControlFlow::Continue(())
            });
            lines
        })
    }

    #[test]
    fn blocks_and_lines_have_the_same_matches() {
        let text = "one\ntwo\n\nthree one\nfour five\nsix\n";
        let table: [(&str, &[u64]); 14] = [
            ("one", &[1, 4]),
            ("^one", &[1]),
            ("one$", &[1, 4]),
            ("^$", &[3]),
            ("", &[1, 2, 3, 4, 5, 6]),
            ("o\\s", &[]),
            ("e\\sf", &[]),
            ("\\s", &[4, 5]),
            ("r\\sf|six", &[5, 6]),
            ("[^x]five", &[5]),
            ("[^a]*", &[1, 2, 3, 4, 5, 6]),
            ("(?s)e.f", &[]),
            ("\\Atwo", &[2]),
            ("\\bx|x\\b", &[6]),
        ];
        for (pattern, expected) in table {
            let [blocks, lines] = found(pattern, text);
            assert_eq!(blocks, lines, "{pattern}");
            assert_eq!(blocks.iter().map(|(number, _)| *number).collect::<Vec<_>>(), expected, "{pattern}");
        }
        assert_eq!(found("five", text)[0], [(5, 19)]);
    }

    #[test]
    fn plain_text_is_printable_ascii() {
        assert!(is_plain(b"plain text\nof two lines\n"));
        for other in ["\x1b[1m", "é", "\r\n", "a\tb"] {
            assert!(!is_plain(other.as_bytes()), "{other:?}");
        }
        assert!(!is_plain(&[vec![b'a'; 9000], vec![0]].concat()));
        for (byte, place) in (0..=u8::MAX).flat_map(|byte| (0..19).map(move |place| (byte, place))) {
            for beside in [b'a', b'\n', 0, 0x7F, 0x80, 0xFF] {
                let mut bytes = [b'a'; 19];
                (bytes[place], bytes[(place + 1) % 19]) = (byte, beside);
                let expected = bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n'));
                assert_eq!(is_plain(&bytes), expected, "{byte} before {beside} at {place}");
            }
        }
    }
}
