//! The differences between the outputs of two runs, line by line.
//!
//! Of each line, only a hash and its place are kept, so that memory is bounded; lines are read again to be shown.

use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline, group_diff_ops};
use xxhash_rust::xxh3::xxh3_64;

use super::line_search::{LineSearch, OutputLine};
use super::reader::LogReader;
use crate::store::error::StoreError;
use crate::text;

/// How many lines of an output are compared.
pub const MAX_COMPARED_LINES: usize = 500_000;
/// How long the smallest difference is looked for; after that, any difference will do.
const MAX_TIME: Duration = Duration::from_secs(2);
/// The longest part of a line that is shown.
const MAX_SHOWN_BYTES: u64 = 16 * 1024;
/// How many equal lines are shown around differences.
const CONTEXT_LINES: usize = 3;

/// What is the same in two lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineEquality {
    /// Every character, except for escape sequences.
    #[default]
    Exact,
    /// All but the numbers: lines with other times, durations and counts are equal.
    ExceptNumbers,
}

/// The lines of an output, as a hash and a place each.
#[derive(Debug, Default)]
struct HashedLines {
    hashes: Vec<u64>,
    offsets: Vec<u64>,
    /// Whether there are more lines.
    is_cut: bool,
}

/// The differences between two outputs.
#[derive(Debug)]
pub struct OutputDiff {
    old: HashedLines,
    new: HashedLines,
    groups: Vec<Vec<DiffOp>>,
}

/// A line of a diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiffLine {
    /// The start of a group of differences: which lines of the old and of the new output follow.
    #[expect(missing_docs, reason = "counted from 0")]
    Group { old: Range<usize>, new: Range<usize> },
    /// A line that both have.
    Same(String),
    /// A line that only the old output has.
    Removed(String),
    /// A line that only the new output has.
    Added(String),
}

impl OutputDiff {
    /// Compares two outputs.
    pub fn new(old: &mut LogReader, new: &mut LogReader, equality: LineEquality) -> Result<Self, StoreError> {
        let (old, new) = (HashedLines::read(old, equality)?, HashedLines::read(new, equality)?);
        let deadline = Instant::now() + MAX_TIME;
        let ops = capture_diff_slices_deadline(Algorithm::Myers, &old.hashes, &new.hashes, Some(deadline));
        Ok(Self { old, new, groups: group_diff_ops(ops, CONTEXT_LINES) })
    }

    /// Whether no difference was found.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether one of the outputs has more lines than were compared.
    pub fn is_cut(&self) -> bool {
        self.old.is_cut || self.new.is_cut
    }

    /// Reads the lines that differ, with those around them, and calls `visit` for each until it breaks.
    pub fn visit_lines(
        &self,
        old: &mut LogReader,
        new: &mut LogReader,
        visit: &mut dyn FnMut(DiffLine) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        for group in &self.groups {
            let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
            let header = DiffLine::Group {
                old: first.old_range().start..last.old_range().end,
                new: first.new_range().start..last.new_range().end,
            };
            if visit(header).is_break() {
                return Ok(());
            }
            for op in group {
                let is_same = matches!(op, DiffOp::Equal { .. });
                for nth in op.old_range().take_while(|_| !is_same) {
                    if visit(DiffLine::Removed(self.old.line(nth, old)?)).is_break() {
                        return Ok(());
                    }
                }
                for nth in op.new_range() {
                    let line = self.new.line(nth, new)?;
                    if visit(if is_same { DiffLine::Same(line) } else { DiffLine::Added(line) }).is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }
}

impl HashedLines {
    fn read(log: &mut LogReader, equality: LineEquality) -> Result<Self, StoreError> {
        let mut lines = Self::default();
        LineSearch::all().run(log, &mut |line: &OutputLine<'_>| {
            if lines.hashes.len() == MAX_COMPARED_LINES {
                lines.is_cut = true;
                return ControlFlow::Break(());
            }
            lines.offsets.push(line.offset);
            lines.hashes.push(match equality {
                LineEquality::Exact => xxh3_64(line.text.as_bytes()),
                LineEquality::ExceptNumbers => xxh3_64(without_numbers(&line.text).as_bytes()),
            });
            ControlFlow::Continue(())
        })?;
        Ok(lines)
    }

    /// A line as it is shown.
    fn line(&self, nth: usize, log: &mut LogReader) -> Result<String, StoreError> {
        let Some(offset) = self.offsets.get(nth) else { return Ok(String::new()) };
        let (mut bytes, mut piece) = (Vec::new(), vec![0; 4096]);
        let mut at = *offset;
        while at - offset < MAX_SHOWN_BYTES {
            let chunk = log.read_at(at, &mut piece)?;
            if chunk.len == 0 || chunk.offset != at {
                break;
            }
            let read = &piece[..chunk.len];
            if let Some(end) = memchr::memchr(b'\n', read) {
                bytes.extend_from_slice(&read[..end]);
                break;
            }
            bytes.extend_from_slice(read);
            at += chunk.len as u64;
        }
        Ok(text::sanitize_line(&String::from_utf8_lossy(&bytes)))
    }
}

/// A text in which all numbers are the same.
fn without_numbers(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for character in line.chars() {
        if !character.is_ascii_digit() {
            text.push(character);
        } else if !text.ends_with('0') {
            text.push('0');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_all_the_same() {
        assert_eq!(without_numbers("at 12:03:59 took 1.5s"), without_numbers("at 9:00:1 took 20.75s"));
        assert_ne!(without_numbers("a 1"), without_numbers("b 1"));
    }
}
