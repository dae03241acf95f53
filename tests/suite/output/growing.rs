//! A log in memory that grows and loses its middle while a pane reads it.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{TimeDelta, TimeZone, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use setlist::model::{Stream, WindowSize};
use setlist::store::StoreError;
use setlist::store::log::{Origin, Piece, Stretch};
use setlist::tui::output::{Look, Output, Source, Status};

/// A handle to the log; clones are the same log.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// Where each stretch that is known starts, and where it came from.
    marks: Vec<(u64, Option<Origin>)>,
    sizes: Vec<(u64, WindowSize)>,
    lost: Range<u64>,
    read: u64,
    lookups: usize,
    refuses: bool,
}

impl Log {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn of(bytes: impl AsRef<[u8]>) -> Self {
        let log = Self::default();
        log.append(bytes);
        log
    }

    pub(crate) fn append(&self, bytes: impl AsRef<[u8]>) {
        self.state().bytes.extend_from_slice(bytes.as_ref());
    }

    /// Appends what came from a stream, so many milliseconds after noon.
    pub(super) fn print(&self, stream: Stream, millis: i64, text: &str) {
        let at = Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap() + TimeDelta::milliseconds(millis);
        self.mark(Some(Origin { stream, at }));
        self.append(text);
    }

    /// What comes from now on came from there.
    pub(super) fn mark(&self, origin: Option<Origin>) {
        let mut state = self.state();
        let len = state.bytes.len() as u64;
        state.marks.push((len, origin));
    }

    /// What comes from now on is printed for a terminal of this size.
    pub(crate) fn resized(&self, columns: u16, rows: u16) {
        let mut state = self.state();
        let len = state.bytes.len() as u64;
        state.sizes.push((len, WindowSize { columns, rows }));
    }

    /// How often somebody asked where a byte came from, since this was asked last.
    pub(super) fn take_lookups(&self) -> usize {
        std::mem::take(&mut self.state().lookups)
    }

    /// Drops the bytes in this range.
    pub(super) fn lose(&self, lost: Range<u64>) {
        self.state().lost = lost;
    }

    /// Fails every read from now on, or no longer.
    pub(super) fn refuse(&self, refuses: bool) {
        self.state().refuses = refuses;
    }

    /// How many bytes were read since this was asked last.
    pub(super) fn take_read(&self) -> u64 {
        std::mem::take(&mut self.state().read)
    }
}

impl Source for Log {
    fn written(&mut self) -> Result<u64, StoreError> {
        Ok(self.state().bytes.len() as u64)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<Piece, StoreError> {
        let mut state = self.state();
        if state.refuses {
            return Err(StoreError::io("/logs/7", std::io::Error::from_raw_os_error(5)));
        }
        let offset = if state.lost.contains(&offset) { state.lost.end } else { offset };
        let mut end = state.bytes.len() as u64;
        if offset < state.lost.start && !state.lost.is_empty() {
            end = state.lost.start;
        }
        let rest = state.bytes.get(place(offset)..place(end)).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        state.read += len as u64;
        Ok(Piece { offset, len })
    }

    fn stretch_at(&mut self, offset: u64) -> Stretch {
        let mut state = self.state();
        state.lookups += 1;
        assert!(offset < state.bytes.len() as u64, "nothing has been read there");
        let behind = state.marks.partition_point(|mark| mark.0 <= offset);
        let Some((start, origin)) = behind.checked_sub(1).map(|at| state.marks[at]) else { return Stretch::UNKNOWN };
        Stretch { start, end: state.marks.get(behind).map_or(u64::MAX, |next| next.0), origin }
    }

    fn is_marked(&mut self) -> bool {
        !self.state().marks.is_empty()
    }

    fn sizes(&mut self) -> Vec<(u64, WindowSize)> {
        self.state().sizes.clone()
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// A look whose styles can be told apart in a buffer.
pub(crate) fn look() -> Look {
    Look {
        text: Style::new(),
        remark: Style::new().fg(Color::Indexed(200)),
        error: Style::new().fg(Color::Indexed(203)),
        found: Style::new().bg(Color::Indexed(201)),
        current: Style::new().bg(Color::Indexed(202)),
        colours: true,
        ascii: false,
        local: |at| at.naive_utc(),
    }
}

/// A pane on a screen of its own.
pub(super) struct Screen {
    pub(super) output: Output,
    pub(super) area: Rect,
    pub(super) look: Look,
    pub(super) buffer: Buffer,
}

impl Screen {
    /// With everything read.
    pub(super) fn new(log: &Log, width: u16, height: u16) -> Self {
        let mut screen = Self::unread(log, width, height);
        screen.refresh();
        screen
    }

    pub(super) fn unread(log: &Log, width: u16, height: u16) -> Self {
        let area = Rect::new(0, 0, width, height);
        Self { output: Output::new(log.clone()), area, look: look(), buffer: Buffer::empty(area) }
    }

    /// Until there is no more to do.
    pub(super) fn refresh(&mut self) {
        while self.output.refresh() {}
    }

    pub(super) fn draw(&mut self) -> Status {
        self.buffer = Buffer::empty(self.area);
        self.output.draw(self.area, &mut self.buffer, &self.look)
    }

    /// The rows as they are drawn, without the space behind them.
    pub(super) fn rows(&mut self) -> Vec<String> {
        self.draw();
        rows(&self.buffer)
    }
}

/// The rows of a buffer; the cell below the right half of a wide character is left out.
pub(super) fn rows(buffer: &Buffer) -> Vec<String> {
    let width = buffer.area.width as usize;
    let row = |cells: &[ratatui::buffer::Cell]| {
        let mut row = String::new();
        let mut hidden = 0;
        for cell in cells {
            if hidden == 0 {
                row.push_str(cell.symbol());
                hidden = setlist::tui::text::width(cell.symbol());
            }
            hidden = hidden.saturating_sub(1);
        }
        row.trim_end().to_owned()
    };
    buffer.content.chunks(width.max(1)).map(row).collect()
}
