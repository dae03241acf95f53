//! Maps the parser's lines and columns to bytes of the text, and bytes to the lines that editors show.

use std::cell::OnceCell;
use std::ops::Range;

/// The largest file that is read.
pub const MAX_FILE_BYTES: u64 = 32 * 1024 * 1024;

/// What some editors write at the start of a file. It has no column.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The distance between two indexed characters. The index makes columns of very long lines cheap to find.
const CHARS_PER_STEP: usize = 256;

/// The text of a file with a lazily built index of its lines.
pub(super) struct Source<'s> {
    /// The whole text.
    pub(super) text: &'s str,
    char_index: OnceCell<CharIndex>,
}

/// The positions of lines as YAML breaks them, which is also at a lone CR and at Unicode line separators.
struct CharIndex {
    /// The number of characters before each line.
    line_starts: Vec<usize>,
    /// The first byte of every `CHARS_PER_STEP`th character.
    step_bytes: Vec<usize>,
}

impl<'s> Source<'s> {
    pub(super) fn new(text: &'s str) -> Self {
        Self { text, char_index: OnceCell::new() }
    }

    /// Returns the byte at a line and column of the parser, both from 0, or the end of the text if there is no such
    /// position.
    pub(super) fn byte_at(&self, line: usize, column: usize) -> usize {
        let char_index = self.char_index.get_or_init(|| CharIndex::new(self.text));
        let Some(start) = char_index.line_starts.get(line) else { return self.text.len() };
        let index = start + column;
        let step = char_index.step_bytes.get(index / CHARS_PER_STEP).copied().unwrap_or(self.text.len());
        let rest = self.text.get(step..).unwrap_or_default();
        rest.char_indices().nth(index % CHARS_PER_STEP).map_or(self.text.len(), |(byte, _)| step + byte)
    }

    /// Returns the bytes of the line that contains `byte`, without the line break and a byte-order mark. Lines are counted as
    /// in editors.
    pub(super) fn line_range(&self, byte: usize) -> Range<usize> {
        let byte = self.floor_char_boundary(byte);
        let (before, after) = self.text.split_at(byte);
        let mark = if self.text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
        let start = before.rfind('\n').map_or(mark, |at| at + 1);
        let (byte, after) = if byte < start { (start, &self.text[start..]) } else { (byte, after) };
        let end = after.find('\n').map_or(self.text.len(), |at| byte + at);
        let line = self.text[start..end].strip_suffix('\r').unwrap_or(&self.text[start..end]);
        start..start + line.len()
    }

    /// Returns the number, from 1, of the line that starts at this byte.
    pub(super) fn line_number(&self, start: usize) -> usize {
        self.line_number_from(0, 1, start)
    }

    /// Counts from a line whose start and number are known.
    pub(super) fn line_number_from(&self, known: usize, number: usize, start: usize) -> usize {
        let between = |from: usize, to: usize| memchr::memchr_iter(b'\n', &self.text.as_bytes()[from..to]).count();
        if start >= known { number + between(known, start) } else { number - between(start, known) }
    }

    /// Returns the nearest character boundary at or before `byte`.
    pub(super) fn floor_char_boundary(&self, byte: usize) -> usize {
        let byte = byte.min(self.text.len());
        (0..=byte).rev().find(|byte| self.text.is_char_boundary(*byte)).unwrap_or(0)
    }
}

impl CharIndex {
    fn new(text: &str) -> Self {
        let mut line_starts = vec![0];
        let mut step_bytes = Vec::with_capacity(text.len() / CHARS_PER_STEP + 1);
        let mut after_cr = false;
        for (count, (byte, character)) in text.char_indices().enumerate() {
            if count % CHARS_PER_STEP == 0 {
                step_bytes.push(byte);
            }
            match character {
                '\n' if after_cr => line_starts.splice(line_starts.len() - 1.., [count + 1]).for_each(drop),
                '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => line_starts.push(count + 1),
                _ => {}
            }
            after_cr = character == '\r';
        }
        Self { line_starts, step_bytes }
    }
}
