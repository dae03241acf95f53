//! The gutter beside the output: the time of each line, and a bar beside lines that contain standard error.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::draw_page::clear;
use super::line_index::{LineContent, LocatedLine};
use super::log_lines::LogLines;
use super::output_styles::OutputStyles;
use super::viewport::Page;
use crate::model::Stream;

/// The layout of the gutter. Without a gutter, the output has the whole width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TimeGutter {
    /// The format of a time and its width in cells. `None` if there is no room for times.
    time: Option<(&'static str, u16)>,
    width: u16,
}

/// What the gutter shows for a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LineOrigin {
    printed_at: Option<DateTime<Utc>>,
    /// Whether the line contains standard error.
    has_stderr: bool,
}

/// The most spans checked per line for standard error.
const MAX_SPANS_PER_LINE: usize = 64;

impl TimeGutter {
    /// The gutter for a pane of this width. Times include the date if the output spans several days.
    pub(super) fn new(pane_width: u16, spans_days: bool) -> Self {
        let time = match pane_width {
            40.. if spans_days => Some(("%m-%d %H:%M:%S%.3f", 18)),
            40.. => Some(("%H:%M:%S%.3f", 12)),
            24.. => Some(("%H:%M:%S", 8)),
            _ => None,
        };
        // The bar with a space on either side.
        let width = if pane_width < 8 { 0 } else { time.map_or(2, |(_, cells)| cells + 3) };
        Self { time, width }
    }

    /// The area left for the output.
    pub(super) fn output_area(self, area: Rect) -> Rect {
        let width = self.width.min(area.width);
        Rect { x: area.x + width, width: area.width - width, ..area }
    }

    /// Draws the gutter beside a page. `area` is the whole area of the pane.
    pub(super) fn draw(
        self,
        page: &Page,
        lines: &mut LogLines,
        styles: &OutputStyles,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        if self.width == 0 {
            return;
        }
        clear(styles, Rect { width: self.width.min(area.width), ..area }, buffer);
        let mut places = area.intersection(buffer.area).rows();
        for (index, wrapped) in page.lines.iter().enumerate() {
            let origin = LineOrigin::of(&wrapped.line, lines);
            let rows = wrapped.rows.len() - if index == 0 { page.skip.min(wrapped.rows.len()) } else { 0 };
            for row in 0..rows {
                let Some(place) = places.next() else { return };
                self.draw_row(origin, row == 0, styles, place, buffer);
            }
        }
    }

    fn draw_row(self, origin: LineOrigin, first: bool, styles: &OutputStyles, place: Rect, buffer: &mut Buffer) {
        if let (Some((format, cells)), Some(printed_at), true) = (self.time, origin.printed_at, first) {
            let time = (styles.to_local)(printed_at).format(format).to_string();
            buffer.set_stringn(place.x, place.y, time, usize::from(cells), styles.text.patch(styles.note));
        }
        if origin.has_stderr {
            let sign = if styles.ascii { "|" } else { "│" };
            buffer.set_stringn(place.x + self.width - 2, place.y, sign, 1, styles.text.patch(styles.stderr));
        }
    }
}

impl LineOrigin {
    fn of(line: &LocatedLine, lines: &mut LogLines) -> Self {
        if let LineContent::Discarded(_) = line.content {
            return Self { printed_at: None, has_stderr: false };
        }
        let first = lines.span_at(line.start);
        let (mut last, mut has_stderr) = (first, false);
        for _ in 0..MAX_SPANS_PER_LINE {
            has_stderr = last.origin.is_some_and(|origin| origin.stream == Stream::Err);
            if has_stderr || last.end >= line.end {
                break;
            }
            last = lines.span_at(last.end);
        }
        Self { printed_at: first.origin.map(|origin| origin.at), has_stderr }
    }
}
