//! Draws the lists of pending, running and finished jobs. Only visible jobs are read.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::{Job, Phase, QueueId, QueueState};
use crate::text;
use crate::tui::job_filter::describe_filter;
use crate::tui::job_lists::JobLists;
use crate::tui::layout::{LayoutKind, PHASES, ScreenLayout};
use crate::tui::mouse::{ClickTarget, ClickTargets};
use crate::tui::output::JobProgress;
use crate::tui::output_subscription::OutputSubscriptions;
use crate::tui::run_usage::RunUsages;
use crate::tui::sort_order::SortOrder;
use crate::tui::theme::Appearance;

use super::empty_states::{self, EmptyList};
use super::idle_reason::IdleCheck;
use super::job_row::{self, ColumnWidths, JobRow, RowCursor};
use super::line_painter::{LinePainter, lines, without_first_line};

/// Narrower lists are beside another.
const MIN_WIDTH_FOR_SHARED_COLUMN: u16 = 50;

/// The data from which a list is drawn.
pub(super) struct ListView<'a> {
    pub(super) lists: &'a JobLists,
    pub(super) queue_id: &'a QueueId,
    pub(super) queue: &'a QueueState,
    /// The reported progress of running jobs.
    pub(super) subscriptions: &'a OutputSubscriptions,
    /// What running jobs use.
    pub(super) usages: &'a RunUsages,
    pub(super) idle: IdleCheck<'a>,
}

/// The title of a list.
pub(super) fn title(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "Pending",
        Phase::Running => "Running",
        Phase::Finished => "Finished",
    }
}

impl ListView<'_> {
    /// Draws a list with its heading.
    pub(super) fn draw(&self, phase: Phase, layout: &ScreenLayout, buffer: &mut Buffer) {
        let area = layout.list(phase);
        if area.is_empty() {
            return;
        }
        let has_heading = layout.kind != LayoutKind::Tabs;
        let body = if has_heading { without_first_line(area) } else { area };
        if has_heading {
            self.draw_heading(phase, area, usize::from(body.height), buffer);
        }
        if self.lists.rows(self.queue, phase).is_empty() {
            let note = self.empty_list(phase).note(self.idle.settings);
            empty_states::draw_note(&note, &self.idle.settings.appearance, body, buffer);
        } else {
            self.draw_rows(phase, body, buffer);
        }
    }

    fn draw_rows(&self, phase: Phase, area: Rect, buffer: &mut Buffer) {
        let (settings, site, now) = (self.idle.settings, self.idle.site, self.idle.now);
        let focus = self.lists.focus();
        let rows = self.lists.rows(self.queue, phase);
        let jobs: Vec<(Rect, &Job)> = lines(area)
            .zip(self.lists.offset(phase)..rows.len())
            .filter_map(|(line, index)| Some((line, site.job(rows.get(index)?)?)))
            .collect();
        let jobs_shown = jobs.iter().map(|(_, job)| *job);
        let name_width = |id: &QueueId| text::width(&text::sanitize_line(id.as_str()));
        let queue_width = match self.lists.shows_all_queues() {
            false => None,
            // The same in all lists that are below each other, so that their titles are, too.
            true if area.width >= MIN_WIDTH_FOR_SHARED_COLUMN => {
                site.queues().into_iter().map(|(id, _)| name_width(id)).max()
            }
            true => jobs.iter().map(|(_, job)| name_width(&job.queue)).max(),
        };
        let list = (self.lists.sort(), queue_width.unwrap_or(0));
        let mut columns = ColumnWidths::of(&jobs_shown, list, area.width, settings, now);
        if phase == Phase::Running {
            let has_bar = |run| self.subscriptions.progress(run) != JobProgress::None;
            let has_bars = jobs.iter().filter_map(|(_, job)| job.current_run()).any(has_bar);
            columns = columns.with_usage(jobs_shown, area.width, has_bars);
        }
        for (line, job) in jobs {
            let cursor = match self.lists.selected_in(phase) == Some(job.id) {
                true if focus.list == phase && !focus.output => RowCursor::Focused,
                true if focus.list == phase => RowCursor::Unfocused,
                _ => RowCursor::None,
            };
            let wait_reason = site.wait_reason(job);
            let row = JobRow {
                job,
                wait_reason: wait_reason.as_ref(),
                overdue: site.overdue_job(job, now),
                usage: job.current_run().map(|run| self.usages.of(run, self.subscriptions)),
                progress: job.current_run().map(|run| self.subscriptions.progress(run)).unwrap_or_default(),
                cursor,
                is_marked: self.lists.marks().contains(job.id),
            };
            job_row::draw(&row, &columns, settings, line, buffer, now);
        }
    }

    fn empty_list(&self, phase: Phase) -> EmptyList {
        let shows_all_queues = self.lists.shows_all_queues();
        let idle_reason = match phase {
            Phase::Running if shows_all_queues => self.idle.site_reason(),
            Phase::Running => self.idle.queue_reason(self.queue_id, self.queue),
            Phase::Pending | Phase::Finished => None,
        };
        EmptyList {
            phase,
            is_scanning: self.lists.is_scanning(),
            is_filtered: !self.lists.filter_text().is_empty(),
            shows_all_queues,
            has_pending: !self.queue.pending.is_empty(),
            idle_reason,
        }
    }

    /// Draws the heading of a list: its title, counts, filter and sort order, and how many jobs are above and below.
    fn draw_heading(&self, phase: Phase, area: Rect, height: usize, buffer: &mut Buffer) {
        let Appearance { theme, symbols } = &self.idle.settings.appearance;
        let focus = self.lists.focus();
        let is_focused = focus.list == phase && !focus.output;
        let shown = self.lists.rows(self.queue, phase).len();
        let mut painter = LinePainter::new(area, buffer, symbols);
        let rule = if is_focused { theme.focus } else { theme.rule };
        painter.left(symbols.rule, rule).left(" ", Style::new());
        painter.left(title(phase), if is_focused { theme.focus } else { theme.title });
        let all = self.count_jobs(phase);
        if all > 0 {
            painter.left(&format!(" {}", text::count(all)), theme.dim);
        }
        let filter = text::sanitize_line(self.lists.filter_text());
        if !filter.is_empty() {
            painter.left(&format!(" {} {}", symbols.dot, describe_filter(&filter, Some(shown))), theme.warning);
        }
        let marked = self.lists.marks().count(phase);
        if marked > 0 {
            painter.left(&format!(" {} {} marked", symbols.dot, text::count(marked)), theme.warning);
        }
        if self.lists.sort() != SortOrder::Queue {
            painter.left(&format!(" {} {}", symbols.dot, self.lists.sort().label()), theme.dim);
        }
        painter.left(" ", Style::new());
        let above = self.lists.offset(phase);
        let below = shown.saturating_sub(above + height);
        let hidden = |symbol: &str, jobs: usize| {
            if jobs > 0 { format!(" {symbol}{}", text::count(jobs)) } else { String::new() }
        };
        let more = hidden(symbols.above, above) + &hidden(symbols.below, below);
        if !more.is_empty() {
            painter.right(&format!("{more} "), theme.dim);
        }
        painter.fill(symbols.rule, rule);
    }

    /// Draws the lists as tabs if there is room for only one list.
    pub(super) fn draw_tabs(&self, layout: &ScreenLayout, buffer: &mut Buffer, targets: &mut ClickTargets) {
        let Appearance { theme, symbols } = &self.idle.settings.appearance;
        let mut painter = LinePainter::new(layout.phase_tabs, buffer, symbols);
        for phase in PHASES {
            let is_current = self.lists.focus().list == phase;
            let start = painter.column();
            painter.left(" ", Style::new());
            painter.left(title(phase), if is_current { theme.tab } else { theme.title });
            painter.left(&format!(" {} ", text::count(self.count_jobs(phase))), theme.dim);
            targets.add(layout.phase_tabs, start..painter.column(), ClickTarget::List(phase));
        }
        let filter = text::sanitize_line(self.lists.filter_text());
        if !filter.is_empty() {
            painter.left(&format!(" {} {}", symbols.dot, describe_filter(&filter, None)), theme.warning);
        }
    }

    /// The number of jobs in a list, ignoring the filter.
    fn count_jobs(&self, phase: Phase) -> usize {
        if self.lists.shows_all_queues() {
            self.idle.site.queues().iter().map(|(_, queue)| queue.jobs_in(phase).len()).sum()
        } else {
            self.queue.jobs_in(phase).len()
        }
    }
}

/// Draws the line between the lists and the output.
pub(super) fn draw_divider(appearance: &Appearance, area: Rect, buffer: &mut Buffer) {
    for line in lines(area) {
        LinePainter::new(line, buffer, appearance.symbols).left(appearance.symbols.vertical, appearance.theme.rule);
    }
}
