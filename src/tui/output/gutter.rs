//! The gutter beside the output: when each line began, and an upright beside what holds standard error.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::draw::{Look, clear};
use super::index::{Content, Found};
use super::lines::Lines;
use super::view::Page;
use crate::model::Stream;

/// How the gutter of a pane looks; without it all the room is the output's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Gutter {
    /// How a time is written, and in how many cells; none where there is no room for times.
    time: Option<(&'static str, u16)>,
    width: u16,
}

/// What the gutter says of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    began: Option<DateTime<Utc>>,
    /// Whether some of it is standard error.
    error: bool,
}

/// A line of many pieces from both streams has had its mark by then.
const MOST_STRETCHES: usize = 64;

impl Gutter {
    /// A gutter in a pane so many cells wide. Times need a date when the output goes on for `days`.
    pub(super) fn new(room: u16, days: bool) -> Self {
        let time = match room {
            40.. if days => Some(("%m-%d %H:%M:%S%.3f", 18)),
            40.. => Some(("%H:%M:%S%.3f", 12)),
            24.. => Some(("%H:%M:%S", 8)),
            _ => None,
        };
        // The mark, with a space on either side.
        let width = if room < 8 { 0 } else { time.map_or(2, |(_, cells)| cells + 3) };
        Self { time, width }
    }

    /// What it leaves for the output.
    pub(super) fn beside(self, area: Rect) -> Rect {
        let width = self.width.min(area.width);
        Rect { x: area.x + width, width: area.width - width, ..area }
    }

    /// Draws it beside a page, into the whole area of the pane.
    pub(super) fn draw(self, page: &Page, lines: &mut Lines, look: &Look, area: Rect, buffer: &mut Buffer) {
        if self.width == 0 {
            return;
        }
        clear(look, Rect { width: self.width.min(area.width), ..area }, buffer);
        let mut places = area.intersection(buffer.area).rows();
        for (index, laid) in page.lines.iter().enumerate() {
            let note = Note::of(&laid.line, lines);
            let rows = laid.rows.len() - if index == 0 { page.skip.min(laid.rows.len()) } else { 0 };
            for row in 0..rows {
                let Some(place) = places.next() else { return };
                self.draw_row(note, row == 0, look, place, buffer);
            }
        }
    }

    fn draw_row(self, note: Note, first: bool, look: &Look, place: Rect, buffer: &mut Buffer) {
        if let (Some((format, cells)), Some(began), true) = (self.time, note.began, first) {
            let time = (look.local)(began).format(format).to_string();
            buffer.set_stringn(place.x, place.y, time, usize::from(cells), look.text.patch(look.remark));
        }
        if note.error {
            let sign = if look.ascii { "|" } else { "│" };
            buffer.set_stringn(place.x + self.width - 2, place.y, sign, 1, look.text.patch(look.error));
        }
    }
}

impl Note {
    fn of(line: &Found, lines: &mut Lines) -> Self {
        if let Content::Lost(_) = line.content {
            return Self { began: None, error: false };
        }
        let first = lines.stretch_at(line.start);
        let (mut last, mut error) = (first, false);
        for _ in 0..MOST_STRETCHES {
            error = last.origin.is_some_and(|origin| origin.stream == Stream::Err);
            if error || last.end >= line.end {
                break;
            }
            last = lines.stretch_at(last.end);
        }
        Self { began: first.origin.map(|origin| origin.at), error }
    }
}
