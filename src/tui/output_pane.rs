//! The output of the selected job: which run is shown, and the view of its output.

use std::fmt;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::model::{Job, Run, RunId, WindowSize};
use crate::store::TerminalInputWriter;
use crate::store::log::LogReader;

use super::effect::{Direction, Effect, StoreRequest};
use super::job_lists::CursorMove;
use super::job_terminal::JobTerminal;
use super::output::{self, CopiedPart, LogView, OutputStyles, Scroll, TerminalView, ViewStatus};

const NO_OUTPUT: &str = "There is no output here.";

/// The output pane. It keeps its run until another job is selected or the job is run again.
#[derive(Default)]
pub(super) struct OutputPane {
    /// The run that is shown.
    run: Option<RunId>,
    /// The latest run of the job.
    latest: Option<RunId>,
    /// The run that is shown, if it isn't the latest.
    earlier_run: Option<Run>,
    /// Whether the job runs in a terminal.
    pty: bool,
    /// The current run of the job.
    running: Option<RunId>,
    /// Reads the output.
    reader: Option<LogReader>,
    output: Option<LogView>,
    job_terminal: Option<JobTerminal>,
    has_more: bool,
    /// A place that is shown once the output has been drawn.
    place: Option<(String, u64)>,
    size: WindowSize,
    /// The size that was last recorded for later runs.
    recorded_size: Option<WindowSize>,
    options: DisplayOptions,
}

/// Output to be copied.
pub(super) struct CopiedText {
    pub(super) text: String,
    pub(super) lines: usize,
    pub(super) part: CopiedPart,
}

/// How output is shown, whichever job it is from.
#[derive(Clone, Copy, Default)]
struct DisplayOptions {
    /// Whether long lines are truncated, not wrapped.
    truncates_lines: bool,
    /// Whether known times are shown.
    shows_times: bool,
}

impl OutputPane {
    /// An empty pane with the display options of this one.
    pub(super) fn with_same_options(&self) -> Self {
        Self { options: self.options, ..Self::default() }
    }

    /// The run whose output is shown.
    pub(super) fn run(&self) -> Option<RunId> {
        self.run
    }

    /// The run of this job that is shown, or will be: a key may come before the output is opened.
    pub(super) fn run_of(&self, job: &Job) -> Result<RunId, String> {
        let latest = job.last_run.as_ref().map(|run| run.id);
        self.run.or(latest).ok_or_else(|| format!("{} has not run yet.", job.id))
    }

    /// Whether the output is open.
    pub(super) fn is_open(&self) -> bool {
        self.output.is_some()
    }

    /// Whether the output is open and empty.
    pub(super) fn is_empty(&self) -> bool {
        match (&self.job_terminal, &self.output) {
            (Some(terminal), _) => terminal.view.is_empty(),
            (None, Some(output)) => output.is_empty(),
            (None, None) => false,
        }
    }

    /// Draws the output if it is open; returns its status, and the position of the job's cursor.
    pub(super) fn draw(
        &mut self,
        area: Rect,
        buffer: &mut Buffer,
        look: &OutputStyles,
    ) -> (Option<ViewStatus>, Option<(u16, u16)>) {
        if let Some(terminal) = self.job_terminal.as_ref().filter(|terminal| !terminal.shows_log) {
            let (status, cursor) = terminal.view.draw(area, buffer, look);
            return (Some(status), cursor);
        }
        let Some(output) = &mut self.output else { return (None, None) };
        let mut status = output.draw(area, buffer, look);
        // Before the first frame, it is not known how many lines are visible.
        if let Some((text, offset)) = self.place.take() {
            output.search_from(&text, offset);
            self.refresh();
            if let Some(output) = &mut self.output {
                status = output.draw(area, buffer, look);
            }
        }
        (Some(status), None)
    }

    /// Shows the line at this offset of a run of `job`, in which a text was found. Returns what is to be opened for that.
    pub(super) fn show_place(&mut self, job: &Job, run: &Run, text: &str, offset: u64) -> Vec<Effect> {
        let latest = self.show_job(Some(job));
        let mut effects = Vec::from_iter(latest.map(|run| Effect::Store(StoreRequest::OpenLog(run))));
        if let Some(shown) = self.run.filter(|shown| *shown != run.id) {
            effects.extend(self.show_run(shown, run.clone()));
        }
        if let Some(terminal) = &mut self.job_terminal {
            terminal.shows_log = true;
        }
        self.place = Some((text.to_owned(), offset));
        effects
    }

    /// Shows the latest run of `job`; returns the run if its output is to be opened.
    pub(super) fn show_job(&mut self, job: Option<&Job>) -> Option<RunId> {
        self.pty = job.and_then(Job::script).is_some_and(|script| script.exec.pty);
        self.running = job.and_then(Job::current_run);
        let run = job.and_then(|job| job.last_run.as_ref());
        let id = run.map(|run| run.id);
        if self.latest == id {
            return None;
        }
        let Self { pty, running, size, recorded_size, options, .. } = *self;
        *self = Self { run: id, latest: id, pty, running, size, recorded_size, options, ..Self::default() };
        id
    }

    /// The run that is shown, if it isn't the latest one.
    pub(super) fn earlier_run(&self) -> Option<&Run> {
        self.earlier_run.as_ref()
    }

    /// Requests the run before or after the one that is shown.
    pub(super) fn request_adjacent_run(&self, job: &Job, direction: Direction) -> Result<Effect, String> {
        let from = self.run_of(job)?;
        match (direction, &self.earlier_run) {
            (Direction::Later, None) => Err("This is the latest run.".to_owned()),
            _ => Ok(Effect::Store(StoreRequest::FindAdjacentRun { job: job.id, from, direction })),
        }
    }

    /// Shows another run of the same job.
    pub(super) fn show_run(&mut self, from: RunId, run: Run) -> Option<Effect> {
        if self.run != Some(from) {
            return None;
        }
        let id = run.id;
        let earlier_run = Some(run).filter(|run| self.latest != Some(run.id));
        let Self { latest, pty, running, size, recorded_size, options, .. } = *self;
        *self =
            Self { run: Some(id), latest, earlier_run, pty, running, size, recorded_size, options, ..Self::default() };
        Some(Effect::Store(StoreRequest::OpenLog(id)))
    }

    /// Opens the output of a run, if that is the one shown.
    pub(super) fn open(&mut self, run: RunId, reader: LogReader, input: TerminalInputWriter) {
        // It may be open already.
        if self.run == Some(run) && !self.is_open() {
            let is_live = self.is_live();
            self.job_terminal = self.pty.then(|| {
                let mut terminal = JobTerminal::new(TerminalView::new(reader.reopen(), self.size), input);
                terminal.resize(self.size, is_live);
                terminal.shows_log = self.place.is_some();
                terminal
            });
            self.reader = Some(reader.reopen());
            let mut output = LogView::new(reader);
            if self.options.truncates_lines {
                output.toggle_wrap();
            }
            if self.options.shows_times {
                output.toggle_times();
            }
            self.output = Some(output);
            self.refresh();
        }
    }

    /// Whether the run that is shown is still running.
    fn is_live(&self) -> bool {
        self.run.is_some() && self.run == self.running
    }

    /// Resizes the pane, and with it the terminals of this run and of later ones.
    pub(super) fn resize(&mut self, size: WindowSize) -> Option<Effect> {
        self.size = size;
        let live = self.is_live();
        if let Some(terminal) = &mut self.job_terminal {
            terminal.resize(size, live);
        }
        let has_changed = self.pty && self.recorded_size.replace(size) != Some(size);
        has_changed.then_some(Effect::Store(StoreRequest::SetWindowSize(size)))
    }

    /// The terminal of the run, if it has one.
    pub(super) fn job_terminal_mut(&mut self) -> Option<&mut JobTerminal> {
        self.job_terminal.as_mut()
    }

    /// Reads more output, a bounded amount.
    pub(super) fn refresh(&mut self) {
        self.has_more = match (&mut self.job_terminal, &mut self.output) {
            (Some(terminal), _) if !terminal.shows_log => terminal.view.refresh(),
            (_, Some(output)) => output.refresh(),
            (_, None) => false,
        };
    }

    /// Whether there is more output to read at once.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Scrolls; `first` is the key that goes to the top.
    pub(super) fn scroll(&mut self, scroll: Scroll, first: &str) -> Result<(), String> {
        if let Some(terminal) = self.visible_terminal().filter(|_| scroll != Scroll::Home) {
            return terminal.scroll(scroll, first);
        }
        self.with_log_view(|output| output.scroll(scroll))?;
        self.return_to_terminal();
        Ok(())
    }

    /// Follows the output, or stops following.
    pub(super) fn toggle_follow(&mut self) -> Result<(), String> {
        if let Some(terminal) = self.visible_terminal() {
            terminal.view.toggle_follow();
            self.refresh();
            return Ok(());
        }
        self.with_log_view(LogView::toggle_follow)?;
        self.return_to_terminal();
        Ok(())
    }

    /// Wraps long lines, or truncates them.
    pub(super) fn toggle_wrap(&mut self) -> Result<(), String> {
        if self.visible_terminal().is_some() {
            return Err("A terminal wraps its own lines.".to_owned());
        }
        self.with_log_view(LogView::toggle_wrap)?;
        self.options.truncates_lines = !self.options.truncates_lines;
        Ok(())
    }

    /// Shows or hides the times of lines.
    pub(super) fn toggle_times(&mut self) -> Result<(), String> {
        if self.visible_terminal().is_some() {
            return Err("Lines in a terminal have no times.".to_owned());
        }
        let output = self.output.as_mut().ok_or(NO_OUTPUT)?;
        if !output.shows_times() && !output.is_empty() && !output.has_times() {
            return Err("No times were recorded for this output.".to_owned());
        }
        output.toggle_times();
        self.options.shows_times = output.shows_times();
        Ok(())
    }

    /// Scrolls truncated lines sideways.
    pub(super) fn scroll_sideways(&mut self, cells: isize, wrap: &str) -> Result<(), String> {
        if self.visible_terminal().is_some() {
            return Err("A terminal wraps its own lines.".to_owned());
        }
        let output = self.output.as_mut().ok_or(NO_OUTPUT)?;
        if output.is_wrapping() {
            return Err(format!("Long lines are wrapped. Press {wrap} to truncate them."));
        }
        let why = if cells > 0 { "No visible line continues to the right." } else { "This is the start of the lines." };
        output.scroll_horizontally(cells).then_some(()).ok_or_else(|| why.to_owned())
    }

    /// A reader of the output.
    pub(super) fn reader(&self) -> Option<LogReader> {
        self.reader.as_ref().map(LogReader::reopen)
    }

    /// The visible output, or the matching line.
    pub(super) fn visible_text(&mut self) -> Result<CopiedText, String> {
        let (what, lines) = match (&self.job_terminal, &mut self.output) {
            (Some(terminal), _) if !terminal.shows_log => (CopiedPart::Visible, terminal.view.visible_text()),
            (_, Some(output)) => output.visible_text(),
            (_, None) => return Err(NO_OUTPUT.to_owned()),
        };
        if lines.is_empty() { Err(NO_OUTPUT.to_owned()) } else { Ok(CopiedText::of(what, &lines)) }
    }

    /// The whole output, or its size if that is more than `max_bytes`.
    pub(super) fn all_text(&self, max_bytes: usize) -> Result<Result<CopiedText, u64>, String> {
        let mut reader = self.reader().filter(|_| !self.is_empty()).ok_or(NO_OUTPUT)?;
        let written = reader.len().map_err(|error| error.to_string())?;
        let Some(size) = usize::try_from(written).ok().filter(|size| *size <= max_bytes) else {
            return Ok(Err(written));
        };
        let (mut bytes, mut at, mut len) = (vec![0; size], 0, 0);
        while len < size {
            let piece = reader.read_at(at, &mut bytes[len..]).map_err(|error| error.to_string())?;
            if piece.len == 0 {
                break;
            }
            (at, len) = (piece.offset + piece.len as u64, len + piece.len);
        }
        let text = output::sanitize_plain(&bytes[..len]);
        Ok(Ok(CopiedText::of(CopiedPart::All, &text.lines().map(str::to_owned).collect::<Vec<_>>())))
    }

    /// Searches the output and goes to the first match; an empty text ends the search.
    pub(super) fn search(&mut self, text: &str) -> Result<(), String> {
        if text.is_empty() && self.visible_terminal().is_some() {
            return Ok(());
        }
        self.with_log_view(|output| {
            output.set_search(Some(text).filter(|text| !text.is_empty()));
            output.search_next(true);
        })
    }

    /// Goes to the next or the previous match.
    pub(super) fn find_next(&mut self, forwards: bool) -> Result<(), String> {
        self.with_log_view(|output| output.search_next(forwards))
    }

    /// The terminal, while it is shown.
    fn visible_terminal(&mut self) -> Option<&mut JobTerminal> {
        self.job_terminal.as_mut().filter(|terminal| !terminal.shows_log)
    }

    /// Shows the terminal again once the log follows the output.
    fn return_to_terminal(&mut self) {
        let follows = self.output.as_ref().is_some_and(LogView::is_following);
        if let Some(terminal) = self.job_terminal.as_mut().filter(|terminal| terminal.shows_log && follows) {
            terminal.shows_log = false;
            terminal.view.follow();
            self.refresh();
        }
    }

    /// Changes the view of the log.
    fn with_log_view(&mut self, change: impl FnOnce(&mut LogView)) -> Result<(), String> {
        let output = self.output.as_mut().ok_or(NO_OUTPUT)?;
        change(output);
        // The change may need more of the output.
        self.refresh();
        Ok(())
    }
}

impl CopiedText {
    fn of(what: CopiedPart, lines: &[String]) -> Self {
        Self { text: lines.join("\n"), lines: lines.len(), part: what }
    }
}

impl From<CursorMove> for Scroll {
    fn from(step: CursorMove) -> Self {
        let rows = |by: usize| isize::try_from(by).unwrap_or(isize::MAX);
        match step {
            CursorMove::Down(by) => Self::Rows(rows(by)),
            CursorMove::Up(by) => Self::Rows(-rows(by)),
            CursorMove::First => Self::Home,
            CursorMove::Last => Self::End,
        }
    }
}

impl fmt::Debug for OutputPane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputPane").field("run", &self.run).finish_non_exhaustive()
    }
}
