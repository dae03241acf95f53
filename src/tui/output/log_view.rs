//! The scrollable view of a log.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::draw_page;
use super::job_progress::JobProgress;
use super::line_index::LineContent;
use super::log_lines::LogLines;
use super::output_source::OutputSource;
use super::output_styles::OutputStyles;
use super::search::Search;
use super::search_pattern::SearchPattern;
use super::time_gutter::TimeGutter;
use super::view_status::{NewOutput, SearchStatus, ViewStatus};
use super::viewport::{Page, RowPosition, Scroll, Viewport};
use crate::store::StoreError;

/// The part of the output that was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopiedPart {
    /// The line with the current search hit.
    CurrentHit,
    /// The visible lines.
    #[default]
    Visible,
    /// All lines.
    All,
}

/// A scrollable view of the output of one run.
pub struct LogView {
    lines: LogLines,
    viewport: Viewport,
    search: Option<Search>,
    /// Whether the time gutter is requested.
    show_times: bool,
    /// Why the log can't be read.
    failure: Option<String>,
}

impl LogView {
    /// Creates a view of `source` that follows the end. Nothing is read before the first [`refresh`](Self::refresh).
    pub fn new(source: impl OutputSource + 'static) -> Self {
        Self {
            lines: LogLines::new(Box::new(source)),
            viewport: Viewport::new(),
            search: None,
            show_times: false,
            failure: None,
        }
    }

    /// Reads a bounded amount of new output. Returns whether there is more: draw, then call it again.
    pub fn refresh(&mut self) -> bool {
        self.keep_failure(|output| {
            let more = output.lines.refresh(output.viewport.is_following())?;
            let searching = output.continue_search()?;
            Ok(more || searching)
        })
    }

    /// Whether there is no output so far.
    pub fn is_empty(&self) -> bool {
        self.lines.written() == 0
    }

    /// The last progress that the job reported.
    pub fn progress(&self) -> JobProgress {
        self.lines.progress()
    }

    /// Whether the view follows the end.
    pub fn is_following(&self) -> bool {
        self.viewport.is_following()
    }

    /// Follows the end, or pauses at the current position.
    pub fn toggle_follow(&mut self) {
        self.keep_failure(|output| {
            if output.viewport.is_following() {
                output.viewport.pause(&mut output.lines)
            } else {
                output.viewport.follow();
                Ok(())
            }
        });
    }

    /// Whether long lines are wrapped.
    pub fn is_wrapping(&self) -> bool {
        self.viewport.wrap
    }

    /// Wraps long lines, or cuts them at the edge.
    pub fn toggle_wrap(&mut self) {
        self.viewport.wrap = !self.viewport.wrap;
    }

    /// Whether the time gutter is requested.
    pub fn shows_times(&self) -> bool {
        self.show_times
    }

    /// Shows or hides the gutter with the time of each line and a bar beside standard error. The gutter is visible only
    /// if [times are known](Self::has_times).
    pub fn toggle_times(&mut self) {
        self.show_times = !self.show_times;
    }

    /// Whether the times and streams of this output are known.
    pub fn has_times(&mut self) -> bool {
        self.lines.has_origins()
    }

    /// Scrolls. Scrolling up pauses, scrolling down to the end follows again.
    pub fn scroll(&mut self, scroll: Scroll) {
        self.keep_failure(|output| output.viewport.scroll(scroll, &mut output.lines));
    }

    /// Starts a search for plain text, or ends it. A text without capitals ignores case. Visible hits are highlighted
    /// and all hits are counted; [`search_next`](Self::search_next) moves to a hit.
    pub fn set_search(&mut self, text: Option<&str>) {
        // What was found so far is kept.
        if text.is_none_or(|text| self.search.as_ref().is_none_or(|search| !search.is_for(text))) {
            self.search = text.and_then(SearchPattern::new).map(Search::new);
        }
    }

    /// Searches for plain text, and goes to the first hit in the line that starts at this offset or behind it.
    pub fn search_from(&mut self, text: &str, offset: u64) {
        self.search = SearchPattern::new(text).map(Search::new);
        self.keep_failure(|output| {
            if let Some(search) = &mut output.search {
                search.request_hit(true, RowPosition { line: offset, byte: 0 });
            }
            output.show_found_hit()
        });
    }

    /// Moves to the next or previous hit and wraps around at the end. If no hit is near, the search continues in the
    /// following calls of [`refresh`](Self::refresh).
    pub fn search_next(&mut self, forwards: bool) {
        self.keep_failure(|output| {
            let top = output.viewport.top(&mut output.lines)?;
            if let Some(search) = &mut output.search {
                search.request_hit(forwards, top);
            }
            output.show_found_hit()
        });
    }

    /// Scrolls cut lines horizontally, at most to the end of the longest visible line. Returns whether the view moved.
    pub fn scroll_horizontally(&mut self, cells: isize) -> bool {
        self.keep_failure(|output| output.viewport.scroll_horizontally(cells, &mut output.lines))
    }

    /// The text of the line with the current hit, or of all visible lines.
    pub fn visible_text(&mut self) -> (CopiedPart, Vec<String>) {
        self.keep_failure(|output| {
            let text = |content: &LineContent| match content {
                LineContent::Text(line) => Some(line.text().trim_end().to_owned()),
                LineContent::Discarded(_) => None,
            };
            let hit = output.search.as_ref().and_then(|search| search.current.as_ref()).map(|hit| hit.line);
            let found = hit.map(|line| output.lines.line_at(line)).transpose()?.flatten();
            if let Some(line) = found.and_then(|found| text(&found.content)) {
                return Ok((CopiedPart::CurrentHit, vec![line]));
            }
            let page = output.viewport.page(&mut output.lines)?;
            Ok((CopiedPart::Visible, page.lines.iter().filter_map(|wrapped| text(&wrapped.line.content)).collect()))
        })
    }

    /// Draws the output into `area` and returns the status to show beside it.
    pub fn draw(&mut self, area: Rect, buffer: &mut Buffer, styles: &OutputStyles) -> ViewStatus {
        let gutter = self.gutter(area.width, styles);
        let output_area = gutter.output_area(area);
        self.viewport.width = usize::from(output_area.width).max(1);
        self.viewport.height = usize::from(area.height).max(1);
        let page = self.keep_failure(|output| output.viewport.page(&mut output.lines));
        if let Some(failure) = &self.failure {
            draw_page::draw_message(failure, styles, area, buffer);
            return ViewStatus::default();
        }
        draw_page::draw_page(&page, self.viewport.left_column(), self.search.as_ref(), styles, output_area, buffer);
        gutter.draw(&page, &mut self.lines, styles, area, buffer);
        self.status(&page)
    }

    fn gutter(&mut self, room: u16, styles: &OutputStyles) -> TimeGutter {
        let Some(last) = self.lines.written().checked_sub(1).filter(|_| self.show_times && self.has_times()) else {
            return TimeGutter::default();
        };
        let mut day = |offset| Some((styles.to_local)(self.lines.span_at(offset).origin?.at).date());
        TimeGutter::new(room, day(0) != day(last))
    }

    fn status(&mut self, page: &Page) -> ViewStatus {
        let last = page.lines.back();
        let number = last.and_then(|last| last.line.number).map_or(0, |number| number + 1);
        let written = self.lines.written();
        let end = last.map_or(written, |last| last.line.end.min(written));
        let new_lines = self.keep_failure(|output| output.viewport.new_lines(&mut output.lines));
        let percent = if written == 0 { 100 } else { u128::from(end) * 100 / u128::from(written) };
        ViewStatus {
            lines: self.lines.line_count().map(|count| (number.min(count), count)),
            percent: u8::try_from(percent).unwrap_or(100),
            is_following: self.viewport.is_following(),
            new_output: match new_lines {
                Some(0) => NewOutput::None,
                Some(lines) => NewOutput::Counted(lines),
                None => NewOutput::Uncounted,
            },
            progress: self.progress(),
            search: self.search.as_ref().map(|search| SearchStatus {
                current: search.current_number(),
                count: search.count,
                is_searching: search.is_searching(),
                is_seeking: search.is_seeking(),
            }),
        }
    }

    /// Continues the search within its budget. Returns whether there is more to search.
    fn continue_search(&mut self) -> Result<bool, StoreError> {
        self.show_found_hit()?;
        let Some(search) = &mut self.search else { return Ok(false) };
        search.count_hits(&mut self.lines)?;
        search.number_current_hit(&mut self.lines)?;
        Ok(search.is_searching())
    }

    fn show_found_hit(&mut self) -> Result<(), StoreError> {
        let Some(search) = &mut self.search else { return Ok(()) };
        if let Some(hit) = search.find_requested(&mut self.lines)? {
            let position = RowPosition { line: hit.line, byte: hit.range.start };
            self.viewport.reveal(position, &mut self.lines)?;
            self.viewport.reveal_horizontally(hit.line, &hit.range, &mut self.lines)?;
        }
        Ok(())
    }

    /// Runs `read`. An error is kept and shown until a read succeeds.
    fn keep_failure<T: Default>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> T {
        match read(self) {
            Ok(value) => {
                self.failure = None;
                value
            }
            Err(error) => {
                self.failure = Some(format!("The output can't be read: {error}"));
                T::default()
            }
        }
    }
}
