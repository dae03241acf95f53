//! A line of output, ready to be drawn: text without control characters, and the styles of its parts.

use std::ops::Range;

use ratatui::style::Style;

use crate::text;

/// A line of output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StyledLine {
    text: String,
    /// The byte positions at which the style changes, ascending. The text before the first has no style.
    style_changes: Vec<(usize, Style)>,
}

/// A character of a line with its combining marks. It fills one cell, or two if it is wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyph<'a> {
    /// The character and its marks.
    pub symbol: &'a str,
    /// Its byte position in the line's text.
    pub start: usize,
    /// 1 or 2 cells.
    pub width: usize,
    /// The style set by the job.
    pub style: Style,
}

impl StyledLine {
    /// A line in one style. The caller ensures that `text` contains no control characters.
    pub(super) fn unstyled(text: String, style: Style) -> Self {
        let style_changes = if style == Style::new() || text.is_empty() { Vec::new() } else { vec![(0, style)] };
        Self { text, style_changes }
    }

    /// An empty line with room for `bytes` bytes of text.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), style_changes: Vec::new() }
    }

    /// Sets the style of the characters added from now on.
    pub(super) fn set_style(&mut self, style: Style) {
        let start = self.text.len();
        self.style_changes.pop_if(|(last, _)| *last == start);
        if self.style_changes.last().map_or(Style::new(), |run| run.1) != style {
            self.style_changes.push((start, style));
        }
    }

    /// Appends a character or a combining mark.
    pub(super) fn push(&mut self, character: char) {
        self.text.push(character);
    }

    /// The text without styles.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text in pieces of one style.
    pub fn spans(&self) -> impl Iterator<Item = (&str, Style)> {
        let starts = std::iter::once((0, Style::new())).chain(self.style_changes.iter().copied());
        let ends = self.style_changes.iter().map(|run| run.0).chain([self.text.len()]);
        starts
            .zip(ends)
            .map(|((start, style), end)| (&self.text[start..end], style))
            .filter(|(piece, _)| !piece.is_empty())
    }

    /// The characters in a range of the text. The range starts and ends between characters.
    pub fn glyphs(&self, range: Range<usize>) -> impl Iterator<Item = Glyph<'_>> {
        let (first, end) = (range.start, range.end);
        let mut change = self.style_changes.partition_point(|(start, _)| *start <= first);
        let mut style = change.checked_sub(1).map_or(Style::new(), |change| self.style_changes[change].1);
        let mut characters = self.text[range].char_indices().map(move |(start, c)| (first + start, c)).peekable();
        std::iter::from_fn(move || {
            let (start, character) = characters.next()?;
            while let Some((_, next)) = self.style_changes.get(change).filter(|(from, _)| *from <= start) {
                style = *next;
                change += 1;
            }
            while characters.next_if(|(_, next)| text::cells(*next) == Some(0)).is_some() {}
            let end = characters.peek().map_or(end, |next| next.0);
            let width = text::cells(character).unwrap_or(1).max(1);
            Some(Glyph { symbol: &self.text[start..end], start, width, style })
        })
    }
}
