//! Fills a line of the screen with pieces of text from the left and the right, never past its end.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::text;
use crate::tui::theme::Symbols;

/// A line of the screen that is being filled.
#[derive(Debug)]
pub(super) struct LinePainter<'a> {
    buffer: &'a mut Buffer,
    rest: Rect,
    ellipsis: &'static str,
}

impl<'a> LinePainter<'a> {
    /// Starts with the first line of `area`.
    pub(super) fn new(area: Rect, buffer: &'a mut Buffer, signs: &Symbols) -> Self {
        Self { buffer, rest: Rect { height: area.height.min(1), ..area }, ellipsis: signs.ellipsis }
    }

    /// The number of cells left.
    pub(super) fn room(&self) -> usize {
        if self.rest.height == 0 { 0 } else { usize::from(self.rest.width) }
    }

    /// The column of the next text from the left.
    pub(super) fn column(&self) -> u16 {
        self.rest.x
    }

    /// The column at which the next text from the right ends.
    pub(super) fn end(&self) -> u16 {
        self.rest.right()
    }

    /// Adds text from the left; text that doesn't fit is cut with an ellipsis.
    pub(super) fn left(&mut self, content: &str, style: Style) -> &mut Self {
        let fitting = text::fit(content, self.room(), self.ellipsis).into_owned();
        self.put(self.rest.x, &fitting, style);
        let taken = to_u16(text::width(&fitting));
        self.rest.x += taken;
        self.rest.width -= taken;
        self
    }

    /// Adds text from the left, padded or cut to `width` cells.
    pub(super) fn fixed_width(&mut self, content: &str, width: usize, style: Style) -> &mut Self {
        let padded = text::pad(content, width.min(self.room()), self.ellipsis);
        self.left(&padded, style)
    }

    /// Adds text from the right if all of it fits. Returns whether it did.
    pub(super) fn right(&mut self, content: &str, style: Style) -> bool {
        let width = text::width(content);
        if width > self.room() {
            return false;
        }
        self.rest.width -= to_u16(width);
        self.put(self.rest.x + self.rest.width, content, style);
        true
    }

    /// Fills the remaining cells with a sign of one cell.
    pub(super) fn fill(&mut self, sign: &str, style: Style) {
        let line = sign.repeat(self.room());
        self.left(&line, style);
    }

    fn put(&mut self, x: u16, content: &str, style: Style) {
        if self.rest.height > 0 && !content.is_empty() {
            self.buffer.set_string(x, self.rest.y, content, style);
        }
    }
}

/// The lines of `area`, from top to bottom.
pub(super) fn lines(area: Rect) -> impl Iterator<Item = Rect> {
    (area.y..area.bottom()).map(move |y| Rect { y, height: 1, ..area })
}

/// `area` without its first line.
pub(super) fn without_first_line(area: Rect) -> Rect {
    let taken = area.height.min(1);
    Rect { y: area.y + taken, height: area.height - taken, ..area }
}

fn to_u16(width: usize) -> u16 {
    u16::try_from(width).unwrap_or(u16::MAX)
}
