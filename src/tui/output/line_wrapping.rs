//! Wraps a line into rows of cells.

use std::iter;
use std::ops::Range;

use super::styled_line::StyledLine;

/// The rows of a line at `width` cells, as ranges of its text; at least one. Wide characters are not split.
pub(super) fn wrap_rows(line: &StyledLine, width: usize) -> Vec<Range<usize>> {
    let text = line.text();
    // No character has fewer bytes than cells.
    if text.len() <= width || width == 0 {
        return iter::once(0..text.len()).collect();
    }
    let (mut rows, mut start, mut taken) = (Vec::new(), 0, 0);
    for glyph in line.glyphs(0..text.len()) {
        if taken + glyph.width > width && glyph.start > start {
            rows.push(start..glyph.start);
            (start, taken) = (glyph.start, 0);
        }
        taken += glyph.width;
    }
    rows.push(start..text.len());
    rows
}
