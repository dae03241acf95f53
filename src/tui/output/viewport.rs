//! The visible rows of the output: the end of a growing log, or a fixed position.

use std::collections::VecDeque;
use std::iter;
use std::ops::Range;

use super::line_index::{LineContent, LocatedLine};
use super::line_wrapping::wrap_rows;
use super::log_lines::LogLines;
use crate::store::StoreError;

/// A scroll command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scroll {
    /// This many rows, up if negative.
    Rows(isize),
    /// This many half pages.
    HalfPages(isize),
    /// This many pages.
    Pages(isize),
    /// To the first line.
    Home,
    /// To the end, and follow it.
    End,
}

/// The position of a row: the offset of its line, and where the row starts in the line's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowPosition {
    pub line: u64,
    pub byte: usize,
}

/// The position of a paused viewport.
#[derive(Clone, Copy, Debug)]
struct PausedAt {
    top: RowPosition,
    /// The length of the log when it was paused.
    written: u64,
    /// The number of lines at that time, once it is known.
    lines: Option<u64>,
}

/// The visible part of a log.
#[derive(Debug)]
pub(super) struct Viewport {
    /// `None` while the end is followed.
    paused_at: Option<PausedAt>,
    pub wrap: bool,
    /// The first visible column when lines are cut.
    left: usize,
    pub width: usize,
    pub height: usize,
}

/// A line with its rows.
pub(super) struct WrappedLine {
    pub line: LocatedLine,
    pub rows: Vec<Range<usize>>,
}

/// The visible lines. Rows of the first line up to `skip` are above the page.
#[derive(Default)]
pub(super) struct Page {
    pub lines: VecDeque<WrappedLine>,
    /// The number of rows of the first line that are above the page.
    pub skip: usize,
}

impl Page {
    /// The position of the first row.
    fn top(&self) -> Option<RowPosition> {
        let first = self.lines.front()?;
        Some(RowPosition { line: first.line.start, byte: first.rows.get(self.skip)?.start })
    }

    fn rows(&self) -> usize {
        self.lines.iter().map(|wrapped| wrapped.rows.len()).sum::<usize>() - self.skip
    }
}

impl Viewport {
    pub(super) fn new() -> Self {
        Self { paused_at: None, wrap: true, left: 0, width: 80, height: 24 }
    }

    pub(super) fn is_following(&self) -> bool {
        self.paused_at.is_none()
    }

    pub(super) fn follow(&mut self) {
        self.paused_at = None;
    }

    /// Pauses at the current position.
    pub(super) fn pause(&mut self, lines: &mut LogLines) -> Result<(), StoreError> {
        if self.is_following()
            && let Some(top) = self.last_page(lines)?.top()
        {
            self.hold_at(top, lines);
        }
        Ok(())
    }

    /// The number of new lines since it was paused: `Some(0)` while it follows, `None` while they can't be counted.
    pub(super) fn new_lines(&mut self, lines: &mut LogLines) -> Result<Option<u64>, StoreError> {
        let Some(paused_at) = &mut self.paused_at else { return Ok(Some(0)) };
        if lines.written() <= paused_at.written {
            return Ok(Some(0));
        }
        let Some(count) = lines.line_count() else { return Ok(None) };
        let before = if let Some(before) = paused_at.lines {
            before
        } else {
            let last = paused_at.written.checked_sub(1).map(|offset| lines.line_at(offset)).transpose()?.flatten();
            last.and_then(|last| last.number).map_or(0, |number| number + 1)
        };
        paused_at.lines = Some(before);
        Ok(Some(count.saturating_sub(before)))
    }

    pub(super) fn scroll(&mut self, scroll: Scroll, lines: &mut LogLines) -> Result<(), StoreError> {
        let (half, page) = ((self.height / 2).max(1), self.height.saturating_sub(1).max(1));
        let rows = |count: isize, of: usize| count.saturating_mul(isize::try_from(of).unwrap_or(isize::MAX));
        match scroll {
            Scroll::Rows(count) => self.scroll_rows(count, lines),
            Scroll::HalfPages(count) => self.scroll_rows(rows(count, half), lines),
            Scroll::Pages(count) => self.scroll_rows(rows(count, page), lines),
            Scroll::End => {
                self.follow();
                Ok(())
            }
            Scroll::Home => {
                // A log that fits into the page can't be scrolled.
                let first = RowPosition::default();
                if self.last_page(lines)?.top().is_some_and(|top| top > first) {
                    self.hold_at(first, lines);
                }
                Ok(())
            }
        }
    }

    fn scroll_rows(&mut self, count: isize, lines: &mut LogLines) -> Result<(), StoreError> {
        let Some(last_top) = self.last_page(lines)?.top() else { return Ok(()) };
        let top = self.paused_at.map_or(last_top, |paused_at| paused_at.top);
        let moved = self.move_by_rows(top, count, lines)?;
        // The lines above may have been discarded since the last draw.
        if moved < last_top || (count < 0 && last_top.line > 0) {
            self.hold_at(moved, lines);
        } else if count > 0 {
            self.follow();
        }
        Ok(())
    }

    /// The position `count` rows away, or the furthest one.
    fn move_by_rows(&self, from: RowPosition, count: isize, lines: &mut LogLines) -> Result<RowPosition, StoreError> {
        let Some(line) = lines.line_at(from.line)? else { return Ok(from) };
        let mut wrapped = self.wrap_line(line);
        let mut row = row_at(&wrapped.rows, from.byte);
        let mut left = count.unsigned_abs();
        if count < 0 {
            while left > row {
                let Some(before) = lines.line_before(&wrapped.line)? else {
                    return Ok(RowPosition { line: wrapped.line.start, byte: 0 });
                };
                left -= row + 1;
                wrapped = self.wrap_line(before);
                row = wrapped.rows.len() - 1;
            }
            row -= left;
        } else {
            while left > wrapped.rows.len() - 1 - row {
                let Some(after) = lines.line_after(&wrapped.line)? else {
                    left = wrapped.rows.len() - 1 - row;
                    break;
                };
                left -= wrapped.rows.len() - row;
                wrapped = self.wrap_line(after);
                row = 0;
            }
            row += left;
        }
        Ok(RowPosition { line: wrapped.line.start, byte: wrapped.rows.get(row).map_or(0, |row| row.start) })
    }

    /// Scrolls so that a position is visible, a third from the top unless it is visible already.
    pub(super) fn reveal(&mut self, position: RowPosition, lines: &mut LogLines) -> Result<(), StoreError> {
        self.pause(lines)?;
        let Some(line) = lines.line_at(position.line)? else { return Ok(()) };
        let wrapped = self.wrap_line(line);
        let row =
            RowPosition { line: wrapped.line.start, byte: wrapped.rows[row_at(&wrapped.rows, position.byte)].start };
        let page = self.page(lines)?;
        let bottom =
            page.top().map(|top| self.move_by_rows(top, signed(self.height.saturating_sub(1)), lines)).transpose()?;
        let seen = page.top().is_some_and(|top| top <= row) && bottom.is_some_and(|bottom| row <= bottom);
        if !seen {
            let top = self.move_by_rows(row, -signed(self.height / 3), lines)?;
            self.hold_at(top, lines);
        }
        Ok(())
    }

    /// The first visible column.
    pub(super) fn left_column(&self) -> usize {
        if self.wrap { 0 } else { self.left }
    }

    /// Scrolls cut lines horizontally, at most to the end of the longest visible line. Returns whether the view moved.
    pub(super) fn scroll_horizontally(&mut self, cells: isize, lines: &mut LogLines) -> Result<bool, StoreError> {
        let page = self.page(lines)?;
        let cells_of = |wrapped: &WrappedLine| match &wrapped.line.content {
            LineContent::Text(line) => line.glyphs(0..line.text().len()).map(|glyph| glyph.width).sum(),
            LineContent::Discarded(_) => 0,
        };
        let widest: usize = page.lines.iter().map(cells_of).max().unwrap_or(0);
        let before = self.left;
        let most = if cells > 0 { widest.saturating_sub(self.width).max(before) } else { usize::MAX };
        self.left = before.saturating_add_signed(cells).min(most);
        Ok(self.left != before)
    }

    /// Scrolls horizontally if a hit in a cut line is not visible.
    pub(super) fn reveal_horizontally(
        &mut self,
        line_start: u64,
        hit: &Range<usize>,
        lines: &mut LogLines,
    ) -> Result<(), StoreError> {
        let Some(LocatedLine { content: LineContent::Text(line), .. }) = lines.line_at(line_start)? else {
            return Ok(());
        };
        let cells = |range: Range<usize>| line.glyphs(range).map(|glyph| glyph.width).sum::<usize>();
        let start = cells(0..hit.start);
        let end = start + cells(hit.clone());
        // The last cell may show that the line continues.
        if start < self.left + usize::from(self.left > 0) || end >= self.left + self.width {
            self.left = if end < self.width { 0 } else { start.saturating_sub(self.width / 3) };
        }
        Ok(())
    }

    /// The position of the first visible row.
    pub(super) fn top(&mut self, lines: &mut LogLines) -> Result<RowPosition, StoreError> {
        Ok(self.page(lines)?.top().unwrap_or_default())
    }

    /// The visible page.
    pub(super) fn page(&mut self, lines: &mut LogLines) -> Result<Page, StoreError> {
        let Some(paused_at) = self.paused_at else { return self.last_page(lines) };
        let page = self.page_from(paused_at.top, lines)?;
        if page.rows() >= self.height {
            return Ok(page);
        }
        // The pane has grown, or lines have been discarded.
        let page = self.last_page(lines)?;
        if let Some(top) = page.top() {
            self.hold_at(top, lines);
        }
        Ok(page)
    }

    fn hold_at(&mut self, top: RowPosition, lines: &LogLines) {
        match &mut self.paused_at {
            Some(paused_at) => paused_at.top = top,
            None => self.paused_at = Some(PausedAt { top, written: lines.written(), lines: lines.line_count() }),
        }
    }

    fn page_from(&self, top: RowPosition, lines: &mut LogLines) -> Result<Page, StoreError> {
        let mut page = Page::default();
        let Some(first) = lines.line_at(top.line)? else { return Ok(page) };
        let mut next = Some(first);
        while let Some(line) = next {
            let wrapped = self.wrap_line(line);
            if page.lines.is_empty() {
                page.skip = row_at(&wrapped.rows, top.byte);
            }
            page.lines.push_back(wrapped);
            if page.rows() >= self.height {
                break;
            }
            next = page.lines.back().map(|last| lines.line_after(&last.line)).transpose()?.flatten();
        }
        Ok(page)
    }

    fn last_page(&self, lines: &mut LogLines) -> Result<Page, StoreError> {
        let mut page = Page::default();
        let mut next = lines.last_line()?;
        while let Some(line) = next {
            page.lines.push_front(self.wrap_line(line));
            if page.rows() >= self.height {
                break;
            }
            next = page.lines.front().map(|first| lines.line_before(&first.line)).transpose()?.flatten();
        }
        page.skip = page.rows().saturating_sub(self.height);
        Ok(page)
    }

    fn wrap_line(&self, line: LocatedLine) -> WrappedLine {
        let rows = match &line.content {
            LineContent::Text(text) if self.wrap => wrap_rows(text, self.width),
            LineContent::Text(text) => iter::once(0..text.text().len()).collect(),
            LineContent::Discarded(_) => iter::once(0..0).collect(),
        };
        WrappedLine { line, rows }
    }
}

/// The index of the row that contains the byte position `byte`.
fn row_at(rows: &[Range<usize>], byte: usize) -> usize {
    rows.partition_point(|row| row.start <= byte).saturating_sub(1)
}

fn signed(count: usize) -> isize {
    isize::try_from(count).unwrap_or(isize::MAX)
}
