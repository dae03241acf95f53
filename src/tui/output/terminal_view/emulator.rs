//! A terminal emulator: it takes bytes and holds cells.

use std::mem;
use std::str;

use avt::parser::Function;
use avt::{Cell, Line, Screen, ScreenKind};

use crate::model::WindowSize;

/// A terminal emulator.
pub(super) struct Emulator {
    parser: avt::Parser,
    terminal: avt::Terminal,
    /// An incomplete UTF-8 character.
    partial: Vec<u8>,
}

/// The most rows kept in the scrollback.
const MAX_SCROLLBACK_ROWS: usize = 1_000;
/// The most repetitions of one character by a `REP` sequence. It exceeds any screen width and bounds the work of a few
/// bytes.
const MAX_REPETITIONS: u16 = 512;

impl Emulator {
    /// Creates an empty terminal; `None` if the size has no cells.
    pub(super) fn new(size: WindowSize) -> Option<Self> {
        let terminal =
            avt::Terminal::with_scrollback(size.columns.into(), size.rows.into(), Some(MAX_SCROLLBACK_ROWS)).ok()?;
        Some(Self { parser: avt::Parser::new(), terminal, partial: Vec::new() })
    }

    /// Takes more output. A character may be split between calls.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        let mut held = mem::take(&mut self.partial);
        held.extend_from_slice(bytes);
        let mut chunks = held.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            chunk.valid().chars().for_each(|character| self.feed(character));
            let invalid = chunk.invalid();
            let begun = str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if begun && chunks.peek().is_none() {
                self.partial = invalid.to_vec();
            } else if !invalid.is_empty() {
                self.feed(char::REPLACEMENT_CHARACTER);
            }
        }
    }

    fn feed(&mut self, character: char) {
        if let Some(function) = self.parser.feed(character) {
            self.terminal.execute(match function {
                Function::Rep(times) => Function::Rep(times.min(MAX_REPETITIONS)),
                other => other,
            });
        }
    }

    /// Changes the size and rewraps wrapped lines.
    pub(super) fn resize(&mut self, size: WindowSize) {
        let columns = usize::from(size.columns);
        let ((_, rows), rows_before) = (self.terminal.size(), self.scrollback_rows());
        self.terminal.resize(columns, rows);
        // Rewrapping to more rows pushed the first ones into the scrollback although there is room below.
        let pushed = self.scrollback_rows().saturating_sub(rows_before).min(self.free_rows());
        if pushed > 0 {
            self.terminal.resize(columns, rows - pushed);
            self.terminal.resize(columns, rows);
        }
        self.terminal.resize(columns, size.rows.into());
    }

    /// The number of empty rows at the bottom, not counting the row of the cursor.
    fn free_rows(&self) -> usize {
        let blank = |line: &Line| line.cells().iter().all(|cell| *cell == Cell::default());
        let used = self.screen().visible_lines().enumerate().filter(|(_, line)| !blank(line)).last();
        let used = used.map_or(0, |(row, _)| row).max(self.cursor_row());
        self.terminal.size().1 - 1 - used
    }

    /// The screen with its scrollback.
    pub(super) fn screen(&self) -> Screen<'_> {
        self.terminal.screen()
    }

    /// The number of rows in the scrollback.
    pub(super) fn scrollback_rows(&self) -> usize {
        self.screen().all_lines().count() - self.screen().visible_lines().len()
    }

    /// The column and row of the cursor, if it is visible.
    pub(super) fn cursor(&self) -> Option<(usize, usize)> {
        self.terminal.cursor().position()
    }

    /// The row of the cursor, even if it is hidden.
    pub(super) fn cursor_row(&self) -> usize {
        self.terminal.cursor().row
    }

    /// Whether the alternate screen is used, which has no scrollback.
    pub(super) fn is_full_screen(&self) -> bool {
        self.terminal.active_screen_kind() == ScreenKind::Alternate
    }

    /// Whether cursor keys send the sequences of application mode.
    pub(super) fn wants_application_cursor(&self) -> bool {
        self.terminal.cursor_key_app_mode()
    }
}
