//! One line of output, ready to be drawn: text that holds no control character, and the styles of its parts.

use std::ops::Range;

use ratatui::style::Style;

use crate::tui::text;

/// A line of output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    text: String,
    /// Where a style begins, in bytes; ascending, each different from the one before it. Before the first: no style.
    runs: Vec<(usize, Style)>,
}

/// One character of a line with the marks that join it: what goes into a cell, or two for a wide one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyph<'a> {
    /// The character and its marks.
    pub symbol: &'a str,
    /// Where it starts in the line's text, in bytes.
    pub at: usize,
    /// 1 or 2 cells.
    pub width: usize,
    /// How the job wants it shown.
    pub style: Style,
}

impl Line {
    /// A line of text without styles; the caller knows that it is harmless.
    pub(super) fn unstyled(text: String, style: Style) -> Self {
        let runs = if style == Style::new() || text.is_empty() { Vec::new() } else { vec![(0, style)] };
        Self { text, runs }
    }

    /// An empty line with room for a text of so many bytes.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), runs: Vec::new() }
    }

    /// The style of what is added from now on.
    pub(super) fn set_style(&mut self, style: Style) {
        let start = self.text.len();
        self.runs.pop_if(|(last, _)| *last == start);
        if self.runs.last().map_or(Style::new(), |run| run.1) != style {
            self.runs.push((start, style));
        }
    }

    /// Adds a character, or a mark to the last one.
    pub(super) fn push(&mut self, character: char) {
        self.text.push(character);
    }

    /// Its text alone.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its text in pieces of one style.
    pub fn spans(&self) -> impl Iterator<Item = (&str, Style)> {
        let starts = std::iter::once((0, Style::new())).chain(self.runs.iter().copied());
        let ends = self.runs.iter().map(|run| run.0).chain([self.text.len()]);
        starts
            .zip(ends)
            .map(|((start, style), end)| (&self.text[start..end], style))
            .filter(|(piece, _)| !piece.is_empty())
    }

    /// Its characters in a range of its text, one or two cells each. The range begins and ends between characters.
    pub fn glyphs(&self, range: Range<usize>) -> impl Iterator<Item = Glyph<'_>> {
        let (first, end) = (range.start, range.end);
        let mut run = self.runs.partition_point(|(start, _)| *start <= first);
        let mut style = run.checked_sub(1).map_or(Style::new(), |run| self.runs[run].1);
        let mut characters = self.text[range].char_indices().map(move |(at, c)| (first + at, c)).peekable();
        std::iter::from_fn(move || {
            let (at, character) = characters.next()?;
            while let Some((_, next)) = self.runs.get(run).filter(|(start, _)| *start <= at) {
                style = *next;
                run += 1;
            }
            while characters.next_if(|(_, next)| text::cells(*next) == Some(0)).is_some() {}
            let end = characters.peek().map_or(end, |next| next.0);
            let width = text::cells(character).unwrap_or(1).max(1);
            Some(Glyph { symbol: &self.text[at..end], at, width, style })
        })
    }
}
