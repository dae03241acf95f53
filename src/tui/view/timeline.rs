//! Draws the timeline: a row per job with its runs as bars, below an axis of times, above the critical path.

use chrono::{DateTime, NaiveDateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::{JobId, Outcome, PathLink, RunId, RunSpan};
use crate::text;
use crate::tui::action::Action;
use crate::tui::job_label::JobLabel;
use crate::tui::mouse::ClickTargets;
use crate::tui::theme::Appearance;
use crate::tui::timeline::{TimeWindow, Timeline, TimelineColumns, TimelineRow, visible_rows};

use super::line_painter::{LinePainter, lines, without_first_line};
use super::page_title::PageTitle;
use super::page_view::{PageView, visible_lines};

/// Distances of the labels of the axis in seconds.
const STEPS: [i64; 19] = [
    5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
    1_209_600,
];
/// The least cells between two labels of the axis.
const MIN_LABEL_CELLS: i64 = 11;

/// The most cells of a job's label in the critical path.
const MAX_PATH_LABEL: usize = 24;

/// What a cell of a row shows; a later kind covers an earlier one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum BarCell {
    Empty,
    Waited,
    Ran,
    Running,
    /// The last cell of a run that did not succeed.
    Sign(&'static str),
}

/// A cell, its style, and whether it is of the selected run.
type StyledCell = (BarCell, Style, bool);

impl PageView<'_> {
    pub(super) fn draw_timeline(
        &self,
        timeline: &Timeline,
        area: Rect,
        buffer: &mut Buffer,
        targets: &mut ClickTargets,
    ) {
        let symbols = self.settings.appearance.symbols;
        let window = timeline.window(area.width, self.now);
        let rows = timeline.rows(&window, self.site);
        let visible = visible_rows(area.height);
        let columns = timeline.columns(area.width);
        self.draw_timeline_title(timeline, &window, &rows, visible, area, buffer);
        let body = without_first_line(area);
        self.draw_axis(&window, columns, body, buffer);
        let body = without_first_line(body);
        if rows.is_empty() {
            let note = match () {
                () if timeline.is_loading() => format!("Loading{}", symbols.ellipsis),
                () if timeline.run_count() == 0 => {
                    let process = self.settings.keymap.key(Action::Process);
                    format!("Nothing has run yet. Press {process} to process the queue.")
                }
                () => {
                    let longer = self.settings.keymap.key(Action::LessParallel);
                    format!("Nothing ran in this time. Press {longer} to see more of it.")
                }
            };
            self.draw_note(&note, body, buffer);
        }
        let selected = timeline.selected_row(&rows);
        let height = body.height.min(u16::try_from(visible).unwrap_or(u16::MAX));
        for (index, row, line) in visible_lines(&rows, timeline.offset, Rect { height, ..body }, targets) {
            self.draw_timeline_row(timeline, row, index == selected, (&window, columns), line, buffer);
        }
        if usize::from(body.height) > visible
            && let Some(last) = lines(body).last()
        {
            self.draw_path(timeline, last, buffer);
        }
    }

    fn draw_timeline_title(
        &self,
        timeline: &Timeline,
        window: &TimeWindow,
        rows: &[TimelineRow<'_>],
        visible: usize,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let place = timeline.queue.as_ref().map_or("all queues", |queue| queue.as_str());
        let runs = rows.iter().map(|row| row.runs.len()).sum::<usize>();
        let failed = rows.iter().flat_map(|row| &row.runs).filter(|span| is_failure(span)).count();
        let first = (self.settings.local)(window.from);
        let when = if timeline.follows() { "until now".to_owned() } else { first.format("%Y-%m-%d").to_string() };
        let facts = [
            place.to_owned(),
            text::count_noun(runs, "run"),
            if failed > 0 {
                format!("{} {failed} failed", self.settings.appearance.symbols.failed)
            } else {
                String::new()
            },
            format!("{} {when}", span_text(timeline.span_seconds())),
            if timeline.is_cut() { "only the latest runs".to_owned() } else { String::new() },
        ];
        let hidden = (timeline.offset, rows.len().saturating_sub(timeline.offset + visible));
        PageTitle { name: "Timeline", facts: &facts, hidden }.draw(&self.settings.appearance, area, buffer);
    }

    /// Draws times at round distances.
    fn draw_axis(&self, window: &TimeWindow, columns: TimelineColumns, area: Rect, buffer: &mut Buffer) {
        let Appearance { theme, symbols } = &self.settings.appearance;
        let mut painter = LinePainter::new(area, buffer, symbols);
        painter.fixed_width("   Job", 3 + columns.label + 1, theme.dim);
        let millis = window.cell_length().num_milliseconds();
        let step = STEPS.iter().copied().find(|step| step * 1_000 / millis >= MIN_LABEL_CELLS).unwrap_or(2_592_000);
        let mut axis = String::new();
        let cells = i64::try_from(columns.chart).unwrap_or(0);
        let mut last = None;
        for cell in 0..cells {
            if cell < i64::try_from(text::width(&axis)).unwrap_or(0) {
                continue;
            }
            // A label stands at the first cell of its step, by local time.
            let of = |cell| (self.settings.local)(window.time(cell)).and_utc().timestamp().div_euclid(step);
            let is_step = of(cell) != of(cell - 1);
            let label = if is_step { axis_label(of(cell) * step, step, last) } else { String::new() };
            if is_step && cell + i64::try_from(text::width(&label)).unwrap_or(0) <= cells {
                last = DateTime::from_timestamp(of(cell) * step, 0).map(|time| time.naive_utc());
                axis += &label;
            } else {
                axis.push(' ');
            }
        }
        painter.fixed_width(&axis, columns.chart, theme.dim);
        painter.left(&format!("{:>width$}", "Took", width = columns.duration.saturating_sub(1)), theme.dim);
    }

    fn draw_timeline_row(
        &self,
        timeline: &Timeline,
        row: &TimelineRow<'_>,
        is_selected: bool,
        (window, columns): (&TimeWindow, TimelineColumns),
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let appearance = &self.settings.appearance;
        let Appearance { theme, symbols } = appearance;
        if is_selected {
            buffer.set_style(area, theme.cursor);
        }
        // The row under the cursor has one style, so that all of it is readable.
        let over = |style: Style| if is_selected { theme.cursor } else { style };
        let latest = row.runs.last();
        let (sign, style) = match latest.map(|span| &span.outcome) {
            Some(Some(outcome)) => appearance.outcome(outcome),
            Some(None) => (symbols.running, theme.accent),
            None => (symbols.dot, theme.dim),
        };
        let on_path = row.runs.iter().any(|span| timeline.path().iter().any(|step| step.run == span.run));
        let mut painter = LinePainter::new(area, buffer, symbols);
        painter.left(if is_selected { symbols.cursor } else { " " }, over(theme.accent));
        painter.left(sign, over(style));
        painter.left(if on_path { symbols.path } else { " " }, over(theme.warning));
        let label = self.timeline_label(row.job, timeline.queue.is_none(), columns.label);
        painter.fixed_width(&label, columns.label, over(Style::new())).left(" ", over(Style::new()));
        let chosen = if is_selected { timeline.selected_run(row) } else { None };
        for (cell, style, is_chosen) in self.bar_cells(row, chosen, window) {
            let content = match cell {
                BarCell::Empty => " ",
                BarCell::Waited => symbols.wait,
                // Of several runs of the row under the cursor, the selected one is thicker.
                BarCell::Ran | BarCell::Running if chosen.is_some() && !is_chosen => symbols.rule,
                BarCell::Ran | BarCell::Running => symbols.bar,
                BarCell::Sign(sign) => sign,
            };
            painter.left(content, over(style));
        }
        if columns.duration > 0 {
            let shown = chosen.and_then(|run| row.runs.iter().find(|span| span.run == run)).or(latest);
            let took = shown.map(|span| duration_text(span, self.now)).unwrap_or_default();
            painter.left(&format!("{took:>width$}", width = columns.duration - 1), over(theme.dim));
        }
    }

    /// The cells of the bars of a row.
    fn bar_cells(&self, row: &TimelineRow<'_>, chosen: Option<RunId>, window: &TimeWindow) -> Vec<StyledCell> {
        let appearance = &self.settings.appearance;
        let theme = &appearance.theme;
        let mut cells: Vec<StyledCell> = vec![(BarCell::Empty, Style::new(), false); window.cells];
        let last = i64::try_from(window.cells).unwrap_or(0) - 1;
        let mut fill = |from: DateTime<Utc>, until: DateTime<Utc>, cell: StyledCell| {
            let (first, end) = (window.cell(from), window.cell(until));
            for index in first.max(0)..=end.min(last) {
                if let Some(place) = usize::try_from(index).ok().and_then(|index| cells.get_mut(index))
                    && place.0 <= cell.0
                {
                    *place = cell;
                }
            }
        };
        for (since, until) in &row.waited {
            fill(*since, until.unwrap_or(self.now), (BarCell::Waited, theme.dim, false));
        }
        for span in &row.runs {
            let is_chosen = Some(span.run) == chosen;
            let end = span.ended.unwrap_or(self.now);
            match &span.outcome {
                None => fill(span.started, end, (BarCell::Running, theme.accent, is_chosen)),
                Some(outcome) => {
                    let (sign, style) = appearance.outcome(outcome);
                    fill(span.started, end, (BarCell::Ran, style, is_chosen));
                    if *outcome != Outcome::Succeeded {
                        fill(end, end, (BarCell::Sign(sign), style, is_chosen));
                    }
                }
            }
        }
        cells
    }

    /// Says which runs determined the end, and why each of them started when it did.
    fn draw_path(&self, timeline: &Timeline, area: Rect, buffer: &mut Buffer) {
        let Appearance { theme, symbols } = &self.settings.appearance;
        let path = timeline.path();
        let spans: Vec<&RunSpan> = path.iter().filter_map(|step| timeline.run(step.run)).collect();
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return };
        let is_over = last.ended.is_some();
        let length = text::duration((last.ended.unwrap_or(self.now) - first.started).to_std().unwrap_or_default());
        let mut painter = LinePainter::new(area, buffer, symbols);
        painter.left(" ", Style::new()).left(symbols.path, theme.warning);
        let so_far = if is_over { "" } else { " so far" };
        let head = format!(" Critical path{so_far}, {length} in {}: ", text::count_noun(path.len(), "run"));
        painter.left(&head, theme.dim);
        let parts = path.iter().zip(&spans).enumerate().map(|(nth, (step, span))| {
            let label = self.timeline_label(step.job, timeline.queue.is_none(), MAX_PATH_LABEL);
            let why = match &step.link {
                PathLink::First => String::new(),
                PathLink::Need => " needs it:".to_owned(),
                PathLink::Slot => " got its slot:".to_owned(),
                PathLink::Pool(pool) => format!(" released {}:", text::sanitize_line(pool)),
                PathLink::Retry => " retried:".to_owned(),
            };
            let arrow = if nth == 0 { String::new() } else { format!(" {}{why} ", symbols.arrow) };
            format!("{arrow}{label} {}", duration_text(span, self.now))
        });
        let parts: Vec<String> = parts.collect();
        // The last runs tell most about the end.
        let mut from = 0;
        while from + 1 < parts.len() && text::width(&parts[from..].concat()) + 2 > painter.room() {
            from += 1;
        }
        if from > 0 {
            painter.left(symbols.ellipsis, theme.dim);
        }
        painter.left(&parts[from..].concat(), Style::new());
    }

    fn timeline_label(&self, id: JobId, with_queue: bool, room: usize) -> String {
        let symbols = self.settings.appearance.symbols;
        let Some(job) = self.site.job(id) else { return format!("{id} (removed)") };
        let queue = if with_queue {
            let queue = text::sanitize_line(job.queue.as_str());
            format!("{} {} ", text::fit(&queue, room / 3, symbols.ellipsis), symbols.dot)
        } else {
            String::new()
        };
        let label = JobLabel::of(job).fit(room.saturating_sub(text::width(&queue)), symbols.ellipsis);
        queue + &label.join()
    }
}

fn is_failure(span: &RunSpan) -> bool {
    span.outcome.as_ref().is_some_and(|outcome| outcome.failure().is_some() || outcome.is_interrupted())
}

fn duration_text(span: &RunSpan, now: DateTime<Utc>) -> String {
    text::duration((span.ended.unwrap_or(now) - span.started).to_std().unwrap_or_default())
}

/// The length of the window in words: `5 min`, `2 h`, `7 d`.
fn span_text(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The label of a time of the axis: the date where it is another one than at the previous label.
fn axis_label(seconds: i64, step: i64, last: Option<NaiveDateTime>) -> String {
    let Some(time) = DateTime::from_timestamp(seconds, 0).map(|time| time.naive_utc()) else { return String::new() };
    let is_new_day = last.is_some_and(|last| last.date() != time.date());
    let format = match step {
        86_400.. => "%b %d ",
        _ if is_new_day => "%b %d ",
        60.. => "%H:%M ",
        _ => "%H:%M:%S ",
    };
    time.format(format).to_string()
}
