//! A log in memory that grows and discards bytes while a view reads it.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{TimeDelta, TimeZone, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use setlist::model::{Stream, WindowSize};
use setlist::store::StoreError;
use setlist::store::log::{LogChunk, OutputOrigin, OutputSpan};
use setlist::tui::output::{LogView, OutputSource, OutputStyles, ViewStatus};

/// A handle to the log; clones share the log.
#[derive(Clone, Default)]
pub(crate) struct MemoryLog(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// The start and origin of each span.
    spans: Vec<(u64, Option<OutputOrigin>)>,
    sizes: Vec<(u64, WindowSize)>,
    discarded: Range<u64>,
    read: u64,
    lookups: usize,
    fails_reads: bool,
}

impl MemoryLog {
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

    /// Appends output of a stream, printed this many milliseconds after noon.
    pub(super) fn print(&self, stream: Stream, millis: i64, text: &str) {
        let at = Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap() + TimeDelta::milliseconds(millis);
        self.mark(Some(OutputOrigin { stream, at }));
        self.append(text);
    }

    /// Sets the origin of the output appended from now on.
    pub(super) fn mark(&self, origin: Option<OutputOrigin>) {
        let mut state = self.state();
        let len = state.bytes.len() as u64;
        state.spans.push((len, origin));
    }

    /// Sets the terminal size for the output appended from now on.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let mut state = self.state();
        let len = state.bytes.len() as u64;
        state.sizes.push((len, WindowSize { columns, rows }));
    }

    /// The number of span lookups since the last call.
    pub(super) fn take_lookups(&self) -> usize {
        std::mem::take(&mut self.state().lookups)
    }

    /// Discards the bytes in this range.
    pub(super) fn discard(&self, discarded: Range<u64>) {
        self.state().discarded = discarded;
    }

    /// Makes every read fail, or succeed again.
    pub(super) fn fail_reads(&self, fails_reads: bool) {
        self.state().fails_reads = fails_reads;
    }

    /// The number of bytes read since the last call.
    pub(super) fn take_read(&self) -> u64 {
        std::mem::take(&mut self.state().read)
    }
}

impl OutputSource for MemoryLog {
    fn written(&mut self) -> Result<u64, StoreError> {
        Ok(self.state().bytes.len() as u64)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<LogChunk, StoreError> {
        let mut state = self.state();
        if state.fails_reads {
            return Err(StoreError::io("/logs/7", std::io::Error::from_raw_os_error(5)));
        }
        let offset = if state.discarded.contains(&offset) { state.discarded.end } else { offset };
        let mut end = state.bytes.len() as u64;
        if offset < state.discarded.start && !state.discarded.is_empty() {
            end = state.discarded.start;
        }
        let rest = state.bytes.get(place(offset)..place(end)).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        state.read += len as u64;
        Ok(LogChunk { offset, len })
    }

    fn span_at(&mut self, offset: u64) -> OutputSpan {
        let mut state = self.state();
        state.lookups += 1;
        assert!(offset < state.bytes.len() as u64, "the offset has not been read");
        let after = state.spans.partition_point(|mark| mark.0 <= offset);
        let Some((start, origin)) = after.checked_sub(1).map(|at| state.spans[at]) else { return OutputSpan::UNKNOWN };
        OutputSpan { start, end: state.spans.get(after).map_or(u64::MAX, |next| next.0), origin }
    }

    fn has_origins(&mut self) -> bool {
        !self.state().spans.is_empty()
    }

    fn sizes(&mut self) -> Vec<(u64, WindowSize)> {
        self.state().sizes.clone()
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// Styles that can be told apart in a buffer.
pub(crate) fn styles() -> OutputStyles {
    OutputStyles {
        text: Style::new(),
        note: Style::new().fg(Color::Indexed(200)),
        stderr: Style::new().fg(Color::Indexed(203)),
        hit: Style::new().bg(Color::Indexed(201)),
        current_hit: Style::new().bg(Color::Indexed(202)),
        show_colours: true,
        ascii: false,
        to_local: |at| at.naive_utc(),
    }
}

/// A view with a buffer to draw into.
pub(super) struct ViewHarness {
    pub(super) output: LogView,
    pub(super) area: Rect,
    pub(super) styles: OutputStyles,
    pub(super) buffer: Buffer,
}

impl ViewHarness {
    /// A view that has read everything.
    pub(super) fn new(log: &MemoryLog, width: u16, height: u16) -> Self {
        let mut screen = Self::unread(log, width, height);
        screen.refresh();
        screen
    }

    pub(super) fn unread(log: &MemoryLog, width: u16, height: u16) -> Self {
        let area = Rect::new(0, 0, width, height);
        Self { output: LogView::new(log.clone()), area, styles: styles(), buffer: Buffer::empty(area) }
    }

    /// Refreshes until there is no more to read.
    pub(super) fn refresh(&mut self) {
        while self.output.refresh() {}
    }

    pub(super) fn draw(&mut self) -> ViewStatus {
        self.buffer = Buffer::empty(self.area);
        self.output.draw(self.area, &mut self.buffer, &self.styles)
    }

    /// The rows as drawn, without trailing spaces.
    pub(super) fn rows(&mut self) -> Vec<String> {
        self.draw();
        rows(&self.buffer)
    }
}

/// The rows of a buffer, without the cells hidden by wide characters.
pub(super) fn rows(buffer: &Buffer) -> Vec<String> {
    let width = buffer.area.width as usize;
    let row = |cells: &[ratatui::buffer::Cell]| {
        let mut row = String::new();
        let mut hidden = 0;
        for cell in cells {
            if hidden == 0 {
                row.push_str(cell.symbol());
                hidden = setlist::text::width(cell.symbol());
            }
            hidden = hidden.saturating_sub(1);
        }
        row.trim_end().to_owned()
    };
    buffer.content.chunks(width.max(1)).map(row).collect()
}
