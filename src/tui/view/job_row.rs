//! Draws a job as one row of a list.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::model::{Job, JobState, Outcome, Overdue, RunEnd, StopSignal, WaitReason, result_value};
use crate::text;
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
    /// Whether the queue is shown, because the list contains jobs of several queues.
    pub(super) shows_queue: bool,
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

/// Longer values are truncated.
const MAX_VALUE_WIDTH: usize = 16;

/// What is right of a title is left out if the title would have less room.
const MIN_TITLE_WIDTH: usize = 12;

impl ColumnWidths {
    pub(super) fn of<'a>(
        jobs: &(impl Iterator<Item = &'a Job> + Clone),
        sort: SortOrder,
        width: u16,
        settings: &ScreenSettings,
        now: DateTime<Utc>,
    ) -> Self {
        let shows_memory = sort == SortOrder::Memory;
        let value = if shows_memory || result_value::are_comparable(jobs.clone()) {
            let widths = jobs.clone().map(|job| text::width(&value_text(job, shows_memory)));
            widths.max().unwrap_or(0).min(MAX_VALUE_WIDTH)
        } else {
            0
        };
        let longest = jobs.clone().filter_map(|job| finished_time(job, settings, now)).map(|time| time.len()).max();
        let time = longest.unwrap_or(0);
        let widest = |of: fn(&Job) -> String| jobs.clone().map(|job| text::width(&of(job))).max().unwrap_or(0);
        let title = widest(|job| text::sanitize_line(&job.display_title()));
        let beside = SIGNS_WIDTH + title.max(MIN_TITLE_WIDTH) + value + time + DURATION_WIDTH + 6;
        // All of it if no title is cut for that, otherwise up to a typical error message of the operating system.
        let most = (usize::from(width) / 4).saturating_sub(2).clamp(11, 30);
        let most = most.max(usize::from(width).saturating_sub(beside));
        let note = widest(finished_note).clamp(most.min(MIN_NOTE_WIDTH), most);
        Self { note, time, value, shows_memory, usage: 0 }
    }

    /// Also shows what running jobs use, if no title that has less than half of the row is cut for that.
    pub(super) fn with_usage<'a>(
        self,
        jobs: impl Iterator<Item = &'a Job>,
        width: u16,
        shows_queue: bool,
        has_bars: bool,
    ) -> Self {
        let row = |job: &Job| {
            let queue = if shows_queue { text::width(job.queue.as_str()) + 1 } else { 0 };
            queue + text::width(&text::sanitize_line(&job.display_title()))
        };
        let most = usize::from(width) / 2;
        let title = jobs.map(row).max().unwrap_or(0).min(most).max(MIN_TITLE_WIDTH);
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
        .left(if cursor == RowCursor::None { " " } else { appearance.symbols.cursor }, over(appearance.theme.active));
    painter.fixed_width(parts.sign, 1, over(parts.sign_style));
    painter.fixed_width(if row.is_marked { appearance.symbols.mark } else { " " }, 1, over(appearance.theme.warning));
    if job.outcome().is_some() {
        painter.right(" ", over(Style::new()));
        painter.right(&format!("{:>DURATION_WIDTH$}", parts.duration), over(appearance.theme.dim));
        painter.right(&format!(" {:>width$} ", parts.time, width = columns.time), over(appearance.theme.dim));
        if columns.value > 0 && painter.room() > columns.value + MIN_TITLE_WIDTH {
            let value = value_text(job, columns.shows_memory);
            let value = text::fit(&value, columns.value, appearance.symbols.ellipsis);
            let gap = " ".repeat(columns.value.saturating_sub(text::width(&value)));
            painter.right(&format!(" {gap}{value} "), over(Style::new()));
        }
        let note = text::pad(&parts.note, columns.note, appearance.symbols.ellipsis);
        // A readable title is worth more than the text of the outcome.
        if !parts.note.is_empty() && painter.room() > columns.note + MIN_TITLE_WIDTH {
            painter.right(&format!(" {note}"), over(parts.note_style));
        }
    } else {
        painter.right(" ", over(Style::new()));
        if let Some(usage) = row.usage.filter(|_| columns.usage > 0) {
            // The columns of all rows are below each other.
            painter.right(&format!(" {:>DURATION_WIDTH$}", parts.duration), over(appearance.theme.active));
            painter.right(&format!("{} ", usage.row_text(columns.usage)), over(appearance.theme.dim));
        } else if !parts.duration.is_empty() {
            painter.right(&format!(" {}", parts.duration), over(appearance.theme.active));
        }
        let room = painter.room().saturating_sub(14).min(40);
        let note = text::fit(&parts.note, room, appearance.symbols.ellipsis);
        if !note.is_empty() {
            painter.right(&format!(" {note} "), over(parts.note_style));
        }
    }
    if row.shows_queue {
        let queue = text::sanitize_line(job.queue.as_str());
        let room = painter.room() / 3;
        painter
            .left(&text::fit(&queue, room, appearance.symbols.ellipsis), over(appearance.theme.dim))
            .left("/", over(appearance.theme.dim));
    }
    let label = text::sanitize_line(&job.display_title());
    let room = painter.room();
    let fitting = text::fit_middle(&label, room, matrix_part(job, &label), appearance.symbols.ellipsis);
    painter.fixed_width(&fitting, room, over(title(job, cursor, appearance)));
}

/// Where in its title the values of a job of a matrix start, with the word before them: they tell it from the others.
fn matrix_part(job: &Job, label: &str) -> Option<usize> {
    let values = &job.definition.matrix.as_ref()?.values;
    let first = values.iter().filter_map(|(_, value)| label.rfind(&**value)).min()?;
    let mut words = label[..first].rmatch_indices(' ').map(|(space, _)| space);
    let starts_word = label[..first].ends_with(' ');
    if starts_word { words.nth(1) } else { words.next() }
}

/// The title. A script shown in place of a missing title is dimmed.
fn title(job: &Job, cursor: RowCursor, appearance: &Appearance) -> Style {
    let style = if job.title().is_empty() { appearance.theme.dim } else { Style::new() };
    if cursor == RowCursor::Unfocused { style.add_modifier(Modifier::BOLD) } else { style }
}

fn parts(job: &Job, wait_reason: Option<&WaitReason>, settings: &ScreenSettings, now: DateTime<Utc>) -> RowParts {
    let appearance = &settings.appearance;
    let (theme, signs) = (&appearance.theme, appearance.symbols);
    match &job.state {
        JobState::Pending { requested, .. } => {
            let end = job.result_run().and_then(|run| run.end.as_ref());
            let failed = end.and_then(RunEnd::failure_summary).map(|failure| text::sanitize_line(&failure));
            let (sign, sign_style) = match (&failed, requested) {
                (_, true) => (signs.requested, theme.active),
                (Some(_), false) => (signs.failed, theme.failure),
                (None, false) => (" ", Style::new()),
            };
            let reason = wait_reason.map(|reason| text::sanitize_line(&reason.describe(now))).unwrap_or_default();
            let (note, note_style) = match (wait_reason, failed) {
                (Some(WaitReason::QueuePaused | WaitReason::Confirm), _) => (reason, theme.warning),
                (Some(WaitReason::NeedsFailed(_)), _) => (reason, theme.failure),
                (Some(WaitReason::FreeSlot), _) if *requested => (reason, theme.active),
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
            RowParts { sign, sign_style: theme.active, note, note_style, time: String::new(), duration }
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
    if shows_memory { last_peak_memory(job).map(text::bytes).unwrap_or_default() } else { job.result_line() }
}

/// How a job ended, as short text. The sign alone says that it succeeded, which leaves room for its title.
fn finished_note(job: &Job) -> String {
    match job.outcome() {
        None | Some(Outcome::Succeeded) => String::new(),
        Some(outcome) => {
            let end = job.result_run().and_then(|run| run.end.as_ref()).filter(|end| end.outcome == *outcome);
            end.map_or_else(|| outcome_text(outcome), end_text)
        }
    }
}

/// The end of a run as short text: its outcome, and the cause if it says more.
pub(super) fn end_text(end: &RunEnd) -> String {
    end.failure_summary().map_or_else(|| outcome_text(&end.outcome), |failure| text::sanitize_line(&failure))
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

/// An outcome as short text.
pub(super) fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(failure) => text::sanitize_line(&failure.message),
        Outcome::Skipped { reason, .. } => format!("skipped: {}", text::sanitize_line(reason)),
        Outcome::Unreachable { .. } => text::sanitize_line(&outcome.to_string()),
        other => other.as_str().to_owned(),
    }
}

fn finished_time(job: &Job, settings: &ScreenSettings, now: DateTime<Utc>) -> Option<String> {
    match &job.state {
        JobState::Finished { at, .. } => Some(time_format::format_time((settings.local)(*at), (settings.local)(now))),
        _ => None,
    }
}
