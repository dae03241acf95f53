//! Parses the bytes of one line into a [`StyledLine`] that is safe to draw.
//!
//! Colours and attributes are kept. `\r`, backspace, tabs, erasing and cursor movement within the line act as on a
//! terminal, so that progress bars look right. All other control sequences are removed.

use ratatui::style::Style;
use vte::{Params, Parser, Perform};

use super::styled_line::StyledLine;
use super::{ansi_style, cell_row::CellRow};

/// The parser state that a line inherits from the output before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ParserState {
    /// The current style.
    pub style: Style,
    /// Whether the line starts inside the payload of a control string (an image, for example) that is longer than the
    /// maximum line length.
    pub in_control_string: bool,
}

/// Cancels any unfinished sequence in every state of the parser and has no other effect.
const CANCEL_SEQUENCE: &[u8] = b"\x18";

/// Starts a control string whose payload is ignored.
const CONTROL_STRING_START: &[u8] = b"\x1b]_";

/// The sequences that reset the style.
const STYLE_RESETS: [&[u8]; 2] = [b"\x1b[m", b"\x1b[0m"];

impl ParserState {
    /// The state after `bytes`, which contain no line end. An unfinished sequence at their end is dropped.
    pub(super) fn after(self, bytes: &[u8]) -> Self {
        let first = if self.in_control_string { Some(0) } else { memchr::memchr(ESCAPE, bytes) };
        let Some(first) = first else { return self };
        // An escape cancels any unfinished sequence. Most coloured lines end with a reset.
        let last = memchr::memrchr(ESCAPE, bytes).map_or(bytes, |last| &bytes[last..]);
        if STYLE_RESETS.iter().any(|reset| last.starts_with(reset)) {
            return Self::default();
        }
        let mut styles = StyleTracker(self.style);
        run_parser(&mut styles, self, &bytes[first..]);
        Self { style: styles.0, in_control_string: false }
    }
}

pub(super) const ESCAPE: u8 = 0x1b;

/// Parses `bytes`, which contain no line end.
pub(super) fn parse_line(bytes: &[u8], parser_state: ParserState) -> StyledLine {
    // The line end was `\r\n`, from a Windows program or a terminal.
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    if !parser_state.in_control_string
        && bytes.iter().all(|byte| matches!(byte, b' '..=b'~'))
        && let Ok(text) = str::from_utf8(bytes)
    {
        return StyledLine::unstyled(text.to_owned(), parser_state.style);
    }
    let mut screen =
        LineTerminal { cells: CellRow::with_capacity(bytes.len(), parser_state.style), style: parser_state.style };
    run_parser(&mut screen, parser_state, bytes);
    screen.cells.into_line()
}

fn run_parser(performer: &mut impl Perform, parser_state: ParserState, bytes: &[u8]) {
    let mut parser = Parser::new();
    if parser_state.in_control_string {
        parser.advance(performer, CONTROL_STRING_START);
    }
    parser.advance(performer, bytes);
    parser.advance(performer, CANCEL_SEQUENCE);
}

/// Tracks only the style.
struct StyleTracker(Style);

impl Perform for StyleTracker {
    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        if action == 'm' && intermediates.is_empty() && !ignore {
            ansi_style::apply_sgr(&mut self.0, params);
        }
    }
}

/// A terminal with a single line of unlimited width.
struct LineTerminal {
    cells: CellRow,
    style: Style,
}

impl Perform for LineTerminal {
    fn print(&mut self, character: char) {
        self.cells.print(character);
    }

    fn execute(&mut self, control: u8) {
        match control {
            b'\r' => self.cells.go_to(0),
            b'\t' => self.cells.tab(),
            0x08 => self.cells.go_to(self.cells.column().saturating_sub(1)),
            // A byte of this range alone is invalid UTF-8, and terminals don't show the characters of this range.
            0x80..=0x9f => self.cells.print(char::REPLACEMENT_CHARACTER),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        if ignore || !intermediates.is_empty() {
            return;
        }
        let first = params.iter().next().and_then(|param| param.first()).map_or(0, |value| usize::from(*value));
        let steps = first.max(1);
        let column = self.cells.column();
        match (action, first) {
            ('m', _) => {
                ansi_style::apply_sgr(&mut self.style, params);
                self.cells.set_style(self.style);
            }
            ('G', _) => self.cells.go_to(steps - 1),
            ('C', _) => self.cells.go_to(column + steps),
            ('D', _) => self.cells.go_to(column.saturating_sub(steps)),
            ('K' | 'J', 0) => self.cells.erase_right(),
            ('K', 1) => self.cells.erase_left(),
            ('K', 2) => self.cells.erase(),
            _ => {}
        }
    }
}
