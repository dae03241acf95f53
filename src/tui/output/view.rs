//! Which rows of the output are seen: the end, while it grows, or a place that stays put.

use std::collections::VecDeque;
use std::iter;
use std::ops::Range;

use super::index::{Content, Found};
use super::lines::Lines;
use super::search::Hit;
use super::wrap;
use crate::store::StoreError;

/// A way to move through the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scroll {
    /// So many rows, up when negative.
    Rows(isize),
    /// So many half pages.
    HalfPages(isize),
    /// So many pages.
    Pages(isize),
    /// To the first line.
    Home,
    /// To the end, and follow it.
    End,
}

/// The place of a row: its line, and where in the line's text it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub line: u64,
    pub at: usize,
}

/// Where a view stays put.
#[derive(Clone, Copy, Debug)]
struct Hold {
    top: Place,
    /// How long the log was when it was no longer followed.
    written: u64,
    /// How many lines it had then, once that is known.
    lines: Option<u64>,
}

/// What is seen of a log.
#[derive(Debug)]
pub(super) struct View {
    /// None: the end is followed.
    hold: Option<Hold>,
    pub wrap: bool,
    /// How many cells of cut lines are left of the view.
    left: usize,
    pub width: usize,
    pub height: usize,
}

/// A line with its rows.
pub(super) struct Laid {
    pub line: Found,
    pub rows: Vec<Range<usize>>,
}

/// What is on the screen: lines, of which the rows from `skip` on are shown.
#[derive(Default)]
pub(super) struct Page {
    pub lines: VecDeque<Laid>,
    /// Rows of the first line that are above the page.
    pub skip: usize,
}

impl Page {
    /// Its first row.
    fn top(&self) -> Option<Place> {
        let first = self.lines.front()?;
        Some(Place { line: first.line.start, at: first.rows.get(self.skip)?.start })
    }

    fn rows(&self) -> usize {
        self.lines.iter().map(|laid| laid.rows.len()).sum::<usize>() - self.skip
    }
}

impl View {
    pub(super) fn new() -> Self {
        Self { hold: None, wrap: true, left: 0, width: 80, height: 24 }
    }

    pub(super) fn follows(&self) -> bool {
        self.hold.is_none()
    }

    pub(super) fn follow(&mut self) {
        self.hold = None;
    }

    /// Stays where it is.
    pub(super) fn pause(&mut self, lines: &mut Lines) -> Result<(), StoreError> {
        if self.follows()
            && let Some(top) = self.last_page(lines)?.top()
        {
            self.hold_at(top, lines);
        }
        Ok(())
    }

    /// How many lines are new since it was paused; `Some(0)` while it follows, none while they can't be counted.
    pub(super) fn new_lines(&mut self, lines: &mut Lines) -> Result<Option<u64>, StoreError> {
        let Some(hold) = &mut self.hold else { return Ok(Some(0)) };
        if lines.written() <= hold.written {
            return Ok(Some(0));
        }
        let Some(count) = lines.count() else { return Ok(None) };
        let before = if let Some(before) = hold.lines {
            before
        } else {
            let last = hold.written.checked_sub(1).map(|offset| lines.at(offset)).transpose()?.flatten();
            last.and_then(|last| last.number).map_or(0, |number| number + 1)
        };
        hold.lines = Some(before);
        Ok(Some(count.saturating_sub(before)))
    }

    pub(super) fn scroll(&mut self, scroll: Scroll, lines: &mut Lines) -> Result<(), StoreError> {
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
                // A log that fits has nothing to scroll.
                let first = Place::default();
                if self.last_page(lines)?.top().is_some_and(|top| top > first) {
                    self.hold_at(first, lines);
                }
                Ok(())
            }
        }
    }

    fn scroll_rows(&mut self, count: isize, lines: &mut Lines) -> Result<(), StoreError> {
        let Some(last_top) = self.last_page(lines)?.top() else { return Ok(()) };
        let top = self.hold.map_or(last_top, |hold| hold.top);
        let moved = self.walk(top, count, lines)?;
        // What is above may have been dropped since it was last drawn.
        if moved < last_top || (count < 0 && last_top.line > 0) {
            self.hold_at(moved, lines);
        } else if count > 0 {
            self.follow();
        }
        Ok(())
    }

    /// The place so many rows on, or as far as there are rows.
    fn walk(&self, from: Place, count: isize, lines: &mut Lines) -> Result<Place, StoreError> {
        let Some(line) = lines.at(from.line)? else { return Ok(from) };
        let mut laid = self.lay(line);
        let mut row = row_at(&laid.rows, from.at);
        let mut left = count.unsigned_abs();
        if count < 0 {
            while left > row {
                let Some(before) = lines.before(&laid.line)? else { return Ok(Place { line: laid.line.start, at: 0 }) };
                left -= row + 1;
                laid = self.lay(before);
                row = laid.rows.len() - 1;
            }
            row -= left;
        } else {
            while left > laid.rows.len() - 1 - row {
                let Some(after) = lines.after(&laid.line)? else {
                    left = laid.rows.len() - 1 - row;
                    break;
                };
                left -= laid.rows.len() - row;
                laid = self.lay(after);
                row = 0;
            }
            row += left;
        }
        Ok(Place { line: laid.line.start, at: laid.rows.get(row).map_or(0, |row| row.start) })
    }

    /// Brings a place into view, if it isn't there, a third from the top.
    pub(super) fn reveal(&mut self, place: Place, lines: &mut Lines) -> Result<(), StoreError> {
        self.pause(lines)?;
        let Some(line) = lines.at(place.line)? else { return Ok(()) };
        let laid = self.lay(line);
        let row = Place { line: laid.line.start, at: laid.rows[row_at(&laid.rows, place.at)].start };
        let page = self.page(lines)?;
        let bottom = page.top().map(|top| self.walk(top, signed(self.height.saturating_sub(1)), lines)).transpose()?;
        let seen = page.top().is_some_and(|top| top <= row) && bottom.is_some_and(|bottom| row <= bottom);
        if !seen {
            let top = self.walk(row, -signed(self.height / 3), lines)?;
            self.hold_at(top, lines);
        }
        Ok(())
    }

    /// How many cells of each row are left of the view.
    pub(super) fn left(&self) -> usize {
        if self.wrap { 0 } else { self.left }
    }

    /// Moves the view over cut lines; not beyond what is in view. Tells whether it has moved.
    pub(super) fn scroll_sideways(&mut self, cells: isize, lines: &mut Lines) -> Result<bool, StoreError> {
        let page = self.page(lines)?;
        let cells_of = |laid: &Laid| match &laid.line.content {
            Content::Line(line) => line.glyphs(0..line.text().len()).map(|glyph| glyph.width).sum(),
            Content::Lost(_) => 0,
        };
        let widest: usize = page.lines.iter().map(cells_of).max().unwrap_or(0);
        let before = self.left;
        let most = if cells > 0 { widest.saturating_sub(self.width).max(before) } else { usize::MAX };
        self.left = before.saturating_add_signed(cells).min(most);
        Ok(self.left != before)
    }

    /// Moves the view over a cut line, if a hit in it can't be seen otherwise.
    pub(super) fn reveal_sideways(&mut self, hit: &Hit, lines: &mut Lines) -> Result<(), StoreError> {
        let Some(Found { content: Content::Line(line), .. }) = lines.at(hit.line)? else { return Ok(()) };
        let cells = |range: Range<usize>| line.glyphs(range).map(|glyph| glyph.width).sum::<usize>();
        let start = cells(0..hit.range.start);
        let end = start + cells(hit.range.clone());
        // The last cell may say that there is more.
        if start < self.left + usize::from(self.left > 0) || end >= self.left + self.width {
            self.left = if end < self.width { 0 } else { start.saturating_sub(self.width / 3) };
        }
        Ok(())
    }

    /// Where the view starts.
    pub(super) fn top(&mut self, lines: &mut Lines) -> Result<Place, StoreError> {
        Ok(self.page(lines)?.top().unwrap_or_default())
    }

    /// What is to be drawn.
    pub(super) fn page(&mut self, lines: &mut Lines) -> Result<Page, StoreError> {
        let Some(hold) = self.hold else { return self.last_page(lines) };
        let page = self.page_from(hold.top, lines)?;
        if page.rows() >= self.height {
            return Ok(page);
        }
        // The pane has become larger, or the lines fewer.
        let page = self.last_page(lines)?;
        if let Some(top) = page.top() {
            self.hold_at(top, lines);
        }
        Ok(page)
    }

    fn hold_at(&mut self, top: Place, lines: &Lines) {
        match &mut self.hold {
            Some(hold) => hold.top = top,
            None => self.hold = Some(Hold { top, written: lines.written(), lines: lines.count() }),
        }
    }

    fn page_from(&self, top: Place, lines: &mut Lines) -> Result<Page, StoreError> {
        let mut page = Page::default();
        let Some(first) = lines.at(top.line)? else { return Ok(page) };
        let mut next = Some(first);
        while let Some(line) = next {
            let laid = self.lay(line);
            if page.lines.is_empty() {
                page.skip = row_at(&laid.rows, top.at);
            }
            page.lines.push_back(laid);
            if page.rows() >= self.height {
                break;
            }
            next = page.lines.back().map(|last| lines.after(&last.line)).transpose()?.flatten();
        }
        Ok(page)
    }

    fn last_page(&self, lines: &mut Lines) -> Result<Page, StoreError> {
        let mut page = Page::default();
        let mut next = lines.last()?;
        while let Some(line) = next {
            page.lines.push_front(self.lay(line));
            if page.rows() >= self.height {
                break;
            }
            next = page.lines.front().map(|first| lines.before(&first.line)).transpose()?.flatten();
        }
        page.skip = page.rows().saturating_sub(self.height);
        Ok(page)
    }

    fn lay(&self, line: Found) -> Laid {
        let rows = match &line.content {
            Content::Line(text) if self.wrap => wrap::rows(text, self.width),
            Content::Line(text) => iter::once(0..text.text().len()).collect(),
            Content::Lost(_) => iter::once(0..0).collect(),
        };
        Laid { line, rows }
    }
}

/// The index of the row that a place in a line's text is in.
fn row_at(rows: &[Range<usize>], at: usize) -> usize {
    rows.partition_point(|row| row.start <= at).saturating_sub(1)
}

fn signed(count: usize) -> isize {
    isize::try_from(count).unwrap_or(isize::MAX)
}
