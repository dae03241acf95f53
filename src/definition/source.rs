//! Where things stand in the text of a file: the parser's lines and columns turned into bytes, and back for people.

use std::cell::OnceCell;
use std::ops::Range;

/// How many characters lie between two remembered places, so that a column of a very long line is found quickly.
const STEP: usize = 256;

/// The text of a file, whose lines are only counted when somebody asks for a place.
pub(super) struct Source<'s> {
    /// All of it.
    pub(super) text: &'s str,
    breaks: OnceCell<Breaks>,
}

/// Lines as YAML breaks them: also at a lone CR and at the Unicode line separators.
struct Breaks {
    /// For every line the number of characters before it.
    lines: Vec<usize>,
    /// The byte at which every `STEP`th character starts.
    steps: Vec<usize>,
}

impl<'s> Source<'s> {
    pub(super) fn new(text: &'s str) -> Self {
        Self { text, breaks: OnceCell::new() }
    }

    /// The byte at a line and column of the parser, both from 0; the end of the text if there is no such place.
    pub(super) fn byte(&self, line: usize, column: usize) -> usize {
        let breaks = self.breaks.get_or_init(|| Breaks::of(self.text));
        let Some(start) = breaks.lines.get(line) else { return self.text.len() };
        let wanted = start + column;
        let step = breaks.steps.get(wanted / STEP).copied().unwrap_or(self.text.len());
        let rest = self.text.get(step..).unwrap_or_default();
        rest.char_indices().nth(wanted % STEP).map_or(self.text.len(), |(byte, _)| step + byte)
    }

    /// The line that holds a byte, as people and editors count: its bytes, without the line break.
    pub(super) fn line_around(&self, byte: usize) -> Range<usize> {
        let byte = self.floor(byte);
        let (before, after) = self.text.split_at(byte);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let end = after.find('\n').map_or(self.text.len(), |at| byte + at);
        let line = self.text[start..end].strip_suffix('\r').unwrap_or(&self.text[start..end]);
        start..start + line.len()
    }

    /// The number of the line that starts at this byte, from 1.
    pub(super) fn line_number(&self, start: usize) -> usize {
        self.line_number_from(0, 1, start)
    }

    /// The same, counted from a line whose start and number are known.
    pub(super) fn line_number_from(&self, known: usize, number: usize, start: usize) -> usize {
        let between = |from: usize, to: usize| memchr::memchr_iter(b'\n', &self.text.as_bytes()[from..to]).count();
        if start >= known { number + between(known, start) } else { number - between(start, known) }
    }

    /// The nearest start of a character at or before `byte`.
    pub(super) fn floor(&self, byte: usize) -> usize {
        let byte = byte.min(self.text.len());
        (0..=byte).rev().find(|byte| self.text.is_char_boundary(*byte)).unwrap_or(0)
    }
}

impl Breaks {
    fn of(text: &str) -> Self {
        let mut lines = vec![0];
        let mut steps = Vec::with_capacity(text.len() / STEP + 1);
        let mut after_cr = false;
        for (count, (byte, character)) in text.char_indices().enumerate() {
            if count % STEP == 0 {
                steps.push(byte);
            }
            match character {
                '\n' if after_cr => lines.splice(lines.len() - 1.., [count + 1]).for_each(drop),
                '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => lines.push(count + 1),
                _ => {}
            }
            after_cr = character == '\r';
        }
        Self { lines, steps }
    }
}
