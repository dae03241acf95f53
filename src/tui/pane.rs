//! The output of the job under the cursor: which run it is, and the view on it.

use std::fmt;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::model::{Job, Run, RunId, WindowSize};
use crate::store::LineWriter;
use crate::store::log::LogReader;

use super::console::Console;
use super::lists::Step;
use super::output::{self, Look, Output, Scroll, Status, Taken, Terminal};
use super::wake::{Effect, Way};

const NO_OUTPUT: &str = "there is no output here";

/// The output pane; it stays with its run until another job is chosen or the job is run again.
#[derive(Default)]
pub(super) struct OutputPane {
    /// The run that is shown.
    run: Option<RunId>,
    /// The latest run of the job.
    latest: Option<RunId>,
    /// The run that is shown, while it isn't the latest.
    earlier: Option<Run>,
    /// Whether the job runs in a terminal.
    pty: bool,
    /// The run of the job that goes on.
    running: Option<RunId>,
    /// Where the output is read.
    reader: Option<LogReader>,
    output: Option<Output>,
    console: Option<Console>,
    more: bool,
    room: WindowSize,
    /// The size that terminals of runs to come were last said to have.
    window: Option<WindowSize>,
    taste: Taste,
}

/// Some output as text.
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) lines: usize,
    pub(super) what: Taken,
}

/// How a person likes output to be shown, whichever it is.
#[derive(Clone, Copy, Default)]
struct Taste {
    /// Long lines are cut, not wrapped.
    cut: bool,
    /// Times are shown where they are known.
    times: bool,
}

impl OutputPane {
    /// A pane that shows nothing yet, in the way of this one.
    pub(super) fn another(&self) -> Self {
        Self { taste: self.taste, ..Self::default() }
    }

    /// The run whose output is shown.
    pub(super) fn run(&self) -> Option<RunId> {
        self.run
    }

    /// Whether the output can be read.
    pub(super) fn is_open(&self) -> bool {
        self.output.is_some()
    }

    /// Whether the output can be read, and there is none.
    pub(super) fn is_empty(&self) -> bool {
        match (&self.console, &self.output) {
            (Some(console), _) => console.view.is_empty(),
            (None, Some(output)) => output.is_empty(),
            (None, None) => false,
        }
    }

    /// Draws the output, once it can be read; returns what there is to tell about it, and where the job has its cursor.
    pub(super) fn draw(
        &mut self,
        area: Rect,
        buffer: &mut Buffer,
        look: &Look,
    ) -> (Option<Status>, Option<(u16, u16)>) {
        if let Some(console) = self.console.as_ref().filter(|console| !console.aside) {
            let (status, cursor) = console.view.draw(area, buffer, look);
            return (Some(status), cursor);
        }
        (self.output.as_mut().map(|output| output.draw(area, buffer, look)), None)
    }

    /// Shows the latest run of `job`; tells which that is when its output has to be opened.
    pub(super) fn show(&mut self, job: Option<&Job>) -> Option<RunId> {
        self.pty = job.and_then(Job::script).is_some_and(|script| script.setup.pty);
        self.running = job.and_then(Job::running);
        let run = job.and_then(|job| job.last_run.as_ref());
        let id = run.map(|run| run.id);
        if self.latest == id {
            return None;
        }
        let Self { pty, running, room, window, taste, .. } = *self;
        *self = Self { run: id, latest: id, pty, running, room, window, taste, ..Self::default() };
        id
    }

    /// The run that is shown, while it isn't the latest of its job.
    pub(super) fn earlier(&self) -> Option<&Run> {
        self.earlier.as_ref()
    }

    /// Asks for the run before the one that is shown, or after it.
    pub(super) fn turn(&self, job: &Job, way: Way) -> Result<Effect, String> {
        // The key may be the very first thing that happens.
        let latest = job.last_run.as_ref().map(|run| run.id);
        let from = self.run.or(latest).ok_or("it has not run yet")?;
        match (way, &self.earlier) {
            (Way::Later, None) => Err("this is its latest run".to_owned()),
            _ => Ok(Effect::Turn { job: job.id, from, way }),
        }
    }

    /// Shows another run of the same job.
    pub(super) fn turn_to(&mut self, from: RunId, run: Run) -> Option<Effect> {
        if self.run != Some(from) {
            return None;
        }
        let id = run.id;
        let earlier = Some(run).filter(|run| self.latest != Some(run.id));
        let Self { latest, pty, running, room, window, taste, .. } = *self;
        *self = Self { run: Some(id), latest, earlier, pty, running, room, window, taste, ..Self::default() };
        Some(Effect::OpenLog(id))
    }

    /// The output can be read; it is of no interest when another run is shown by now.
    pub(super) fn open(&mut self, run: RunId, reader: LogReader, line: LineWriter) {
        // Nor when it has been opened by now.
        if self.run == Some(run) && !self.is_open() {
            let goes_on = self.is_live();
            self.console = self.pty.then(|| {
                let mut console = Console::new(Terminal::new(reader.again(), self.room), line);
                console.fit(self.room, goes_on);
                console
            });
            self.reader = Some(reader.again());
            let mut output = Output::new(reader);
            if self.taste.cut {
                output.toggle_wrap();
            }
            if self.taste.times {
                output.toggle_times();
            }
            self.output = Some(output);
            self.refresh();
        }
    }

    /// Whether the run that is shown goes on.
    fn is_live(&self) -> bool {
        self.run.is_some() && self.run == self.running
    }

    /// It has so much room; a run in a terminal gets it, and those to come will begin with it.
    pub(super) fn fit(&mut self, room: WindowSize) -> Option<Effect> {
        self.room = room;
        let live = self.is_live();
        if let Some(console) = &mut self.console {
            console.fit(room, live);
        }
        let news = self.pty && self.window.replace(room) != Some(room);
        news.then_some(Effect::Window(room))
    }

    /// The terminal of the run, if it has one.
    pub(super) fn console_mut(&mut self) -> Option<&mut Console> {
        self.console.as_mut()
    }

    /// Reads on, a bounded amount.
    pub(super) fn refresh(&mut self) {
        self.more = match (&mut self.console, &mut self.output) {
            (Some(console), _) if !console.aside => console.view.refresh(),
            (_, Some(output)) => output.refresh(),
            (_, None) => false,
        };
    }

    /// Whether there is more to read at once.
    pub(super) fn has_more(&self) -> bool {
        self.more
    }

    /// Scrolls; `first` is the key that goes to the top.
    pub(super) fn scroll(&mut self, scroll: Scroll, first: &str) -> Result<(), String> {
        if let Some(console) = self.on_terminal().filter(|_| scroll != Scroll::Home) {
            return console.scroll(scroll, first);
        }
        self.on_output(|output| output.scroll(scroll))?;
        self.come_back();
        Ok(())
    }

    /// Follows what is printed, or holds the view.
    pub(super) fn toggle_follow(&mut self) -> Result<(), String> {
        if let Some(console) = self.on_terminal() {
            console.view.toggle_follow();
            self.refresh();
            return Ok(());
        }
        self.on_output(Output::toggle_follow)?;
        self.come_back();
        Ok(())
    }

    /// Wraps long lines, or cuts them.
    pub(super) fn toggle_wrap(&mut self) -> Result<(), String> {
        if self.on_terminal().is_some() {
            return Err("a terminal wraps its lines itself".to_owned());
        }
        self.on_output(Output::toggle_wrap)?;
        self.taste.cut = !self.taste.cut;
        Ok(())
    }

    /// Shows when lines were printed, or no longer.
    pub(super) fn toggle_times(&mut self) -> Result<(), String> {
        if self.on_terminal().is_some() {
            return Err("in a terminal lines have no times".to_owned());
        }
        let output = self.output.as_mut().ok_or(NO_OUTPUT)?;
        if !output.shows_times() && !output.is_empty() && !output.knows_times() {
            return Err("when this was printed isn't known; perhaps an older setlist has written it".to_owned());
        }
        output.toggle_times();
        self.taste.times = output.shows_times();
        Ok(())
    }

    /// Moves cut lines sideways.
    pub(super) fn scroll_sideways(&mut self, cells: isize, wrap: &str) -> Result<(), String> {
        if self.on_terminal().is_some() {
            return Err("a terminal wraps its lines itself".to_owned());
        }
        let output = self.output.as_mut().ok_or(NO_OUTPUT)?;
        if output.is_wrapping() {
            return Err(format!("long lines are wrapped; {wrap} cuts them"));
        }
        let way = if cells > 0 { "no line in view goes on to the right" } else { "this is where lines begin" };
        output.scroll_sideways(cells).then_some(()).ok_or_else(|| way.to_owned())
    }

    /// Where the output is read.
    pub(super) fn reader(&self) -> Option<LogReader> {
        self.reader.as_ref().map(LogReader::again)
    }

    /// The output that is in view, or the line that was found in it.
    pub(super) fn in_view(&mut self) -> Result<Piece, String> {
        let (what, lines) = match (&self.console, &mut self.output) {
            (Some(console), _) if !console.aside => (Taken::View, console.view.in_view()),
            (_, Some(output)) => output.in_view(),
            (_, None) => return Err(NO_OUTPUT.to_owned()),
        };
        if lines.is_empty() { Err(NO_OUTPUT.to_owned()) } else { Ok(Piece::of(what, &lines)) }
    }

    /// All output as text, or how large it is where that is more than `most` bytes.
    pub(super) fn all(&self, most: usize) -> Result<Result<Piece, u64>, String> {
        let mut reader = self.reader().filter(|_| !self.is_empty()).ok_or(NO_OUTPUT)?;
        let written = reader.len().map_err(|error| error.to_string())?;
        let Some(size) = usize::try_from(written).ok().filter(|size| *size <= most) else { return Ok(Err(written)) };
        let (mut bytes, mut at, mut len) = (vec![0; size], 0, 0);
        while len < size {
            let piece = reader.read_at(at, &mut bytes[len..]).map_err(|error| error.to_string())?;
            if piece.len == 0 {
                break;
            }
            (at, len) = (piece.offset + piece.len as u64, len + piece.len);
        }
        let text = output::plain(&bytes[..len]);
        Ok(Ok(Piece::of(Taken::All, &text.lines().map(str::to_owned).collect::<Vec<_>>())))
    }

    /// Searches and goes to the first match; an empty text ends the search.
    pub(super) fn search(&mut self, text: &str) -> Result<(), String> {
        if text.is_empty() && self.on_terminal().is_some() {
            return Ok(());
        }
        self.on_output(|output| {
            output.set_search(Some(text).filter(|text| !text.is_empty()));
            output.search_next(true);
        })
    }

    /// To the next match, or the one before.
    pub(super) fn find_again(&mut self, forwards: bool) -> Result<(), String> {
        self.on_output(|output| output.search_next(forwards))
    }

    /// The terminal, while it is what is shown.
    fn on_terminal(&mut self) -> Option<&mut Console> {
        self.console.as_mut().filter(|console| !console.aside)
    }

    /// Who follows the output of a run with a terminal sees the terminal again.
    fn come_back(&mut self) {
        let follows = self.output.as_ref().is_some_and(Output::is_following);
        if let Some(console) = self.console.as_mut().filter(|console| console.aside && follows) {
            console.aside = false;
            console.view.follow();
            self.refresh();
        }
    }

    /// Changes the view on the log, which takes the place of the terminal.
    fn on_output(&mut self, change: impl FnOnce(&mut Output)) -> Result<(), String> {
        let output = self.output.as_mut().ok_or(NO_OUTPUT)?;
        change(output);
        // What has been asked for may need more of the output.
        self.refresh();
        Ok(())
    }
}

impl Piece {
    fn of(what: Taken, lines: &[String]) -> Self {
        Self { text: lines.join("\n"), lines: lines.len(), what }
    }
}

impl From<Step> for Scroll {
    fn from(step: Step) -> Self {
        let rows = |by: usize| isize::try_from(by).unwrap_or(isize::MAX);
        match step {
            Step::Down(by) => Self::Rows(rows(by)),
            Step::Up(by) => Self::Rows(-rows(by)),
            Step::First => Self::Home,
            Step::Last => Self::End,
        }
    }
}

impl fmt::Debug for OutputPane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputPane").field("run", &self.run).finish_non_exhaustive()
    }
}
