//! The output of a run in a pseudo-terminal as that terminal shows it: the end of the log, fed to an emulator.
//!
//! Work is bounded, however long the log is and however fast it grows: what is too far behind is only scanned for what
//! changes the state of the terminal, and never fed.

mod draw;
mod emulator;
mod keyboard;
mod scan;

use std::time::{Duration, Instant};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::source::Source;
use super::status::{News, Status};
use super::view::Scroll;
use super::{Look, Progress};
use crate::model::WindowSize;
use crate::store::StoreError;
use crate::tui::text;
use emulator::Emulator;
pub use keyboard::Keyboard;
use scan::Scan;

/// What a terminal shows of a run, while it goes on and afterwards.
pub struct Terminal {
    source: Box<dyn Source>,
    size: WindowSize,
    /// None without any room.
    emulator: Option<Emulator>,
    /// Which sizes the job has printed for, and how many of them the emulator has had.
    sizes: Vec<(u64, WindowSize)>,
    sized: usize,
    /// The run goes on, and prints for the last of these sizes; else it is wrapped anew for ours.
    live: bool,
    /// It has been wrapped anew, so that what was printed for another size can't go on.
    rewrapped: bool,
    scan: Scan,
    /// How much of the log the emulator has been fed, or was spared.
    fed: u64,
    /// How far behind it may be before it skips.
    slack: u64,
    written: u64,
    /// How many rows it is scrolled back; none while the end is followed. Then nothing is fed.
    back: Option<usize>,
    failure: Option<String>,
}

/// The longest that one refresh feeds the emulator.
const TURN: Duration = Duration::from_millis(4);
/// How much is fed between two looks at the clock: the worst output takes a millisecond for that much.
const SLICE: usize = 256;
/// When it is so far behind, it skips.
const NEAR: u64 = 256 * 1024;
/// How much of the end is fed after that: more than a large screen and its scrollback.
const TAIL: u64 = 96 * 1024;
/// How far back a full-screen program may have painted its screen for all since then to be fed, when it is opened.
const FAR: u64 = 16 * 1024 * 1024;
/// How much one refresh scans at most.
const SCANNED: usize = 512 * 1024;
/// A log that is longer is scanned at its beginning, where programs set up their terminal, and at its end only.
const BEGINNING: u64 = 64 * 1024;
const END: u64 = 64 * 1024 * 1024;

impl Terminal {
    /// A terminal of this size. Nothing is read before the first [`refresh`](Self::refresh).
    pub fn new(source: impl Source + 'static, size: WindowSize) -> Self {
        Self {
            source: Box::new(source),
            size,
            emulator: Emulator::new(size),
            sizes: Vec::new(),
            sized: 0,
            live: false,
            rewrapped: false,
            scan: Scan::default(),
            fed: 0,
            slack: NEAR,
            written: 0,
            back: None,
            failure: None,
        }
    }

    /// Looks what is new, but for a bounded time. Returns whether there is more to do: draw, then call it again.
    pub fn refresh(&mut self) -> bool {
        let more = self.read();
        self.failure = more.as_ref().err().map(|error| format!("The output can't be read: {error}"));
        more.unwrap_or(false)
    }

    /// Has this size from now on. A run that is `live` has been told, and is shown as it prints.
    pub fn resize(&mut self, size: WindowSize, live: bool) {
        let appears = is_nothing(self.size) != is_nothing(size);
        self.size = size;
        self.live = live;
        if appears || (live && self.rewrapped) {
            self.start_at(0);
        }
        self.rest();
    }

    /// Whether there is no output, as far as is known.
    pub fn is_empty(&self) -> bool {
        self.written == 0
    }

    /// Whether a full-screen program has the screen; then there is nothing to scroll back to.
    pub fn is_full_screen(&self) -> bool {
        self.emulator.as_ref().is_some_and(Emulator::is_full_screen)
    }

    /// Whether it shows what is printed as it comes.
    pub fn is_following(&self) -> bool {
        self.back.is_none()
    }

    /// Follows what is printed.
    pub fn follow(&mut self) {
        self.back = None;
    }

    /// Follows what is printed, or holds the picture.
    pub fn toggle_follow(&mut self) {
        self.back = if self.back.is_some() { None } else { Some(0) };
    }

    /// Moves through what has left the screen at its top; down to the end follows again. Tells whether there was anything
    /// to move to: of a long log, only the last lines are.
    pub fn scroll(&mut self, scroll: Scroll) -> bool {
        let rows = isize::try_from(self.size.rows).unwrap_or(isize::MAX);
        let down = match scroll {
            Scroll::Rows(count) => count,
            Scroll::HalfPages(count) => count.saturating_mul((rows / 2).max(1)),
            Scroll::Pages(count) => count.saturating_mul((rows - 1).max(1)),
            Scroll::Home => isize::MIN,
            Scroll::End => isize::MAX,
        };
        let before = self.back();
        let after = before.saturating_add_signed(down.saturating_neg()).min(self.top());
        if after != before || down > 0 {
            self.back = (after > 0).then_some(after);
        }
        after != before || down > 0
    }

    /// How the job wants its keys.
    pub fn keyboard(&self) -> Keyboard {
        Keyboard {
            application_cursor: self.emulator.as_ref().is_some_and(Emulator::wants_application_cursor),
            bracketed_paste: self.scan.modes().paste,
        }
    }

    /// Draws it into `area`; returns what there is to tell about it, and where the job has its cursor, if that is in view.
    pub fn draw(&self, area: Rect, buffer: &mut Buffer, look: &Look) -> (Status, Option<(u16, u16)>) {
        if let Some(failure) = &self.failure {
            super::draw::message(failure, look, area, buffer);
            return (Status::default(), None);
        }
        let last = self.top();
        let top = last - self.back().min(last);
        if let Some(emulator) = &self.emulator {
            draw::screen(emulator.screen(), top, look, area, buffer);
        }
        let line = |row: usize| (row + usize::from(self.size.rows)) as u64;
        let behind = self.back.is_some() && self.written > self.fed;
        let status = Status {
            lines: Some((line(top), line(last))),
            following: self.is_following(),
            news: if behind { News::Some } else { News::None },
            progress: self.progress(),
            ..Status::default()
        };
        (status, self.cursor(area).filter(|_| self.is_following()))
    }

    /// The text that is in view, without the space below.
    pub fn in_view(&self) -> Vec<String> {
        let Some(emulator) = &self.emulator else { return Vec::new() };
        let last = self.top();
        let rows = emulator.screen().all_lines().skip(last - self.back().min(last)).take(self.size.rows.into());
        let (mut lines, mut goes_on): (Vec<String>, bool) = (Vec::new(), false);
        for row in rows {
            match lines.last_mut() {
                Some(line) if goes_on => line.push_str(&row.text()),
                _ => lines.push(row.text()),
            }
            goes_on = row.is_wrapped();
        }
        let lines = lines.iter().map(|line| text::plain_line(line).trim_end().to_owned());
        let mut lines: Vec<String> = lines.collect();
        while lines.pop_if(|line| line.is_empty()).is_some() {}
        lines
    }

    /// The last progress that the job reported.
    pub fn progress(&self) -> Progress {
        self.scan.progress()
    }

    fn cursor(&self, area: Rect) -> Option<(u16, u16)> {
        let (column, row) = self.emulator.as_ref()?.cursor()?;
        let row = (self.above() + row).checked_sub(self.top())?;
        let (column, row) = (u16::try_from(column).ok()?, u16::try_from(row).ok()?);
        // Behind the last column, it waits for one more character before it goes to the next row.
        let column = column.min(area.width.checked_sub(1)?);
        (row < area.height).then_some((area.x + column, area.y + row))
    }

    fn above(&self) -> usize {
        self.emulator.as_ref().map_or(0, Emulator::above)
    }

    /// The first row in view while the end is followed. Where the job prints for more rows than there are here, its
    /// cursor is in view.
    fn top(&self) -> usize {
        let Some(emulator) = &self.emulator else { return 0 };
        let hidden = emulator.cursor_row().saturating_sub(usize::from(self.size.rows).saturating_sub(1));
        emulator.above() + hidden
    }

    fn back(&self) -> usize {
        self.back.unwrap_or(0)
    }

    fn read(&mut self) -> Result<bool, StoreError> {
        let written = self.source.written()?;
        if written < self.written {
            // Not the same log any more.
            self.scan = Scan::default();
            self.start_at(0);
        }
        self.written = written;
        if self.back.is_some() || self.emulator.is_none() {
            return Ok(false);
        }
        let before = (self.scan.at(), self.fed, self.sized);
        self.sizes = self.source.sizes();
        if self.fed == 0 || (self.rewrapped && self.written > self.fed) {
            // Now its size may be known, or there is more of it.
            self.start_at(0);
        }
        self.scan_on()?;
        if self.written.saturating_sub(self.scan.at()) <= NEAR {
            if self.scan.at().saturating_sub(self.fed) > self.slack {
                self.skip()?;
            }
            self.feed()?;
            if self.fed >= self.scan.at() {
                self.slack = NEAR;
            }
        }
        self.rest();
        let done = self.fed >= self.scan.at() && self.scan.at() >= self.written;
        // What can't be read now, half a sequence say, isn't worth another look before there is more.
        Ok(!done && before != (self.scan.at(), self.fed, self.sized))
    }

    fn scan_on(&mut self) -> Result<(), StoreError> {
        if self.scan.at() >= BEGINNING && self.written.saturating_sub(self.scan.at()) > END {
            self.scan.jump(self.written - END);
        }
        let new = self.written.saturating_sub(self.scan.at());
        let mut bytes = vec![0; usize::try_from(new).map_or(SCANNED, |new| new.min(SCANNED))];
        let mut len = 0;
        while len < bytes.len() {
            let at = self.scan.at() + len as u64;
            let piece = self.source.read_at(at, &mut bytes[len..])?;
            if piece.offset > at {
                // What lies between has been dropped from the log.
                self.scan.take(&bytes[..len], true);
                self.scan.jump(piece.offset);
                return Ok(());
            }
            if piece.len == 0 {
                break;
            }
            len += piece.len;
        }
        self.scan.take(&bytes[..len], false);
        Ok(())
    }

    /// Goes on near the end.
    fn skip(&mut self) -> Result<(), StoreError> {
        let end = self.scan.at();
        let opening = self.fed == 0;
        let within = if opening && self.scan.modes().alternate { FAR } else { TAIL };
        let repaint = self.scan.repaint().filter(|(at, _)| end - at <= within);
        let (start, modes) = match repaint {
            Some(repaint) => repaint,
            None => (self.line_start(end - TAIL)?, self.scan.modes()),
        };
        self.start_at(start);
        self.slack = NEAR + end.saturating_sub(start);
        if let Some(emulator) = &mut self.emulator {
            emulator.write(modes.sequence().as_bytes());
        }
        Ok(())
    }

    /// The start of a line near `offset`; that itself where there is none.
    fn line_start(&mut self, offset: u64) -> Result<u64, StoreError> {
        let mut bytes = [0; 4096];
        let piece = self.source.read_at(offset, &mut bytes)?;
        let line = memchr::memchr(b'\n', &bytes[..piece.len]).map_or(0, |at| at + 1);
        Ok(piece.offset + line as u64)
    }

    fn start_at(&mut self, offset: u64) {
        self.sized = self.sizes.partition_point(|(at, _)| *at <= offset);
        let size = self.sized.checked_sub(1).and_then(|last| self.sizes.get(last)).map(|(_, size)| *size);
        // What can't be shown needn't be fed.
        self.emulator = Emulator::new(size.filter(|_| !is_nothing(self.size)).unwrap_or(self.size));
        self.back = None;
        self.rewrapped = false;
        self.fed = offset;
    }

    /// When all has been fed there is only our own size to consider, unless the run goes on and prints for another.
    fn rest(&mut self) {
        let done = self.fed >= self.scan.at() && self.scan.at() >= self.written;
        let ours = done && (!self.live || self.sizes.is_empty());
        if let Some(emulator) = self.emulator.as_mut().filter(|_| ours) {
            emulator.resize(self.size);
            self.rewrapped = !self.sizes.is_empty();
        }
    }

    fn feed(&mut self) -> Result<(), StoreError> {
        let Some(emulator) = &mut self.emulator else { return Ok(()) };
        let end = Instant::now() + TURN;
        let mut bytes = [0; 16 * 1024];
        loop {
            let mut stop = self.scan.at();
            match self.sizes.get(self.sized) {
                Some((at, size)) if *at <= self.fed => {
                    emulator.resize(*size);
                    self.sized += 1;
                    if Instant::now() >= end {
                        return Ok(());
                    }
                    continue;
                }
                Some((at, _)) => stop = stop.min(*at),
                None => {}
            }
            if self.fed >= stop {
                return Ok(());
            }
            let left = usize::try_from(stop - self.fed).unwrap_or(usize::MAX).min(bytes.len());
            let piece = self.source.read_at(self.fed, &mut bytes[..left])?;
            self.fed = piece.offset;
            if piece.len == 0 {
                return Ok(());
            }
            for slice in bytes[..piece.len].chunks(SLICE) {
                emulator.write(slice);
                self.fed += slice.len() as u64;
                if Instant::now() >= end {
                    return Ok(());
                }
            }
        }
    }
}

fn is_nothing(size: WindowSize) -> bool {
    size.columns == 0 || size.rows == 0
}
