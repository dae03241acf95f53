//! Draws the cells of a terminal. Only cells are drawn, so control sequences never reach the real terminal.

use avt::{Color, Pen, Screen};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{self, Modifier, Style};

use super::super::ansi_style;
use super::super::draw_page::clear;
use super::super::output_styles::OutputStyles;
use crate::text;

/// Draws the rows from `top` on, counted from the first row of the scrollback.
pub(super) fn draw_screen(screen: Screen<'_>, top: usize, styles: &OutputStyles, area: Rect, buffer: &mut Buffer) {
    clear(styles, area, buffer);
    let area = area.intersection(buffer.area);
    for (place, line) in area.rows().zip(screen.all_lines().skip(top)) {
        for (x, cell) in (place.left()..place.right()).zip(line.cells()) {
            let cut = x + 1 == place.right() && cell.width() > 1;
            let shown = &mut buffer[(x, place.y)];
            shown.set_style(styles.for_text(pen_style(cell.pen())));
            // The right half is hidden behind the wide character.
            if cell.width() > 0 && !cut && text::cells(cell.char()) == Some(cell.width().into()) {
                shown.set_char(cell.char());
            }
        }
    }
}

fn pen_style(pen: &Pen) -> Style {
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
        Color::Indexed(index) => ansi_style::indexed_colour(index),
        Color::RGB(rgb) => style::Color::Rgb(rgb.r, rgb.g, rgb.b),
    }
}
