//! Draws the first line of a page.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::text;
use crate::tui::theme::Appearance;

use super::line_painter::LinePainter;

/// The first line of a page.
pub(super) struct PageTitle<'a> {
    pub(super) name: &'a str,
    /// What follows the name, each after a dot; the last ones are left out without room.
    pub(super) facts: &'a [String],
    /// How many rows are above and below the visible ones.
    pub(super) hidden: (usize, usize),
}

impl PageTitle<'_> {
    pub(super) fn draw(&self, appearance: &Appearance, area: Rect, buffer: &mut Buffer) {
        let Appearance { theme, symbols } = appearance;
        let mut painter = LinePainter::new(area, buffer, symbols);
        painter.left(symbols.rule, theme.focus).left(&format!(" {} ", self.name), theme.focus);
        let (above, below) = self.hidden;
        let above = if above > 0 { format!(" {}{above}", symbols.above) } else { String::new() };
        let below = if below > 0 { format!(" {}{below}", symbols.below) } else { String::new() };
        if !(above.is_empty() && below.is_empty()) {
            painter.right(&format!("{above}{below} "), theme.dim);
        }
        for fact in self.facts.iter().filter(|fact| !fact.is_empty()) {
            let fact = format!("{} {} ", symbols.dot, text::sanitize_line(fact));
            if text::width(&fact) > painter.room() {
                break;
            }
            painter.left(&fact, theme.dim);
        }
        painter.left("", Style::new()).fill(symbols.rule, theme.focus);
    }
}
