//! Draws the cells of a terminal. Only cells come out, so nothing that a job writes gets any further.

use avt::{Color, Pen, Screen};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{self, Modifier, Style};

use super::super::draw::clear;
use super::super::{Look, sgr};
use crate::tui::text;

/// Draws the rows from `top` on, counted from the first that can be scrolled to.
pub(super) fn screen(screen: Screen<'_>, top: usize, look: &Look, area: Rect, buffer: &mut Buffer) {
    clear(look, area, buffer);
    let area = area.intersection(buffer.area);
    for (place, line) in area.rows().zip(screen.all_lines().skip(top)) {
        for (x, cell) in (place.left()..place.right()).zip(line.cells()) {
            let cut = x + 1 == place.right() && cell.width() > 1;
            let shown = &mut buffer[(x, place.y)];
            shown.set_style(look.of(styled(cell.pen())));
            // The right half of a wide character is hidden below it.
            if cell.width() > 0 && !cut && text::cells(cell.char()) == Some(cell.width().into()) {
                shown.set_char(cell.char());
            }
        }
    }
}

fn styled(pen: &Pen) -> Style {
    let modifiers = [
        (pen.is_bold(), Modifier::BOLD),
        (pen.is_faint(), Modifier::DIM),
        (pen.is_italic(), Modifier::ITALIC),
        (pen.is_underline(), Modifier::UNDERLINED),
        (pen.is_blink(), Modifier::SLOW_BLINK),
        (pen.is_inverse(), Modifier::REVERSED),
        (pen.is_strikethrough(), Modifier::CROSSED_OUT),
    ];
    let modifiers = modifiers.iter().filter(|(on, _)| *on).fold(Modifier::empty(), |all, (_, one)| all | *one);
    let mut style = Style::new().add_modifier(modifiers);
    style.fg = pen.foreground().map(colour);
    style.bg = pen.background().map(colour);
    style
}

fn colour(colour: Color) -> style::Color {
    match colour {
        Color::Indexed(index) => sgr::numbered(index),
        Color::RGB(rgb) => style::Color::Rgb(rgb.r, rgb.g, rgb.b),
    }
}
