//! How a line is laid out in rows of cells.

use std::iter;
use std::ops::Range;

use super::line::Line;

/// The rows of a line in `width` cells, as ranges of its text; at least one. A wide character is never split.
pub(super) fn rows(line: &Line, width: usize) -> Vec<Range<usize>> {
    let text = line.text();
    // No character is shorter in bytes than in cells.
    if text.len() <= width || width == 0 {
        return iter::once(0..text.len()).collect();
    }
    let (mut rows, mut start, mut taken) = (Vec::new(), 0, 0);
    for glyph in line.glyphs(0..text.len()) {
        if taken + glyph.width > width && glyph.at > start {
            rows.push(start..glyph.at);
            (start, taken) = (glyph.at, 0);
        }
        taken += glyph.width;
    }
    rows.push(start..text.len());
    rows
}
