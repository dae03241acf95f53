//! The bytes of one line as a job wrote them, made into a [`Line`] that is safe to draw.
//!
//! Colours and attributes are kept. `\r`, backspace, tabs, erasing in the line and moves within the line do what a
//! terminal would do, so that progress bars look right. Everything else that could steer a terminal vanishes.

use ratatui::style::Style;
use vte::{Params, Parser, Perform};

use super::line::Line;
use super::{grid::Grid, sgr};

/// What a line inherits from the output before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Carry {
    /// The style in force.
    pub style: Style,
    /// Whether it starts inside the payload of a control string (an image, say) that is longer than a piece of a line.
    pub inside: bool,
}

/// Ends whatever sequence is under way, in every state of the parser, and is itself nothing.
const CANCEL: &[u8] = b"\x18";

/// Begins a control string whose payload nobody reads.
const STRING: &[u8] = b"\x1b]_";

/// No style from here on.
const RESETS: [&[u8]; 2] = [b"\x1b[m", b"\x1b[0m"];

impl Carry {
    /// What is inherited after `bytes`, which hold no line end. A sequence that they leave unfinished is dropped.
    pub(super) fn after(self, bytes: &[u8]) -> Self {
        let first = if self.inside { Some(0) } else { memchr::memchr(ESCAPE, bytes) };
        let Some(first) = first else { return self };
        // An escape ends whatever was under way. This is how most lines with colours end.
        let last = memchr::memrchr(ESCAPE, bytes).map_or(bytes, |last| &bytes[last..]);
        if RESETS.iter().any(|reset| last.starts_with(reset)) {
            return Self::default();
        }
        let mut styles = Styles(self.style);
        feed(&mut styles, self, &bytes[first..]);
        Self { style: styles.0, inside: false }
    }
}

pub(super) const ESCAPE: u8 = 0x1b;

/// The line that `bytes` show; they hold no line end.
pub(super) fn line(bytes: &[u8], carry: Carry) -> Line {
    // A line end written by Windows programs, or through a terminal.
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    if !carry.inside
        && bytes.iter().all(|byte| matches!(byte, b' '..=b'~'))
        && let Ok(text) = str::from_utf8(bytes)
    {
        return Line::unstyled(text.to_owned(), carry.style);
    }
    let mut screen = Screen { grid: Grid::with_room(bytes.len(), carry.style), style: carry.style };
    feed(&mut screen, carry, bytes);
    screen.grid.into_line()
}

fn feed(performer: &mut impl Perform, carry: Carry, bytes: &[u8]) {
    let mut parser = Parser::new();
    if carry.inside {
        parser.advance(performer, STRING);
    }
    parser.advance(performer, bytes);
    parser.advance(performer, CANCEL);
}

/// Watches only the style.
struct Styles(Style);

impl Perform for Styles {
    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        if action == 'm' && intermediates.is_empty() && !ignore {
            sgr::apply(&mut self.0, params);
        }
    }
}

/// A terminal of one endless line.
struct Screen {
    grid: Grid,
    style: Style,
}

impl Perform for Screen {
    fn print(&mut self, character: char) {
        self.grid.print(character);
    }

    fn execute(&mut self, control: u8) {
        match control {
            b'\r' => self.grid.go_to(0),
            b'\t' => self.grid.tab(),
            0x08 => self.grid.go_to(self.grid.column().saturating_sub(1)),
            // Such a byte alone is no UTF-8; such a character no terminal shows.
            0x80..=0x9f => self.grid.print(char::REPLACEMENT_CHARACTER),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        if ignore || !intermediates.is_empty() {
            return;
        }
        let first = params.iter().next().and_then(|param| param.first()).map_or(0, |value| usize::from(*value));
        let steps = first.max(1);
        let column = self.grid.column();
        match (action, first) {
            ('m', _) => {
                sgr::apply(&mut self.style, params);
                self.grid.set_style(self.style);
            }
            ('G', _) => self.grid.go_to(steps - 1),
            ('C', _) => self.grid.go_to(column + steps),
            ('D', _) => self.grid.go_to(column.saturating_sub(steps)),
            ('K' | 'J', 0) => self.grid.erase_right(),
            ('K', 1) => self.grid.erase_left(),
            ('K', 2) => self.grid.erase(),
            _ => {}
        }
    }
}
