//! The timeline: the runs of a queue, or of all queues, as bars over time. A row is a job, a bar is a run.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Job, JobId, PathStep, QueueId, QueueMode, RunId, RunPeriod, RunSpan, SiteState, critical_path};

use crate::text;

use super::action::Action;
use super::effect::StoreRequest;
use super::job_label::JobLabel;
use super::keys::{KeyCode, KeyPress};
use super::page_context::{PageContext, PageResponse, next_row, scrolled_to};

/// How much time is shown at each zoom level, in seconds: from 15 seconds to 30 days.
const SPANS: [i64; 19] = [
    15, 30, 60, 120, 300, 600, 1_200, 1_800, 2_700, 3_600, 7_200, 14_400, 28_800, 43_200, 86_400, 172_800, 604_800,
    1_209_600, 2_592_000,
];
/// The zoom level while there are no runs: an hour.
const FIRST_ZOOM: usize = 9;
/// How many of the latest runs decide what is shown first.
const MAX_FITTED_RUNS: usize = 500;
/// How many runs are loaded for a period.
const MAX_RUNS: usize = 4_000;
/// How many waiting jobs are shown.
const MAX_WAITING: usize = 30;
/// The lines above and below the rows: the title and the axis; the critical path.
const HEADING_HEIGHT: u16 = 2;
/// The cells of a label at least and at most; the rest is for the bars.
const MIN_LABEL_WIDTH: usize = 9;
const MAX_LABEL_WIDTH: usize = 60;
/// From this height on, there is a line for the critical path.
const MIN_PATH_HEIGHT: u16 = 8;

/// The timeline, as far as the user has moved it.
#[derive(Debug)]
pub(super) struct Timeline {
    /// The queue whose runs are shown; `None` for all queues.
    pub(super) queue: Option<QueueId>,
    /// The job that was selected last, whether or not it has a row.
    selected: Option<JobId>,
    /// The job of the row with the cursor.
    cursor: Option<JobId>,
    /// The selected run, if it isn't the latest that is visible.
    selected_run: Option<RunId>,
    /// The queue that the screen shows.
    home: Option<QueueId>,
    runs: BTreeMap<RunId, RunSpan>,
    /// The period that was requested last, and whether it has been loaded.
    requested: Option<(RunPeriod, bool)>,
    /// Whether earlier runs of the period were left out.
    is_cut: bool,
    has_fitted: bool,
    zoom: usize,
    /// The right end; `None` while it follows the time.
    end: Option<DateTime<Utc>>,
    /// The first visible row.
    pub(super) offset: usize,
    path: Vec<PathStep>,
    /// The cells of the longest label.
    longest_label: usize,
    /// Whether `path` and `longest_label` are out of date.
    has_changed: bool,
}

/// The period that is shown, in cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeWindow {
    pub(super) from: DateTime<Utc>,
    pub(super) cells: usize,
    cell_millis: i64,
}

/// A job with its visible runs.
#[derive(Debug)]
pub(super) struct TimelineRow<'a> {
    pub(super) job: JobId,
    /// Oldest first; none for a job that waits.
    pub(super) runs: Vec<&'a RunSpan>,
    /// When it waited, until the time that follows, or until now.
    pub(super) waited: Vec<(DateTime<Utc>, Option<DateTime<Utc>>)>,
}

/// The widths of the columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimelineColumns {
    pub(super) label: usize,
    pub(super) chart: usize,
    /// The duration of the latest visible run; 0 without room.
    pub(super) duration: usize,
}

impl TimelineColumns {
    /// The columns of a body of this width, where the longest label takes so many cells.
    fn new(width: u16, longest_label: usize) -> Self {
        let width = usize::from(width);
        let label = longest_label.clamp(MIN_LABEL_WIDTH, (width * 3 / 8).clamp(MIN_LABEL_WIDTH, MAX_LABEL_WIDTH));
        let duration = if width >= 70 { 9 } else { 0 };
        Self { label, chart: width.saturating_sub(4 + label + duration).max(1), duration }
    }
}

impl TimeWindow {
    /// The end.
    pub(super) fn until(&self) -> DateTime<Utc> {
        self.from + TimeDelta::milliseconds(self.cell_millis * i64::try_from(self.cells).unwrap_or(0))
    }

    /// The cell of a time; negative before the first one.
    pub(super) fn cell(&self, time: DateTime<Utc>) -> i64 {
        (time - self.from).num_milliseconds().div_euclid(self.cell_millis)
    }

    /// The time at which a cell starts.
    pub(super) fn time(&self, cell: i64) -> DateTime<Utc> {
        self.from + TimeDelta::milliseconds(self.cell_millis * cell)
    }

    /// The length of a cell.
    pub(super) fn cell_length(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.cell_millis)
    }

    fn shows(&self, span: &RunSpan) -> bool {
        span.started < self.until() && span.ended.is_none_or(|ended| ended >= self.from)
    }
}

/// The rows of a body of this height.
pub(super) fn visible_rows(height: u16) -> usize {
    usize::from(height.saturating_sub(HEADING_HEIGHT + u16::from(height >= MIN_PATH_HEIGHT)))
}

impl Timeline {
    /// The timeline of a queue, or of all queues.
    pub(super) fn new(queue: Option<QueueId>, selected: Option<JobId>) -> Self {
        Self {
            home: queue.clone(),
            queue,
            selected,
            cursor: None,
            selected_run: None,
            runs: BTreeMap::new(),
            requested: None,
            is_cut: false,
            has_fitted: false,
            zoom: FIRST_ZOOM,
            end: None,
            offset: 0,
            path: Vec::new(),
            longest_label: 0,
            has_changed: false,
        }
    }

    /// The job of the row with the cursor, if there are rows.
    pub(super) fn selected_job(&self) -> Option<JobId> {
        self.cursor
    }

    /// Whether the first runs are still being loaded.
    pub(super) fn is_loading(&self) -> bool {
        !self.has_fitted
    }

    /// Whether there are more runs in the period than are shown.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether the right end follows the time.
    pub(super) fn follows(&self) -> bool {
        self.end.is_none()
    }

    /// The time shown, in seconds.
    pub(super) fn span_seconds(&self) -> i64 {
        SPANS[self.zoom]
    }

    /// The critical path, oldest run first.
    pub(super) fn path(&self) -> &[PathStep] {
        &self.path
    }

    /// How many runs are loaded.
    pub(super) fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// A run that is loaded.
    pub(super) fn run(&self, id: RunId) -> Option<&RunSpan> {
        self.runs.get(&id)
    }

    /// The columns of a body of this width.
    pub(super) fn columns(&self, width: u16) -> TimelineColumns {
        TimelineColumns::new(width, self.longest_label)
    }

    /// The period that a body of this width shows.
    pub(super) fn window(&self, width: u16, now: DateTime<Utc>) -> TimeWindow {
        let cells = self.columns(width).chart;
        let cell_millis = (SPANS[self.zoom] * 1_000 / i64::try_from(cells).unwrap_or(1)).max(1);
        // The end is at a whole cell, so that a bar grows by whole cells and nothing else moves.
        let last = self.end.unwrap_or(now).timestamp_millis().div_euclid(cell_millis) + 1;
        let first = (last - i64::try_from(cells).unwrap_or(0)) * cell_millis;
        let from = DateTime::from_timestamp_millis(first).unwrap_or(DateTime::UNIX_EPOCH);
        TimeWindow { from, cells, cell_millis }
    }

    /// The jobs with runs in the window, by their first visible run, then those that wait.
    pub(super) fn rows<'a>(&'a self, window: &TimeWindow, site: &SiteState) -> Vec<TimelineRow<'a>> {
        let mut rows: Vec<TimelineRow<'a>> = Vec::new();
        let mut row_of_job: HashMap<JobId, usize> = HashMap::new();
        for span in self.runs.values().filter(|span| window.shows(span)) {
            let row = *row_of_job.entry(span.job).or_insert_with(|| {
                rows.push(TimelineRow { job: span.job, runs: Vec::new(), waited: Vec::new() });
                rows.len() - 1
            });
            let job = site.job(span.job);
            let retried = rows[row].runs.last().and_then(|previous| previous.ended);
            let is_retry = job.is_some_and(|job| span.attempt > job.prior_attempts + 1);
            let since = job.and_then(|job| job.waited_since(span)).or(retried.filter(|_| is_retry));
            rows[row].waited.extend(since.map(|since| (since, Some(span.started))));
            rows[row].runs.push(span);
        }
        if self.follows() {
            for job in self.waiting(site) {
                let id = job.id;
                let ended = job.result_run().and_then(|run| run.end.as_ref()).map(|end| end.at);
                let waited = (ended.unwrap_or(job.enqueued), None);
                match row_of_job.get(&id) {
                    Some(row) => rows[*row].waited.push(waited),
                    None => rows.push(TimelineRow { job: id, runs: Vec::new(), waited: vec![waited] }),
                }
            }
        }
        rows
    }

    /// The jobs that wait for their turn.
    fn waiting<'s>(&self, site: &'s SiteState) -> Vec<&'s Job> {
        let queues = site.queues().into_iter().filter(|(id, _)| self.queue.as_ref().is_none_or(|shown| shown == *id));
        let processing = queues.filter(|(_, queue)| queue.mode == QueueMode::Processing);
        let waiting = processing.flat_map(|(_, queue)| queue.pending.iter().take(MAX_WAITING));
        waiting.take(MAX_WAITING).filter_map(|id| site.job(*id)).collect()
    }

    /// The cells of the longest label of the jobs that ran last or wait.
    fn longest_label(&self, site: &SiteState) -> usize {
        let ran: BTreeSet<JobId> = self.runs.values().rev().take(MAX_FITTED_RUNS).map(|span| span.job).collect();
        let jobs = ran.into_iter().filter_map(|id| site.job(id)).chain(self.waiting(site));
        let queue = |job: &Job| if self.queue.is_none() { text::width(job.queue.as_str()) + 3 } else { 0 };
        jobs.map(|job| queue(job) + JobLabel::of(job).width()).max().unwrap_or(0)
    }

    /// The index of the selected job, or else of the last one.
    pub(super) fn selected_row(&self, rows: &[TimelineRow<'_>]) -> usize {
        let selected = rows.iter().position(|row| Some(row.job) == self.selected);
        selected.unwrap_or(rows.len().saturating_sub(1))
    }

    /// The selected run of the row with the cursor.
    pub(super) fn selected_run(&self, row: &TimelineRow<'_>) -> Option<RunId> {
        let chosen = row.runs.iter().find(|span| Some(span.run) == self.selected_run);
        chosen.or(row.runs.last()).map(|span| span.run)
    }

    /// Handles a key press.
    pub(super) fn press(&mut self, key: KeyPress, action: Option<Action>, context: &PageContext<'_>) -> PageResponse {
        let window = self.window(context.width, context.now);
        let rows = self.rows(&window, context.site);
        let (row, count) = (self.selected_row(&rows), rows.len());
        let selected = rows.get(row).map(|row| (row.job, self.selected_run(row)));
        if let Some(next) = next_row(key, action, row, visible_rows(context.height), count) {
            (self.selected, self.selected_run) = (rows.get(next).map(|row| row.job).or(self.selected), None);
            return PageResponse::KeepOpen;
        }
        let quarter = TimeDelta::seconds(SPANS[self.zoom] / 4);
        match (key.code, action) {
            (KeyCode::Enter, _) => {
                if let Some((job, run)) = selected {
                    return PageResponse::ShowRun(job, run);
                }
            }
            (_, Some(Action::EarlierRun | Action::LaterRun)) => {
                let runs = rows.get(row).map(|row| &row.runs[..]).unwrap_or_default();
                let shown = selected.and_then(|(_, run)| runs.iter().position(|span| Some(span.run) == run));
                let next = match (shown, action) {
                    (Some(shown), Some(Action::EarlierRun)) => shown.checked_sub(1),
                    (Some(shown), _) => Some(shown + 1),
                    (None, _) => None,
                };
                if let Some(span) = next.and_then(|next| runs.get(next)) {
                    (self.selected, self.selected_run) = (Some(span.job), Some(span.run));
                }
            }
            // `+` and `-`.
            (_, Some(Action::MoreParallel)) => match self.zoom.checked_sub(1) {
                Some(closer) => self.zoom_to(closer, context),
                None => return PageResponse::Refuse("This is the closest zoom."),
            },
            (_, Some(Action::LessParallel)) => match self.zoom + 1 {
                wider if wider < SPANS.len() => self.zoom_to(wider, context),
                _ => return PageResponse::Refuse("This is the widest zoom."),
            },
            (KeyCode::Left, _) | (_, Some(Action::PreviousPane)) => self.move_end(window.until() - quarter, context),
            (KeyCode::Right, _) | (_, Some(Action::NextPane)) => self.move_end(window.until() + quarter, context),
            (_, Some(Action::FollowNewest)) => self.end = None,
            (_, Some(Action::AllQueues)) => {
                let queue = if self.queue.is_some() { None } else { self.home.clone() };
                let fresh = Self { home: self.home.take(), ..Self::new(queue, self.selected) };
                *self = fresh;
            }
            (_, Some(action)) => return PageResponse::Perform(action),
            (_, None) => {}
        }
        PageResponse::KeepOpen
    }

    /// Selects a visible row; returns whether it was selected before.
    pub(super) fn click(&mut self, row: usize, context: &PageContext<'_>) -> bool {
        let window = self.window(context.width, context.now);
        let rows = self.rows(&window, context.site);
        let Some(clicked) = rows.get(self.offset + row).map(|row| row.job) else { return false };
        let was_selected = rows.get(self.selected_row(&rows)).is_some_and(|row| row.job == clicked);
        if !was_selected {
            (self.selected, self.selected_run) = (Some(clicked), None);
        }
        was_selected
    }

    /// Zooms around the selected run; while a run is in progress, the end stays at the current time.
    fn zoom_to(&mut self, zoom: usize, context: &PageContext<'_>) {
        let window = self.window(context.width, context.now);
        let rows = self.rows(&window, context.site);
        let run = rows.get(self.selected_row(&rows)).and_then(|row| self.selected_run(row));
        let anchor = run.and_then(|run| self.runs.get(&run)).and_then(|span| span.ended);
        if let Some(anchor) = anchor.filter(|_| !(self.follows() && self.is_running())) {
            let (before, after) = (SPANS[self.zoom], SPANS[zoom]);
            let left = (anchor.clamp(window.from, window.until()) - window.from).num_milliseconds() * after / before;
            let end = anchor - TimeDelta::milliseconds(left) + TimeDelta::seconds(after);
            self.zoom = zoom;
            return self.move_end(end, context);
        }
        self.zoom = zoom;
    }

    /// Moves the right end; at the current time, it follows it.
    fn move_end(&mut self, end: DateTime<Utc>, context: &PageContext<'_>) {
        let epoch = DateTime::UNIX_EPOCH + TimeDelta::seconds(SPANS[self.zoom]);
        self.end = Some(end.max(epoch)).filter(|end| *end < context.now);
    }

    fn is_running(&self) -> bool {
        self.runs.values().any(|span| span.ended.is_none())
    }

    /// Follows a run that has started or ended.
    pub(super) fn observe(&mut self, job: &Job) {
        if self.queue.as_ref().is_some_and(|queue| *queue != job.queue) {
            return;
        }
        let Some(span) = RunSpan::latest(job) else { return };
        if self.runs.get(&span.run) != Some(&span) {
            self.runs.insert(span.run, span);
            self.has_changed = true;
        }
        if self.runs.len() > 2 * MAX_RUNS {
            self.runs.pop_first();
            self.is_cut = true;
        }
    }

    /// Loads the runs again.
    pub(super) fn invalidate(&mut self) {
        self.requested = None;
    }

    /// Takes the runs of a period, if it is the one that was requested.
    pub(super) fn set_runs(&mut self, period: &RunPeriod, runs: Vec<RunSpan>, now: DateTime<Utc>) {
        let Some((requested, is_loaded)) = &mut self.requested else { return };
        if requested != period {
            return;
        }
        *is_loaded = true;
        self.is_cut = runs.len() >= period.limit;
        self.runs = runs.into_iter().map(|span| (span.run, span)).collect();
        self.has_changed = true;
        if !self.has_fitted {
            self.has_fitted = true;
            self.fit(now);
        }
    }

    /// Shows the runs since the last long pause.
    fn fit(&mut self, now: DateTime<Utc>) {
        let end = |span: &RunSpan| span.ended.unwrap_or(now);
        // Those that are running have started long ago, maybe.
        let mut spans: Vec<&RunSpan> = self.runs.values().collect();
        spans.sort_by_key(|span| std::cmp::Reverse(end(span)));
        let Some(latest) = spans.first().map(|span| end(span)) else { return };
        let mut first = latest;
        for span in spans {
            if first - end(span) > (latest - first).max(TimeDelta::minutes(1)) {
                break;
            }
            first = first.min(span.started);
        }
        let seconds = (latest - first).num_seconds();
        let fits = |span: &i64| *span > seconds + seconds / 10;
        self.zoom = SPANS.iter().position(fits).unwrap_or(SPANS.len() - 1);
        let shown = TimeDelta::seconds(SPANS[self.zoom]);
        let is_over = latest + shown / 20 < now - shown / 4;
        // The first run is at the left end, unless all of the rest is still to come.
        self.end = is_over.then(|| first - shown / 20 + shown).filter(|end| *end < now);
    }

    /// Keeps the cursor visible and the critical path up to date. Returns what to load.
    pub(super) fn sync(&mut self, context: &PageContext<'_>) -> Option<StoreRequest> {
        if std::mem::take(&mut self.has_changed) {
            self.path = critical_path(context.site, &self.runs.values().collect::<Vec<_>>());
            self.longest_label = self.longest_label(context.site);
        }
        let window = self.window(context.width, context.now);
        let rows = self.rows(&window, context.site);
        let (row, count) = (self.selected_row(&rows), rows.len());
        self.cursor = rows.get(row).map(|row| row.job);
        self.offset = scrolled_to(row, self.offset, visible_rows(context.height), count);
        let queue = self.queue.clone();
        let period = match &self.requested {
            None if self.has_fitted => self.period_around(&window),
            None => RunPeriod { queue, from: None, until: None, limit: MAX_FITTED_RUNS },
            // Runs that follow are known from events.
            Some((period, is_loaded)) => {
                let (from, until) = (window.from, window.until());
                let covers_start = if self.is_cut {
                    self.runs.values().next().is_some_and(|first| first.started <= from)
                } else {
                    period.from.is_none_or(|first| first <= from)
                };
                let covers_end = period.until.is_none_or(|last| until <= last);
                let next = self.period_around(&window);
                if !is_loaded || (covers_start && covers_end) || next == *period {
                    return None;
                }
                next
            }
        };
        self.requested = Some((period.clone(), false));
        Some(StoreRequest::LoadPeriod(period))
    }

    /// The period to load for a window: with as much before it and after it.
    fn period_around(&self, window: &TimeWindow) -> RunPeriod {
        let length = TimeDelta::seconds(SPANS[self.zoom]);
        // In whole steps, so that the same period is not loaded for every cell.
        let step = |time: DateTime<Utc>| {
            let seconds = time.timestamp().div_euclid(length.num_seconds()) * length.num_seconds();
            DateTime::from_timestamp(seconds, 0)
        };
        let until = if self.follows() { None } else { step(window.until() + length * 2) };
        RunPeriod { queue: self.queue.clone(), from: step(window.from - length), until, limit: MAX_RUNS }
    }

    /// When a bar grows by a cell: only while a run is in progress. Texts above the page count minutes.
    pub(super) fn next_tick(&self, context: &PageContext<'_>) -> Option<DateTime<Utc>> {
        if !self.is_running() {
            return None;
        }
        let length = self.window(context.width, context.now).cell_length().num_milliseconds().clamp(100, 60_000);
        let next = (context.now.timestamp_millis().div_euclid(length) + 1) * length;
        DateTime::from_timestamp_millis(next)
    }
}
