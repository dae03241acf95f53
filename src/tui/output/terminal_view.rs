//! Shows the output of a run in a pseudo-terminal as that terminal shows it: the end of the log is fed to an emulator.
//!
//! Work is bounded for logs of any length and speed. If the view is too far behind, output is only scanned for changes
//! of terminal modes.

mod draw_screen;
mod emulator;
mod key_encoder;
mod mode_scanner;

use std::time::{Duration, Instant};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::job_progress::JobProgress;
use super::output_source::OutputSource;
use super::output_styles::OutputStyles;
use super::view_status::{NewOutput, ViewStatus};
use super::viewport::Scroll;
use crate::model::WindowSize;
use crate::store::StoreError;
use crate::text;
use emulator::Emulator;
pub use key_encoder::KeyEncoder;
use mode_scanner::ModeScanner;

/// A view of a run's terminal, during and after the run.
pub struct TerminalView {
    source: Box<dyn OutputSource>,
    size: WindowSize,
    /// `None` if the view has no cells.
    emulator: Option<Emulator>,
    /// The sizes for which the job printed, and how many of them have been applied to the emulator.
    sizes: Vec<(u64, WindowSize)>,
    sizes_applied: usize,
    /// Whether the run continues and prints for the last of these sizes. Otherwise the output is wrapped for our size.
    is_live: bool,
    /// Whether the output has been wrapped for our size, so that output for another size can't continue it.
    is_rewrapped: bool,
    scanner: ModeScanner,
    /// The offset up to which the log was fed to the emulator or skipped.
    fed_to: u64,
    /// How many bytes the view may be behind before it skips.
    max_lag: u64,
    written: u64,
    /// How many rows the view is scrolled back. `None` while it follows the end. Nothing is fed while it is scrolled
    /// back.
    scrolled_back: Option<usize>,
    failure: Option<String>,
}

/// The longest time that one refresh feeds the emulator.
const MAX_FEED_TIME: Duration = Duration::from_millis(4);
/// How many bytes are fed between two checks of the clock. The worst output takes a millisecond for that much.
const FEED_CHUNK_BYTES: usize = 256;
/// How many bytes the view may be behind before it skips.
const MAX_LAG_BYTES: u64 = 256 * 1024;
/// How many bytes of the end are fed after a skip: more than a large screen and its scrollback.
const TAIL_BYTES: u64 = 96 * 1024;
/// When a view is opened, everything since the last repaint of a full-screen program is fed if it is at most this many
/// bytes back.
const MAX_REPAINT_DISTANCE_BYTES: u64 = 16 * 1024 * 1024;
/// The most bytes scanned per refresh.
const MAX_SCAN_BYTES: usize = 512 * 1024;
/// A log longer than both together is scanned only at its start, where programs set up their terminal, and at its end.
const SCANNED_HEAD_BYTES: u64 = 64 * 1024;
const SCANNED_TAIL_BYTES: u64 = 64 * 1024 * 1024;

impl TerminalView {
    /// Creates a terminal of this size. Nothing is read before the first [`refresh`](Self::refresh).
    pub fn new(source: impl OutputSource + 'static, size: WindowSize) -> Self {
        Self {
            source: Box::new(source),
            size,
            emulator: Emulator::new(size),
            sizes: Vec::new(),
            sizes_applied: 0,
            is_live: false,
            is_rewrapped: false,
            scanner: ModeScanner::default(),
            fed_to: 0,
            max_lag: MAX_LAG_BYTES,
            written: 0,
            scrolled_back: None,
            failure: None,
        }
    }

    /// Reads new output for a bounded time. Returns whether there is more: draw, then call it again.
    pub fn refresh(&mut self) -> bool {
        let more = self.read_and_feed();
        self.failure = more.as_ref().err().map(|error| format!("The output can't be read: {error}"));
        more.unwrap_or(false)
    }

    /// Changes the size. A run that `is_live` has received the new size and prints for it.
    pub fn resize(&mut self, size: WindowSize, is_live: bool) {
        let appears = is_empty_size(self.size) != is_empty_size(size);
        self.size = size;
        self.is_live = is_live;
        if appears || (is_live && self.is_rewrapped) {
            self.restart_at(0);
        }
        self.fit_own_size();
    }

    /// Whether there is no output so far.
    pub fn is_empty(&self) -> bool {
        self.written == 0
    }

    /// Whether a full-screen program uses the alternate screen, which has no scrollback.
    pub fn is_full_screen(&self) -> bool {
        self.emulator.as_ref().is_some_and(Emulator::is_full_screen)
    }

    /// Whether the view follows the end.
    pub fn is_following(&self) -> bool {
        self.scrolled_back.is_none()
    }

    /// Follows the end.
    pub fn follow(&mut self) {
        self.scrolled_back = None;
    }

    /// Follows the end, or pauses.
    pub fn toggle_follow(&mut self) {
        self.scrolled_back = if self.scrolled_back.is_some() { None } else { Some(0) };
    }

    /// Scrolls through the scrollback; scrolling down to the end follows again. Returns whether there was anything to
    /// scroll to: the scrollback holds only the last lines of a long log.
    pub fn scroll(&mut self, scroll: Scroll) -> bool {
        let rows = isize::try_from(self.size.rows).unwrap_or(isize::MAX);
        let down = match scroll {
            Scroll::Rows(count) => count,
            Scroll::HalfPages(count) => count.saturating_mul((rows / 2).max(1)),
            Scroll::Pages(count) => count.saturating_mul((rows - 1).max(1)),
            Scroll::Home => isize::MIN,
            Scroll::End => isize::MAX,
        };
        let before = self.rows_scrolled_back();
        let after = before.saturating_add_signed(down.saturating_neg()).min(self.last_top_row());
        if after != before || down > 0 {
            self.scrolled_back = (after > 0).then_some(after);
        }
        after != before || down > 0
    }

    /// The encoding in which the job expects keys.
    pub fn key_encoder(&self) -> KeyEncoder {
        KeyEncoder {
            application_cursor: self.emulator.as_ref().is_some_and(Emulator::wants_application_cursor),
            bracketed_paste: self.scanner.modes().bracketed_paste,
        }
    }

    /// Draws the terminal into `area`. Returns the status to show beside it, and the job's cursor if it is visible.
    pub fn draw(&self, area: Rect, buffer: &mut Buffer, styles: &OutputStyles) -> (ViewStatus, Option<(u16, u16)>) {
        if let Some(failure) = &self.failure {
            super::draw_page::draw_message(failure, styles, area, buffer);
            return (ViewStatus::default(), None);
        }
        let last = self.last_top_row();
        let top = last - self.rows_scrolled_back().min(last);
        if let Some(emulator) = &self.emulator {
            draw_screen::draw_screen(emulator.screen(), top, styles, area, buffer);
        }
        let line = |row: usize| (row + usize::from(self.size.rows)) as u64;
        let has_unfed = self.scrolled_back.is_some() && self.written > self.fed_to;
        let status = ViewStatus {
            lines: Some((line(top), line(last))),
            is_following: self.is_following(),
            new_output: if has_unfed { NewOutput::Uncounted } else { NewOutput::None },
            progress: self.progress(),
            ..ViewStatus::default()
        };
        (status, self.cursor(area).filter(|_| self.is_following()))
    }

    /// The visible text, without empty rows at the end.
    pub fn visible_text(&self) -> Vec<String> {
        let Some(emulator) = &self.emulator else { return Vec::new() };
        let last = self.last_top_row();
        let rows =
            emulator.screen().all_lines().skip(last - self.rows_scrolled_back().min(last)).take(self.size.rows.into());
        let (mut lines, mut is_continued): (Vec<String>, bool) = (Vec::new(), false);
        for row in rows {
            match lines.last_mut() {
                Some(line) if is_continued => line.push_str(&row.text()),
                _ => lines.push(row.text()),
            }
            is_continued = row.is_wrapped();
        }
        let lines = lines.iter().map(|line| text::sanitize_line(line).trim_end().to_owned());
        let mut lines: Vec<String> = lines.collect();
        while lines.pop_if(|line| line.is_empty()).is_some() {}
        lines
    }

    /// The last progress that the job reported.
    pub fn progress(&self) -> JobProgress {
        self.scanner.progress()
    }

    fn cursor(&self, area: Rect) -> Option<(u16, u16)> {
        let (column, row) = self.emulator.as_ref()?.cursor()?;
        let row = (self.scrollback_rows() + row).checked_sub(self.last_top_row())?;
        let (column, row) = (u16::try_from(column).ok()?, u16::try_from(row).ok()?);
        // After printing in the last column, the cursor waits for the next character before it wraps.
        let column = column.min(area.width.checked_sub(1)?);
        (row < area.height).then_some((area.x + column, area.y + row))
    }

    fn scrollback_rows(&self) -> usize {
        self.emulator.as_ref().map_or(0, Emulator::scrollback_rows)
    }

    /// The first visible row while the end is followed. If the job prints for more rows than are visible, the row of
    /// its cursor stays visible.
    fn last_top_row(&self) -> usize {
        let Some(emulator) = &self.emulator else { return 0 };
        let hidden = emulator.cursor_row().saturating_sub(usize::from(self.size.rows).saturating_sub(1));
        emulator.scrollback_rows() + hidden
    }

    fn rows_scrolled_back(&self) -> usize {
        self.scrolled_back.unwrap_or(0)
    }

    fn read_and_feed(&mut self) -> Result<bool, StoreError> {
        let written = self.source.written()?;
        if written < self.written {
            // The log was replaced.
            self.scanner = ModeScanner::default();
            self.restart_at(0);
        }
        self.written = written;
        if self.scrolled_back.is_some() || self.emulator.is_none() {
            return Ok(false);
        }
        let before = (self.scanner.scanned_to(), self.fed_to, self.sizes_applied);
        self.sizes = self.source.sizes();
        if self.fed_to == 0 || (self.is_rewrapped && self.written > self.fed_to) {
            // The size may be known by now, or there is more output for it.
            self.restart_at(0);
        }
        self.scan_more()?;
        if self.written.saturating_sub(self.scanner.scanned_to()) <= MAX_LAG_BYTES {
            if self.scanner.scanned_to().saturating_sub(self.fed_to) > self.max_lag {
                self.skip_to_tail()?;
            }
            self.feed()?;
            if self.fed_to >= self.scanner.scanned_to() {
                self.max_lag = MAX_LAG_BYTES;
            }
        }
        self.fit_own_size();
        let done = self.fed_to >= self.scanner.scanned_to() && self.scanner.scanned_to() >= self.written;
        // Bytes that can't be processed now, such as half a sequence, need no further call until there is more output.
        Ok(!done && before != (self.scanner.scanned_to(), self.fed_to, self.sizes_applied))
    }

    fn scan_more(&mut self) -> Result<(), StoreError> {
        if self.scanner.scanned_to() >= SCANNED_HEAD_BYTES
            && self.written.saturating_sub(self.scanner.scanned_to()) > SCANNED_TAIL_BYTES
        {
            self.scanner.skip_to(self.written - SCANNED_TAIL_BYTES);
        }
        let new = self.written.saturating_sub(self.scanner.scanned_to());
        let mut bytes = vec![0; usize::try_from(new).map_or(MAX_SCAN_BYTES, |new| new.min(MAX_SCAN_BYTES))];
        let mut len = 0;
        while len < bytes.len() {
            let at = self.scanner.scanned_to() + len as u64;
            let piece = self.source.read_at(at, &mut bytes[len..])?;
            if piece.offset > at {
                // The bytes in between have been discarded.
                self.scanner.scan(&bytes[..len], true);
                self.scanner.skip_to(piece.offset);
                return Ok(());
            }
            if piece.len == 0 {
                break;
            }
            len += piece.len;
        }
        self.scanner.scan(&bytes[..len], false);
        Ok(())
    }

    /// Skips to the tail of the log.
    fn skip_to_tail(&mut self) -> Result<(), StoreError> {
        let end = self.scanner.scanned_to();
        let opening = self.fed_to == 0;
        let within = if opening && self.scanner.modes().alternate { MAX_REPAINT_DISTANCE_BYTES } else { TAIL_BYTES };
        let repaint = self.scanner.last_repaint().filter(|(at, _)| end - at <= within);
        let (start, modes) = match repaint {
            Some(repaint) => repaint,
            None => (self.line_start(end - TAIL_BYTES)?, self.scanner.modes()),
        };
        self.restart_at(start);
        self.max_lag = MAX_LAG_BYTES + end.saturating_sub(start);
        if let Some(emulator) = &mut self.emulator {
            emulator.write(modes.sequence().as_bytes());
        }
        Ok(())
    }

    /// The start of a line near `offset`, or `offset` itself if there is none.
    fn line_start(&mut self, offset: u64) -> Result<u64, StoreError> {
        let mut bytes = [0; 4096];
        let piece = self.source.read_at(offset, &mut bytes)?;
        let line = memchr::memchr(b'\n', &bytes[..piece.len]).map_or(0, |at| at + 1);
        Ok(piece.offset + line as u64)
    }

    fn restart_at(&mut self, offset: u64) {
        self.sizes_applied = self.sizes.partition_point(|(at, _)| *at <= offset);
        let size = self.sizes_applied.checked_sub(1).and_then(|last| self.sizes.get(last)).map(|(_, size)| *size);
        // A view without cells feeds nothing.
        self.emulator = Emulator::new(size.filter(|_| !is_empty_size(self.size)).unwrap_or(self.size));
        self.scrolled_back = None;
        self.is_rewrapped = false;
        self.fed_to = offset;
    }

    /// Resizes the emulator to our size when everything has been fed, unless the run continues and prints for another
    /// size.
    fn fit_own_size(&mut self) {
        let done = self.fed_to >= self.scanner.scanned_to() && self.scanner.scanned_to() >= self.written;
        let ours = done && (!self.is_live || self.sizes.is_empty());
        if let Some(emulator) = self.emulator.as_mut().filter(|_| ours) {
            emulator.resize(self.size);
            self.is_rewrapped = !self.sizes.is_empty();
        }
    }

    fn feed(&mut self) -> Result<(), StoreError> {
        let Some(emulator) = &mut self.emulator else { return Ok(()) };
        let end = Instant::now() + MAX_FEED_TIME;
        let mut bytes = [0; 16 * 1024];
        loop {
            let mut stop = self.scanner.scanned_to();
            match self.sizes.get(self.sizes_applied) {
                Some((at, size)) if *at <= self.fed_to => {
                    emulator.resize(*size);
                    self.sizes_applied += 1;
                    if Instant::now() >= end {
                        return Ok(());
                    }
                    continue;
                }
                Some((at, _)) => stop = stop.min(*at),
                None => {}
            }
            if self.fed_to >= stop {
                return Ok(());
            }
            let left = usize::try_from(stop - self.fed_to).unwrap_or(usize::MAX).min(bytes.len());
            let piece = self.source.read_at(self.fed_to, &mut bytes[..left])?;
            self.fed_to = piece.offset;
            if piece.len == 0 {
                return Ok(());
            }
            for slice in bytes[..piece.len].chunks(FEED_CHUNK_BYTES) {
                emulator.write(slice);
                self.fed_to += slice.len() as u64;
                if Instant::now() >= end {
                    return Ok(());
                }
            }
        }
    }
}

fn is_empty_size(size: WindowSize) -> bool {
    size.columns == 0 || size.rows == 0
}
