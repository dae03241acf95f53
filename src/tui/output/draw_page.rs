//! Draws a page of output into a buffer.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::line_index::LineContent;
use super::output_styles::OutputStyles;
use super::search::Search;
use super::styled_line::StyledLine;
use super::viewport::Page;
use crate::text;

/// Draws `page` from column `left` on and highlights the hits of `search`.
pub(super) fn draw_page(
    page: &Page,
    left: usize,
    search: Option<&Search>,
    styles: &OutputStyles,
    area: Rect,
    buffer: &mut Buffer,
) {
    clear(styles, area, buffer);
    let mut row = 0;
    for (index, wrapped) in page.lines.iter().enumerate() {
        let skip = if index == 0 { page.skip } else { 0 };
        let highlights = HitHighlights::new(search, wrapped.line.start, &wrapped.line.content);
        for range in wrapped.rows.iter().skip(skip) {
            let Some(place) = area.rows().nth(row) else { return };
            match &wrapped.line.content {
                LineContent::Text(line) => draw_row(line, range.clone(), left, &highlights, styles, place, buffer),
                LineContent::Discarded(bytes) => draw_note(&omitted(*bytes, styles.ascii), styles, place, buffer),
            }
            row += 1;
        }
    }
}

/// Draws a sentence instead of output.
pub(super) fn draw_message(sentence: &str, styles: &OutputStyles, area: Rect, buffer: &mut Buffer) {
    clear(styles, area, buffer);
    if let Some(place) = area.rows().next() {
        draw_note(&text::sanitize_line(sentence), styles, place, buffer);
    }
}

fn omitted(bytes: u64, ascii: bool) -> String {
    let dots = if ascii { "..." } else { "…" };
    format!("{dots} {} omitted {dots}", text::bytes(bytes))
}

fn draw_note(sentence: &str, styles: &OutputStyles, place: Rect, buffer: &mut Buffer) {
    let shown = text::fit(sentence, usize::from(place.width), styles.ellipsis());
    buffer.set_stringn(place.x, place.y, shown, usize::from(place.width), styles.text.patch(styles.note));
}

/// Clears `area`.
pub(super) fn clear(styles: &OutputStyles, area: Rect, buffer: &mut Buffer) {
    for position in area.intersection(buffer.area).positions() {
        buffer[position].reset();
        buffer[position].set_style(styles.text);
    }
}

fn draw_row(
    line: &StyledLine,
    range: std::ops::Range<usize>,
    left: usize,
    highlights: &HitHighlights,
    styles: &OutputStyles,
    place: Rect,
    buffer: &mut Buffer,
) {
    let place = place.intersection(buffer.area);
    let mut x = place.x;
    let (mut hidden, mut last) = (0, place.x);
    for glyph in line.glyphs(range) {
        let width = u16::try_from(glyph.width).unwrap_or(1);
        // The first cell shows that text is hidden to its left.
        if hidden < left + usize::from(left > 0) {
            hidden += glyph.width;
            if hidden > left && place.width > 0 {
                buffer.set_stringn(place.x, place.y, styles.ellipsis(), 1, styles.text.patch(styles.note));
                x = place.x + u16::try_from(hidden - left).unwrap_or(1).min(place.width);
            }
            continue;
        }
        if place.right() - x < width {
            if place.width > 0 {
                // A wide character that is cut in half is removed.
                if x == place.right() && last + 1 < x {
                    buffer[(last, place.y)].set_symbol(" ");
                }
                buffer.set_stringn(place.right() - 1, place.y, styles.ellipsis(), 1, styles.text.patch(styles.note));
            }
            return;
        }
        last = x;
        let style = highlights
            .style(glyph.start, styles)
            .map_or(styles.for_text(glyph.style), |mark| styles.for_text(glyph.style).patch(mark));
        buffer[(x, place.y)].set_symbol(glyph.symbol).set_style(style);
        for rest in 1..width {
            // The right half is hidden behind the wide character but has its colour.
            buffer[(x + rest, place.y)].set_style(style);
        }
        x += width;
    }
}

/// The search hits in one line.
#[derive(Default)]
struct HitHighlights {
    hits: Vec<std::ops::Range<usize>>,
    current: Option<std::ops::Range<usize>>,
}

impl HitHighlights {
    fn new(search: Option<&Search>, line: u64, content: &LineContent) -> Self {
        let (Some(search), LineContent::Text(text)) = (search, content) else { return Self::default() };
        let current = search.current.as_ref().filter(|hit| hit.line == line).map(|hit| hit.range.clone());
        Self { hits: search.pattern.find_all(text.text()), current }
    }

    fn style(&self, at: usize, styles: &OutputStyles) -> Option<Style> {
        if self.current.as_ref().is_some_and(|hit| hit.contains(&at)) {
            return Some(styles.current_hit);
        }
        let hit = self.hits.partition_point(|hit| hit.end <= at);
        self.hits.get(hit).filter(|hit| hit.contains(&at)).map(|_| styles.hit)
    }
}
