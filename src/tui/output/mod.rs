//! The output of one run: read while it grows, made harmless, scrolled, searched and drawn.
//!
//! ```text
//! LogReader ─ source ─ block (raw bytes, cut into lines by split)      draw
//!                        │                                               ▲
//!                      index (sparse, bounded) ─ lines ─ view ─ wrap ─ page
//!                                                  │
//!                        sanitize (vte, grid, sgr): bytes of a line → Line
//! ```
//!
//! Only what is on the screen is in memory, as bytes; the rest is a table of where lines start. Nothing that a key
//! press does grows with the log.

mod block;
mod draw;
mod grid;
mod gutter;
mod index;
mod line;
mod lines;
mod print;
mod progress;
mod sanitize;
mod search;
mod sgr;
mod source;
mod split;
mod status;
mod terminal;
mod view;
mod wrap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

pub use draw::Look;
pub use line::{Glyph, Line};
pub use print::{Printer, coloured, plain};
pub use progress::Progress;
pub use source::Source;
pub use status::{Hits, News, Status};
pub use terminal::{Keyboard, Terminal};
pub use view::Scroll;

use crate::store::StoreError;
use gutter::Gutter;
use index::Content;
use lines::Lines;
use search::{Needle, Search};
use view::{Page, Place, View};

/// Which part of the output was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Taken {
    /// The line with the hit that was gone to last.
    Found,
    /// What is in view.
    #[default]
    View,
    /// All of it.
    All,
}

/// The output pane of one run.
pub struct Output {
    lines: Lines,
    view: View,
    search: Option<Search>,
    /// Whether there is a gutter with times.
    times: bool,
    /// Why the log can't be read, for people.
    failure: Option<String>,
}

impl Output {
    /// A pane for this output; it follows the end. Nothing is read before the first [`refresh`](Self::refresh).
    pub fn new(source: impl Source + 'static) -> Self {
        Self { lines: Lines::new(Box::new(source)), view: View::new(), search: None, times: false, failure: None }
    }

    /// Looks what is new, but reads a bounded amount. Returns whether there is more to do: draw, then call it again.
    pub fn refresh(&mut self) -> bool {
        self.attempt(|output| {
            let more = output.lines.refresh(output.view.follows())?;
            let searching = output.search_on()?;
            Ok(more || searching)
        })
    }

    /// Whether there is no output, as far as is known.
    pub fn is_empty(&self) -> bool {
        self.lines.written() == 0
    }

    /// The last progress that the job reported.
    pub fn progress(&self) -> Progress {
        self.lines.progress()
    }

    /// Whether the end is followed.
    pub fn is_following(&self) -> bool {
        self.view.follows()
    }

    /// Follows the end, or stays where it is.
    pub fn toggle_follow(&mut self) {
        self.attempt(|output| {
            if output.view.follows() {
                output.view.pause(&mut output.lines)
            } else {
                output.view.follow();
                Ok(())
            }
        });
    }

    /// Whether long lines go on in the next row.
    pub fn is_wrapping(&self) -> bool {
        self.view.wrap
    }

    /// Wraps long lines, or cuts them at the edge.
    pub fn toggle_wrap(&mut self) {
        self.view.wrap = !self.view.wrap;
    }

    /// Whether times are to be shown.
    pub fn shows_times(&self) -> bool {
        self.times
    }

    /// Shows in a gutter when lines began and which hold standard error, or no longer. The gutter is there when
    /// [anything is known](Self::knows_times) of that.
    pub fn toggle_times(&mut self) {
        self.times = !self.times;
    }

    /// Whether times and streams are known of this output.
    pub fn knows_times(&mut self) -> bool {
        self.lines.is_marked()
    }

    /// Moves through the output. Upwards stops following; down to the end follows again.
    pub fn scroll(&mut self, scroll: Scroll) {
        self.attempt(|output| output.view.scroll(scroll, &mut output.lines));
    }

    /// Searches for a plain text, or no longer. A text without capitals stands for capitals too. Shows where it is on
    /// the screen and counts hits; [`search_next`](Self::search_next) goes to one.
    pub fn set_search(&mut self, text: Option<&str>) {
        self.search = text.and_then(Needle::new).map(Search::new);
    }

    /// Goes to the next hit, or to the previous one; round the end and on. When none is near, the coming calls of
    /// [`refresh`](Self::refresh) go on looking.
    pub fn search_next(&mut self, forwards: bool) {
        self.attempt(|output| {
            let top = output.view.top(&mut output.lines)?;
            if let Some(search) = &mut output.search {
                search.want(forwards, top);
            }
            output.look()
        });
    }

    /// Moves cut lines by so many cells, to their end or else to their beginning; not beyond what is in view. Tells whether
    /// there was anything to move to.
    pub fn scroll_sideways(&mut self, cells: isize) -> bool {
        self.attempt(|output| output.view.scroll_sideways(cells, &mut output.lines))
    }

    /// The text of the line with the hit that was gone to, or else of all lines in view.
    pub fn in_view(&mut self) -> (Taken, Vec<String>) {
        self.attempt(|output| {
            let text = |content: &Content| match content {
                Content::Line(line) => Some(line.text().trim_end().to_owned()),
                Content::Lost(_) => None,
            };
            let hit = output.search.as_ref().and_then(|search| search.current.as_ref()).map(|hit| hit.line);
            let found = hit.map(|line| output.lines.at(line)).transpose()?.flatten();
            if let Some(line) = found.and_then(|found| text(&found.content)) {
                return Ok((Taken::Found, vec![line]));
            }
            let page = output.view.page(&mut output.lines)?;
            Ok((Taken::View, page.lines.iter().filter_map(|laid| text(&laid.line.content)).collect()))
        })
    }

    /// Draws the output into `area`; returns what there is to tell about it.
    pub fn draw(&mut self, area: Rect, buffer: &mut Buffer, look: &Look) -> Status {
        let gutter = self.gutter(area.width, look);
        let beside = gutter.beside(area);
        self.view.width = usize::from(beside.width).max(1);
        self.view.height = usize::from(area.height).max(1);
        let page = self.attempt(|output| output.view.page(&mut output.lines));
        if let Some(failure) = &self.failure {
            draw::message(failure, look, area, buffer);
            return Status::default();
        }
        draw::page(&page, self.view.left(), self.search.as_ref(), look, beside, buffer);
        gutter.draw(&page, &mut self.lines, look, area, buffer);
        self.status(&page)
    }

    fn gutter(&mut self, room: u16, look: &Look) -> Gutter {
        let Some(last) = self.lines.written().checked_sub(1).filter(|_| self.times && self.knows_times()) else {
            return Gutter::default();
        };
        let mut day = |offset| Some((look.local)(self.lines.stretch_at(offset).origin?.at).date());
        Gutter::new(room, day(0) != day(last))
    }

    fn status(&mut self, page: &Page) -> Status {
        let last = page.lines.back();
        let number = last.and_then(|last| last.line.number).map_or(0, |number| number + 1);
        let written = self.lines.written();
        let end = last.map_or(written, |last| last.line.end.min(written));
        let new_lines = self.attempt(|output| output.view.new_lines(&mut output.lines));
        let percent = if written == 0 { 100 } else { u128::from(end) * 100 / u128::from(written) };
        Status {
            lines: self.lines.count().map(|count| (number.min(count), count)),
            percent: u8::try_from(percent).unwrap_or(100),
            following: self.view.follows(),
            news: match new_lines {
                Some(0) => News::None,
                Some(lines) => News::Lines(lines),
                None => News::Some,
            },
            progress: self.progress(),
            search: self.search.as_ref().map(|search| Hits {
                nth: search.nth(),
                count: search.count,
                looking: search.is_looking(),
            }),
        }
    }

    /// Goes on with a search; returns whether there is more to look through.
    fn search_on(&mut self) -> Result<bool, StoreError> {
        self.look()?;
        let Some(search) = &mut self.search else { return Ok(false) };
        search.count(&mut self.lines)?;
        search.place(&mut self.lines)?;
        Ok(search.is_looking())
    }

    fn look(&mut self) -> Result<(), StoreError> {
        let Some(search) = &mut self.search else { return Ok(()) };
        if let Some(hit) = search.look(&mut self.lines)? {
            let place = Place { line: hit.line, at: hit.range.start };
            self.view.reveal(place, &mut self.lines)?;
            self.view.reveal_sideways(&hit, &mut self.lines)?;
        }
        Ok(())
    }

    /// Keeps the error of a read, which the pane then shows, until one succeeds.
    fn attempt<T: Default>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> T {
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
