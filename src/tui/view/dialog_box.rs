//! Draws the box of a dialog in the middle of the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::widgets::{Clear, Widget};

use crate::tui::theme::Appearance;

use super::line_painter::LinePainter;

/// The cells that a box takes beside its text: a border and a space on each side.
pub(super) const MARGIN: u16 = 4;
/// The lines that a box takes beside its text: the borders.
pub(super) const BORDERS: u16 = 2;

/// Draws an empty box for a text of this size, or as much of it as fits, with its title in the border. Returns the area
/// inside.
pub(super) fn draw(title: &str, text: Size, appearance: &Appearance, area: Rect, buffer: &mut Buffer) -> Rect {
    let outer = centered(area, text.width.saturating_add(MARGIN), text.height.saturating_add(BORDERS));
    Clear.render(outer, buffer);
    draw_border(title, appearance, outer, buffer);
    Rect {
        x: outer.x + MARGIN / 2,
        y: outer.y + BORDERS / 2,
        width: outer.width.saturating_sub(MARGIN),
        height: outer.height.saturating_sub(BORDERS),
    }
}

fn draw_border(title: &str, appearance: &Appearance, area: Rect, buffer: &mut Buffer) {
    let Appearance { theme, symbols } = appearance;
    let [top_left, top_right, bottom_left, bottom_right] = symbols.corners;
    let last = area.height.saturating_sub(1);
    for (nth, row) in (0..).zip(area.rows()) {
        let (left, right) = match nth {
            0 => (top_left, top_right),
            nth if nth == last => (bottom_left, bottom_right),
            _ => (symbols.vertical, symbols.vertical),
        };
        let mut painter = LinePainter::new(row, buffer, symbols);
        painter.left(left, theme.focus);
        painter.right(right, theme.focus);
        if nth == 0 && !title.is_empty() {
            painter.left(symbols.rule, theme.focus).left(&format!(" {title} "), theme.focus);
        }
        if nth == 0 || nth == last {
            painter.fill(symbols.rule, theme.focus);
        }
    }
}

/// An area of this size, or as much as there is, in the middle of `area`.
fn centered(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}
