//! A terminal in memory: bytes in, cells out.

use std::mem;
use std::str;

use avt::parser::Function;
use avt::{Cell, Line, Screen, ScreenKind};

use crate::model::WindowSize;

/// An emulated terminal.
pub(super) struct Emulator {
    parser: avt::Parser,
    terminal: avt::Terminal,
    /// A character that has only begun.
    partial: Vec<u8>,
}

/// How many rows that have left the screen at its top can be scrolled to.
const SCROLLBACK: usize = 1_000;
/// More than a line of any screen: a few bytes must not fill many.
const LONGEST_REPETITION: u16 = 512;

impl Emulator {
    /// An empty terminal of this size; none without any room.
    pub(super) fn new(size: WindowSize) -> Option<Self> {
        let terminal = avt::Terminal::with_scrollback(size.columns.into(), size.rows.into(), Some(SCROLLBACK)).ok()?;
        Some(Self { parser: avt::Parser::new(), terminal, partial: Vec::new() })
    }

    /// Takes more output. A character may come in pieces.
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
                Function::Rep(times) => Function::Rep(times.min(LONGEST_REPETITION)),
                other => other,
            });
        }
    }

    /// Has another size from now on; lines that were wrapped are wrapped anew.
    pub(super) fn resize(&mut self, size: WindowSize) {
        let columns = usize::from(size.columns);
        let ((_, rows), above) = (self.terminal.size(), self.above());
        self.terminal.resize(columns, rows);
        // What takes more lines now has pushed the first ones out of sight, though there may be room below.
        let pushed = self.above().saturating_sub(above).min(self.free_rows());
        if pushed > 0 {
            self.terminal.resize(columns, rows - pushed);
            self.terminal.resize(columns, rows);
        }
        self.terminal.resize(columns, size.rows.into());
    }

    /// How many rows at the bottom have nothing on them, the cursor neither.
    fn free_rows(&self) -> usize {
        let blank = |line: &Line| line.cells().iter().all(|cell| *cell == Cell::default());
        let used = self.screen().visible_lines().enumerate().filter(|(_, line)| !blank(line)).last();
        let used = used.map_or(0, |(row, _)| row).max(self.cursor_row());
        self.terminal.size().1 - 1 - used
    }

    /// What is on the screen, under what has left it at its top.
    pub(super) fn screen(&self) -> Screen<'_> {
        self.terminal.screen()
    }

    /// How many rows have left the screen at its top and are still there.
    pub(super) fn above(&self) -> usize {
        self.screen().all_lines().count() - self.screen().visible_lines().len()
    }

    /// The column and the row of the cursor, if it is shown.
    pub(super) fn cursor(&self) -> Option<(usize, usize)> {
        self.terminal.cursor().position()
    }

    /// The row of the cursor, shown or not.
    pub(super) fn cursor_row(&self) -> usize {
        self.terminal.cursor().row
    }

    /// Whether a full-screen program has the screen; then there is nothing above it.
    pub(super) fn is_full_screen(&self) -> bool {
        self.terminal.active_screen_kind() == ScreenKind::Alternate
    }

    /// Whether the cursor keys are to send what applications want in place of what the shell wants.
    pub(super) fn wants_application_cursor(&self) -> bool {
        self.terminal.cursor_key_app_mode()
    }
}
