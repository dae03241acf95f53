//! Draws a page of output into a buffer.

use chrono::{DateTime, NaiveDateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::index::Content;
use super::line::Line;
use super::search::Search;
use super::view::Page;
use crate::tui::text;

/// How output is drawn. The pane has no styles of its own.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Text that the job has not styled, and the ground below all.
    pub text: Style,
    /// Remarks that are not output, and times.
    pub remark: Style,
    /// What marks standard error.
    pub error: Style,
    /// What a search has found.
    pub found: Style,
    /// The hit that was gone to last.
    pub current: Style,
    /// Whether the job's colours are shown; its bold, underlined and so on always are.
    pub colours: bool,
    /// Whether the pane's own signs are ASCII.
    pub ascii: bool,
    /// What clocks show here at an instant.
    pub local: fn(DateTime<Utc>) -> NaiveDateTime,
}

impl Look {
    /// The style of a character that the job styled so.
    pub(super) fn of(&self, style: Style) -> Style {
        let style = if self.colours { style } else { Style { fg: None, bg: None, underline_color: None, ..style } };
        self.text.patch(style)
    }

    fn ellipsis(&self) -> &'static str {
        if self.ascii { text::ASCII_ELLIPSIS } else { text::ELLIPSIS }
    }
}

/// Draws `page` from cell `left` on, with what `search` has found.
pub(super) fn page(page: &Page, left: usize, search: Option<&Search>, look: &Look, area: Rect, buffer: &mut Buffer) {
    clear(look, area, buffer);
    let mut row = 0;
    for (index, laid) in page.lines.iter().enumerate() {
        let skip = if index == 0 { page.skip } else { 0 };
        let marks = Marks::new(search, laid.line.start, &laid.line.content);
        for range in laid.rows.iter().skip(skip) {
            let Some(place) = area.rows().nth(row) else { return };
            match &laid.line.content {
                Content::Line(line) => draw_row(line, range.clone(), left, &marks, look, place, buffer),
                Content::Lost(bytes) => remark(&omitted(*bytes, look.ascii), look, place, buffer),
            }
            row += 1;
        }
    }
}

/// Draws a sentence in place of output.
pub(super) fn message(sentence: &str, look: &Look, area: Rect, buffer: &mut Buffer) {
    clear(look, area, buffer);
    if let Some(place) = area.rows().next() {
        remark(&text::plain_line(sentence), look, place, buffer);
    }
}

fn omitted(bytes: u64, ascii: bool) -> String {
    let dots = if ascii { "..." } else { "…" };
    format!("{dots} {} omitted {dots}", text::bytes(bytes))
}

fn remark(remark: &str, look: &Look, place: Rect, buffer: &mut Buffer) {
    let shown = text::fit(remark, usize::from(place.width), look.ellipsis());
    buffer.set_stringn(place.x, place.y, shown, usize::from(place.width), look.text.patch(look.remark));
}

/// Leaves nothing in `area`.
pub(super) fn clear(look: &Look, area: Rect, buffer: &mut Buffer) {
    for position in area.intersection(buffer.area).positions() {
        buffer[position].reset();
        buffer[position].set_style(look.text);
    }
}

fn draw_row(
    line: &Line,
    range: std::ops::Range<usize>,
    left: usize,
    marks: &Marks,
    look: &Look,
    place: Rect,
    buffer: &mut Buffer,
) {
    let place = place.intersection(buffer.area);
    let mut x = place.x;
    let (mut hidden, mut last) = (0, place.x);
    for glyph in line.glyphs(range) {
        let width = u16::try_from(glyph.width).unwrap_or(1);
        // The first cell says that there is something left of it.
        if hidden < left + usize::from(left > 0) {
            hidden += glyph.width;
            if hidden > left && place.width > 0 {
                buffer.set_stringn(place.x, place.y, look.ellipsis(), 1, look.text.patch(look.remark));
                x = place.x + u16::try_from(hidden - left).unwrap_or(1).min(place.width);
            }
            continue;
        }
        if place.right() - x < width {
            if place.width > 0 {
                // No half of a wide character stays.
                if x == place.right() && last + 1 < x {
                    buffer[(last, place.y)].set_symbol(" ");
                }
                buffer.set_stringn(place.right() - 1, place.y, look.ellipsis(), 1, look.text.patch(look.remark));
            }
            return;
        }
        last = x;
        let style = marks.style(glyph.at, look).map_or(look.of(glyph.style), |mark| look.of(glyph.style).patch(mark));
        buffer[(x, place.y)].set_symbol(glyph.symbol).set_style(style);
        for rest in 1..width {
            // Hidden below the wide character, but of its colour.
            buffer[(x + rest, place.y)].set_style(style);
        }
        x += width;
    }
}

/// What a search has found in one line.
#[derive(Default)]
struct Marks {
    hits: Vec<std::ops::Range<usize>>,
    current: Option<std::ops::Range<usize>>,
}

impl Marks {
    fn new(search: Option<&Search>, line: u64, content: &Content) -> Self {
        let (Some(search), Content::Line(text)) = (search, content) else { return Self::default() };
        let current = search.current.as_ref().filter(|hit| hit.line == line).map(|hit| hit.range.clone());
        Self { hits: search.needle.hits(text.text()), current }
    }

    fn style(&self, at: usize, look: &Look) -> Option<Style> {
        if self.current.as_ref().is_some_and(|hit| hit.contains(&at)) {
            return Some(look.current);
        }
        let hit = self.hits.partition_point(|hit| hit.end <= at);
        self.hits.get(hit).filter(|hit| hit.contains(&at)).map(|_| look.found)
    }
}
