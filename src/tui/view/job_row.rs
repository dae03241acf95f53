//! Draws a job as one row of a list.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::model::{Job, JobState, Overdue, RunEnd, StopSignal, Value, WaitReason, result_value};
use crate::text;
use crate::tui::job_label::{JobLabel, name_beside_title};
use crate::tui::outcome_text::finished_note;
use crate::tui::output::JobProgress;
use crate::tui::run_usage::RunUsage;
use crate::tui::sort_order::{SortOrder, last_peak_memory};
use crate::tui::state::ScreenSettings;
use crate::tui::theme::Appearance;

use super::line_painter::LinePainter;
use super::progress_bar::progress_bar;
use super::time_format;

/// Whether a row is selected, and whether its list has the focus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowCursor {
    /// The row is not selected.
    None,
    /// The row is selected, but its list does not have the focus.
    Unfocused,
    /// The row is selected and its list has the focus.
    Focused,
}

/// A job with the state of its row.
#[derive(Clone, Copy, Debug)]
pub(super) struct JobRow<'a> {
    pub(super) job: &'a Job,
    pub(super) wait_reason: Option<&'a WaitReason>,
    /// By when it should have succeeded, if it is overdue.
    pub(super) overdue: Option<Overdue>,
    pub(super) progress: JobProgress,
    /// What it uses, if it is running.
    pub(super) usage: Option<RunUsage>,
    pub(super) cursor: RowCursor,
    pub(super) is_marked: bool,
}

/// The widths of the columns right of the titles, the same for all visible rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColumnWidths {
    note: usize,
    time: usize,
    /// The width of the values; 0 if they are not shown.
    value: usize,
    /// Whether the peak memory is shown in place of the value.
    shows_memory: bool,
    /// The width of what running jobs use; 0 if that is not shown.
    usage: usize,
    /// The width of the queues; 0 if they are not shown.
    queue: usize,
    /// Where the names of jobs with titles start, counted from the start of the titles; 0 without room for all of them.
    names_at: usize,
}

/// The parts of a row.
struct RowParts {
    sign: &'static str,
    sign_style: Style,
    note: String,
    note_style: Style,
    time: String,
    duration: String,
}

/// Room for `59m 59s`.
const DURATION_WIDTH: usize = 7;

/// The cursor, the state and the mark.
const SIGNS_WIDTH: usize = 3;

/// Room for `overdue 04:00`.
const MIN_NOTE_WIDTH: usize = 14;

/// Room for `stalled 59 min`, and for a bar with `100% error`.
const RUNNING_NOTE_WIDTHS: [usize; 2] = [14, 24];

/// Longer values are truncated where titles leave no room for them.
const MIN_VALUE_WIDTH: usize = 16;

/// Longer values are always truncated.
const MAX_VALUE_WIDTH: usize = 40;

/// What is right of a title is left out if the title would have less room.
const MIN_TITLE_WIDTH: usize = 12;

/// From this width of a list on, the names of jobs with titles are shown where there is room.
const MIN_WIDTH_FOR_NAMES: u16 = 56;

/// Between queues, titles and names.
const GAP: usize = 2;

impl ColumnWidths {
    pub(super) fn of<'a>(
        jobs: &(impl Iterator<Item = &'a Job> + Clone),
        (sort, queue_width): (SortOrder, usize),
        width: u16,
        settings: &ScreenSettings,
        now: DateTime<Utc>,
    ) -> Self {
        let room = usize::from(width);
        let widest = |of: &dyn Fn(&Job) -> usize| jobs.clone().map(of).max().unwrap_or(0);
        let time = widest(&|job| finished_time(job, settings, now).map_or(0, |time| time.len()));
        let queue = queue_width.min(room / 4);
        let queue_room = if queue > 0 { queue + GAP } else { 0 };
        let title = widest(&|job| JobLabel::of(job).width());
        let is_finished = jobs.clone().any(|job| job.outcome().is_some());
        let right = if is_finished { time + DURATION_WIDTH + 6 } else { 1 };
        let beside = SIGNS_WIDTH + queue_room + title.max(MIN_TITLE_WIDTH) + right;
        let shows_memory = sort == SortOrder::Memory;
        let value = if shows_memory || result_value::are_comparable(jobs.clone()) {
            let (left, widest) =
                (room.saturating_sub(beside), widest(&|job| text::width(&value_text(job, shows_memory))));
            // The start of a long value tells less than the title that would be cut for it.
            let is_needed = widest <= MIN_VALUE_WIDTH
                || left >= MIN_VALUE_WIDTH
                || matches!(sort, SortOrder::LowestValue | SortOrder::HighestValue);
            if is_needed { widest.min(left.clamp(MIN_VALUE_WIDTH, MAX_VALUE_WIDTH)) } else { 0 }
        } else {
            0
        };
        let beside = beside + value;
        // All of it if no title is cut for that, otherwise up to a typical error message of the operating system.
        let most = (room / 4).saturating_sub(2).clamp(11, 30).max(room.saturating_sub(beside));
        let notes = widest(&|job| text::width(&finished_note(job)));
        let note = notes.clamp(most.min(MIN_NOTE_WIDTH), most);
        let name = widest(&|job| name_beside_title(job).map_or(0, |name| text::width(&name)));
        let beside = beside + if notes > 0 { note + 1 } else { 0 };
        let has_names = width >= MIN_WIDTH_FOR_NAMES && name > 0 && beside + GAP + name <= room;
        let titles = widest(&|job| if job.title().is_empty() { 0 } else { JobLabel::of(job).width() });
        let names_at = if has_names { titles + GAP } else { 0 };
        Self { note, time, value, shows_memory, usage: 0, queue, names_at }
    }

    /// Also shows what running jobs use, if no title that has less than half of the row is cut for that.
    pub(super) fn with_usage<'a>(self, jobs: impl Iterator<Item = &'a Job>, width: u16, has_bars: bool) -> Self {
        let queue = if self.queue > 0 { self.queue + GAP } else { 0 };
        let most = usize::from(width) / 2;
        let title = jobs.map(|job| queue + JobLabel::of(job).width()).max().unwrap_or(0).min(most).max(MIN_TITLE_WIDTH);
        let beside = SIGNS_WIDTH + title + RUNNING_NOTE_WIDTHS[usize::from(has_bars)] + DURATION_WIDTH + 4;
        let room = usize::from(width).saturating_sub(beside);
        Self { usage: RunUsage::ROW_WIDTHS.into_iter().find(|usage| *usage <= room).unwrap_or(0), ..self }
    }
}

/// Draws a row.
pub(super) fn draw(
    row: &JobRow<'_>,
    columns: &ColumnWidths,
    settings: &ScreenSettings,
    area: Rect,
    buffer: &mut Buffer,
    now: DateTime<Utc>,
) {
    let appearance = &settings.appearance;
    let (job, cursor) = (row.job, row.cursor);
    let label = JobLabel::of(job);
    let queue_room = if columns.queue > 0 { columns.queue + GAP } else { 0 };
    let mut parts = parts(job, row.wait_reason, settings, now).with_overdue(row, settings, now);
    if parts.note.is_empty() {
        // A readable title is worth more than a long bar.
        let cells = usize::from(area.width / 5).saturating_sub(2).min(12);
        (parts.note, parts.note_style) = progress_bar(row.progress, cells, appearance).unwrap_or_default();
    }
    // The row under the cursor has one style, so that all of it is readable.
    let over = |style: Style| if cursor == RowCursor::Focused { appearance.theme.cursor } else { style };
    if cursor == RowCursor::Focused {
        buffer.set_style(area, appearance.theme.cursor);
    }
    let mut painter = LinePainter::new(area, buffer, appearance.symbols);
    painter
        .left(if cursor == RowCursor::None { " " } else { appearance.symbols.cursor }, over(appearance.theme.accent));
    painter.fixed_width(parts.sign, 1, over(parts.sign_style));
    painter.fixed_width(if row.is_marked { appearance.symbols.mark } else { " " }, 1, over(appearance.theme.warning));
    if job.outcome().is_some() {
        painter.right(" ", over(Style::new()));
        painter.right(&format!("{:>DURATION_WIDTH$}", parts.duration), over(appearance.theme.dim));
        painter.right(&format!(" {:>width$} ", parts.time, width = columns.time), over(appearance.theme.dim));
        let value = if columns.value > 0 { value_text(job, columns.shows_memory) } else { String::new() };
        // Where there is none, its cells are for the title and the outcome.
        if !value.is_empty() && painter.room() > columns.value + MIN_TITLE_WIDTH {
            let value = text::fit(&value, columns.value, appearance.symbols.ellipsis);
            let gap = " ".repeat(columns.value.saturating_sub(text::width(&value)));
            painter.right(&format!(" {gap}{value} "), over(Style::new()));
        }
        draw_note(&mut painter, &parts, columns, label.width() + queue_room, over(parts.note_style), appearance);
    } else {
        painter.right(" ", over(Style::new()));
        if let Some(usage) = row.usage.filter(|_| columns.usage > 0) {
            // The columns of all rows are below each other.
            painter.right(&format!(" {:>DURATION_WIDTH$}", parts.duration), over(appearance.theme.accent));
            painter.right(&format!("{} ", usage.row_text(columns.usage)), over(appearance.theme.dim));
        } else if !parts.duration.is_empty() {
            painter.right(&format!(" {}", parts.duration), over(appearance.theme.accent));
        }
        let room = note_room(painter.room(), label.width() + queue_room, 0).min(painter.room().saturating_sub(2));
        let note = text::fit(&parts.note, room, appearance.symbols.ellipsis);
        if !note.is_empty() {
            painter.right(&format!(" {note} "), over(parts.note_style));
        }
    }
    if columns.queue > 0 {
        let queue = text::sanitize_line(job.queue.as_str());
        painter.fixed_width(&queue, columns.queue, over(appearance.theme.dim)).left("  ", over(Style::new()));
    }
    draw_label(&mut painter, row, &label, columns, appearance);
}

/// How many cells the note gets beside a title of this width: all that the title leaves, and at least two fifths, or
/// `least`.
fn note_room(room: usize, title: usize, least: usize) -> usize {
    room.saturating_sub(title.max(MIN_TITLE_WIDTH) + 2).max(room * 2 / 5).max(least)
}

/// Draws how a job ended: in its column, or over more cells if the title leaves them.
fn draw_note(
    painter: &mut LinePainter<'_>,
    parts: &RowParts,
    columns: &ColumnWidths,
    title: usize,
    style: Style,
    appearance: &Appearance,
) {
    // A readable title is worth more than the text of the outcome.
    if parts.note.is_empty() || painter.room() <= columns.note + MIN_TITLE_WIDTH {
        return;
    }
    let free = painter.room().saturating_sub(title.max(MIN_TITLE_WIDTH) + 1);
    let fits = |note: &str| text::width(note) <= columns.note.max(free);
    // The sign says that it was skipped.
    let note = parts.note.strip_prefix("skipped: ").filter(|_| !fits(&parts.note)).unwrap_or(&parts.note);
    let room = columns.note.max(free.min(text::width(note)));
    painter.right(&format!(" {}", text::pad(note, room, appearance.symbols.ellipsis)), style);
}

/// Draws the label, and the name of a job with a title if there is room.
fn draw_label(
    painter: &mut LinePainter<'_>,
    row: &JobRow<'_>,
    label: &JobLabel,
    columns: &ColumnWidths,
    appearance: &Appearance,
) {
    let over = |style: Style| if row.cursor == RowCursor::Focused { appearance.theme.cursor } else { style };
    let bold = if row.cursor == RowCursor::Unfocused { Modifier::BOLD } else { Modifier::empty() };
    let room = painter.room();
    let fitting = label.fit(room, appearance.symbols.ellipsis);
    painter.left(&fitting.main, over(Style::new().add_modifier(bold)));
    painter.left(&fitting.script, over(appearance.theme.dim.add_modifier(bold)));
    let name = name_beside_title(row.job).filter(|_| columns.names_at > 0);
    if let Some(name) = name.filter(|name| columns.names_at + text::width(name) <= room) {
        let gap = columns.names_at.saturating_sub(room - painter.room());
        painter.left(&" ".repeat(gap), over(Style::new())).left(&name, over(appearance.theme.dim));
    }
}

fn parts(job: &Job, wait_reason: Option<&WaitReason>, settings: &ScreenSettings, now: DateTime<Utc>) -> RowParts {
    let appearance = &settings.appearance;
    let (theme, signs) = (&appearance.theme, appearance.symbols);
    match &job.state {
        JobState::Pending { requested, .. } => {
            let end = job.result_run().and_then(|run| run.end.as_ref());
            let failed = end.and_then(RunEnd::failure_summary).map(|failure| text::sanitize_line(&failure));
            let (sign, sign_style) = match (&failed, requested) {
                (_, true) => (signs.requested, theme.accent),
                (Some(_), false) => (signs.failed, theme.failure),
                (None, false) => (" ", Style::new()),
            };
            let reason = wait_reason.map(|reason| text::sanitize_line(&reason.describe(now))).unwrap_or_default();
            let (note, note_style) = match (wait_reason, failed) {
                (Some(WaitReason::QueuePaused | WaitReason::Confirm), _) => (reason, theme.warning),
                (Some(WaitReason::NeedsFailed(_)), _) => (reason, theme.failure),
                (Some(WaitReason::FreeSlot), _) if *requested => (reason, theme.accent),
                // Jobs of a processing queue that only wait for their turn have no note.
                (Some(WaitReason::FreeSlot | WaitReason::QueueIdle | WaitReason::QueueStopped), Some(failure)) => {
                    (failure, theme.failure)
                }
                (Some(WaitReason::FreeSlot | WaitReason::QueueIdle | WaitReason::QueueStopped) | None, None) => {
                    (String::new(), Style::new())
                }
                (_, _) => (reason, theme.dim),
            };
            RowParts { sign, sign_style, note, note_style, time: String::new(), duration: String::new() }
        }
        JobState::Running { stop, .. } => {
            let (sign, note) = match stop {
                None => (signs.running, ""),
                Some(StopSignal::Terminate) => (signs.stopping, "stopping"),
                Some(StopSignal::Kill) => (signs.stopping, "killing"),
            };
            let duration = time_format::elapsed_seconds(job, now);
            let stalled = job.stalled_since().filter(|_| stop.is_none()).map(|since| stalled_text(since, now));
            let note_style = if stalled.is_some() { theme.failure } else { theme.warning };
            let note = stalled.unwrap_or_else(|| note.to_owned());
            RowParts { sign, sign_style: theme.accent, note, note_style, time: String::new(), duration }
        }
        JobState::Finished { outcome, .. } => {
            let (sign, sign_style) = appearance.outcome(outcome);
            // A job that was cancelled before it ran has no duration.
            let ran = job.result_run().is_some_and(|run| run.end.is_some());
            let duration = if ran { time_format::last_run_duration(job, now) } else { String::new() };
            let time = finished_time(job, settings, now).unwrap_or_default();
            let note = finished_note(job);
            RowParts { sign, sign_style, note, note_style: sign_style, time, duration }
        }
    }
}

/// The value of a job, or the peak memory of its latest run.
fn value_text(job: &Job, shows_memory: bool) -> String {
    if shows_memory { last_peak_memory(job).map(text::bytes).unwrap_or_default() } else { short_value(job) }
}

/// The value of a job in a line; that of several names as `loss 0.2, epochs 3`.
pub(super) fn short_value(job: &Job) -> String {
    match job.result() {
        Some(Value::Object(values)) if !values.is_empty() => {
            let values = values.iter().map(|(name, value)| format!("{name} {}", result_value::text_of(value)));
            text::sanitize_line(&values.collect::<Vec<_>>().join(", "))
        }
        _ => job.result_line(),
    }
}

/// For how long a run prints nothing.
pub(super) fn stalled_text(since: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("stalled {}", text::approximate_duration((now - since).to_std().unwrap_or_default()))
}

/// By when a job should have succeeded.
pub(super) fn overdue_text(overdue: Overdue, settings: &ScreenSettings, now: DateTime<Utc>) -> String {
    let expected = time_format::format_time((settings.local)(overdue.expected), (settings.local)(now));
    format!("overdue since {expected}")
}

impl RowParts {
    /// Shows that the job is overdue, before everything else.
    fn with_overdue(self, row: &JobRow<'_>, settings: &ScreenSettings, now: DateTime<Utc>) -> Self {
        let Some(overdue) = row.overdue else { return self };
        let Appearance { theme, symbols } = &settings.appearance;
        let (expected, now) = ((settings.local)(overdue.expected), (settings.local)(now));
        let format = if expected.date() == now.date() { "%H:%M" } else { "%b %d" };
        let text = format!("overdue {}", expected.format(format));
        let note = if self.note.is_empty() { text } else { format!("{text}, {}", self.note) };
        let is_running = matches!(row.job.state, JobState::Running { .. });
        let (sign, sign_style) =
            if is_running { (self.sign, self.sign_style) } else { (symbols.overdue, theme.failure) };
        Self { sign, sign_style, note, note_style: theme.failure, ..self }
    }
}

fn finished_time(job: &Job, settings: &ScreenSettings, now: DateTime<Utc>) -> Option<String> {
    match &job.state {
        JobState::Finished { at, .. } => Some(time_format::format_time((settings.local)(*at), (settings.local)(now))),
        _ => None,
    }
}
