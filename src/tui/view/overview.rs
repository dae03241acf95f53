//! Draws the overview: a row per queue. Only visible queues are read.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::{QueueId, QueueState, QueueStatus};
use crate::text;
use crate::tui::job_filter::describe_filter;
use crate::tui::mouse::{ClickTarget, ClickTargets};
use crate::tui::overview::{Overview, QueueOrder, QueueRow};
use crate::tui::queue_stats::{QueueStats, SPARKLINE_CELLS};
use crate::tui::theme::Appearance;

use super::idle_reason::IdleCheck;
use super::line_painter::{LinePainter, lines, without_first_line};

/// The widths of the columns; 0 for those without room.
#[derive(Clone, Copy)]
struct Columns {
    name: usize,
    bar: usize,
    state: usize,
    finished: usize,
    left: usize,
    sparkline: usize,
}

/// The width of a count.
const COUNT_WIDTH: usize = 9;
/// The width of what precedes the name: the cursor and the number.
const NUMBER_WIDTH: usize = 5;
/// The widths of the names of queues at least, if there is room, and at most.
const MIN_NAME_WIDTH: usize = 20;
const MAX_NAME_WIDTH: usize = 40;
/// How many cells that no other column needs make the bars longer.
const MAX_LONGER_BAR: usize = 24;

/// The statistics of a queue, and its finished jobs in each part of the last hour.
pub(super) type StatsOfQueue<'a> = dyn Fn(&QueueId, &QueueState) -> (QueueStats, [usize; SPARKLINE_CELLS]) + 'a;

/// What the overview shows.
pub(super) struct OverviewContext<'a> {
    pub(super) idle: IdleCheck<'a>,
    pub(super) stats: &'a StatsOfQueue<'a>,
}

impl Columns {
    /// The columns of a table whose longest name of a queue has this width.
    fn new(width: u16, longest_name: usize, order: QueueOrder) -> Self {
        let at_least = |least: u16, width_of_column: usize| if width >= least { width_of_column } else { 0 };
        // The column by which the rows are sorted is always shown.
        let needs_left = order == QueueOrder::TimeLeft;
        let columns = Self {
            name: 0,
            bar: at_least(100, 12),
            state: at_least(70, 18),
            finished: at_least(if needs_left { 90 } else { 60 }, COUNT_WIDTH + 1),
            left: at_least(if needs_left { 60 } else { 110 }, 10),
            sparkline: 0,
        };
        let others = columns.bar + columns.state + columns.finished + columns.left;
        let room = usize::from(width).saturating_sub(NUMBER_WIDTH + others + 3 * COUNT_WIDTH + 1);
        let name = longest_name.clamp(MIN_NAME_WIDTH, MAX_NAME_WIDTH).min(room);
        // The last hour is shown beside names that are not cut for it.
        let sparkline = at_least(110, SPARKLINE_CELLS + 3);
        let sparkline = if room >= sparkline + name { sparkline } else { 0 };
        let longer_bar = if columns.bar > 0 { (room - sparkline - name).min(MAX_LONGER_BAR) } else { 0 };
        Self { name, sparkline, bar: columns.bar + longer_bar, ..columns }
    }
}

impl OverviewContext<'_> {
    /// Draws the table and keeps the selected queue visible.
    pub(super) fn draw(&self, overview: &mut Overview, area: Rect, buffer: &mut Buffer, targets: &mut ClickTargets) {
        let Appearance { theme, symbols } = &self.idle.settings.appearance;
        let rows = overview.rows(self.idle.site, &|id, queue| (self.stats)(id, queue).0.time_left);
        let selected = overview.selected_row(&rows);
        let body = without_first_line(without_first_line(area));
        let height = usize::from(body.height);
        let least = (selected + 1).saturating_sub(height);
        overview.offset = overview.offset.clamp(least, selected.max(least)).min(rows.len().saturating_sub(height));
        self.draw_title(overview, &rows, area, height, buffer);
        let queues = self.idle.site.queues();
        let names = queues.iter().map(|(id, queue)| text::width(&title_or_id(id, queue)));
        let columns = Columns::new(area.width, names.max().unwrap_or(0), overview.order);
        self.draw_heading(columns, without_first_line(area), buffer);
        if rows.is_empty() {
            LinePainter::new(body, buffer, symbols).left("   No matching queue.", theme.dim);
        }
        for (line, (index, row)) in lines(body).zip(rows.iter().enumerate().skip(overview.offset)) {
            self.draw_row(row, index == selected, columns, line, buffer);
            targets.add(line, line.x..line.right(), ClickTarget::QueueRow(row.id.clone()));
        }
    }

    fn draw_title(&self, overview: &Overview, rows: &[QueueRow<'_>], area: Rect, height: usize, buffer: &mut Buffer) {
        let Appearance { theme, symbols } = &self.idle.settings.appearance;
        let mut painter = LinePainter::new(area, buffer, symbols);
        painter.left(symbols.rule, theme.focus).left(" Queues ", theme.focus);
        painter.left(&text::count(self.idle.site.queues().len()), theme.dim);
        let needle = text::sanitize_line(overview.line.text());
        if !needle.is_empty() {
            painter.left(&format!(" {} {}", symbols.dot, describe_filter(&needle, Some(rows.len()))), theme.warning);
        }
        if let Some(order) = overview.order.label() {
            painter.left(&format!(" {} {order}", symbols.dot), theme.dim);
        }
        painter.left(" ", Style::new());
        let hidden = rows.len().saturating_sub(overview.offset + height);
        let above = if overview.offset > 0 { format!(" {}{}", symbols.above, overview.offset) } else { String::new() };
        let below = if hidden > 0 { format!(" {}{hidden}", symbols.below) } else { String::new() };
        if !(above.is_empty() && below.is_empty()) {
            painter.right(&format!("{above}{below} "), theme.dim);
        }
        painter.fill(symbols.rule, theme.focus);
    }

    fn draw_heading(&self, columns: Columns, area: Rect, buffer: &mut Buffer) {
        let Appearance { theme, symbols } = &self.idle.settings.appearance;
        let mut painter = LinePainter::new(area, buffer, symbols);
        let dim = theme.dim;
        painter.fixed_width("", NUMBER_WIDTH, dim).fixed_width("Queue", columns.name, dim);
        painter.fixed_width(" Done", columns.bar, dim);
        painter.left(&format!("{:>COUNT_WIDTH$}", "Pending"), dim).left(&format!("{:>COUNT_WIDTH$}", "Running"), dim);
        painter.left(&right_aligned("Finished", columns.finished), dim);
        painter.left(&format!("{:>COUNT_WIDTH$}", "Failed"), dim);
        painter.left(&right_aligned("Left", columns.left), dim);
        painter.fixed_width("   Last hour", columns.sparkline, dim).fixed_width("  State", columns.state, dim);
    }

    fn draw_row(&self, row: &QueueRow<'_>, is_selected: bool, columns: Columns, area: Rect, buffer: &mut Buffer) {
        let Appearance { theme, symbols } = &self.idle.settings.appearance;
        if is_selected {
            buffer.set_style(area, theme.cursor);
        }
        // The row under the cursor has one style, so that all of it is readable.
        let over = |style: Style| if is_selected { theme.cursor } else { style };
        let queue = row.queue;
        let (pending, running) = (queue.pending.len(), queue.running.len());
        let (finished, failed) = (queue.finished.len(), self.idle.site.failed_count(row.id));
        let counted = |count: usize, style: Style| if count == 0 { theme.dim } else { style };
        let (stats, hour) = (self.stats)(row.id, row.queue);
        let mut painter = LinePainter::new(area, buffer, symbols);
        painter.left(if is_selected { symbols.cursor } else { " " }, over(theme.accent));
        painter.left(&format!("{:>3} ", row.number), over(theme.dim));
        let name = text::fit_middle(&title_or_id(row.id, queue), columns.name, None, symbols.ellipsis).into_owned();
        painter.fixed_width(&name, columns.name, over(Style::new()));
        if columns.bar > 0 {
            let cells = columns.bar - 2;
            let done = cells * finished / (pending + running + finished).max(1);
            let (full, empty) = if self.idle.settings.appearance.is_ascii() { ("#", ".") } else { ("━", "─") };
            // One failure among many is visible too.
            let red = (cells * failed).div_ceil((pending + running + finished).max(1)).min(done);
            painter.left(" ", over(Style::new())).left(&full.repeat(done - red), over(theme.success));
            painter.left(&full.repeat(red), over(theme.failure));
            painter.left(&empty.repeat(cells - done), over(theme.rule)).left(" ", over(Style::new()));
        }
        let number = |count: usize, width: usize| right_aligned(&text::count(count), width);
        painter.left(&number(pending, COUNT_WIDTH), over(counted(pending, Style::new())));
        painter.left(&number(running, COUNT_WIDTH), over(counted(running, theme.accent)));
        painter.left(&number(finished, columns.finished), over(counted(finished, Style::new())));
        let failures = if failed > 0 { format!("{} {}", symbols.failed, text::count(failed)) } else { "0".to_owned() };
        painter.left(&right_aligned(&failures, COUNT_WIDTH), over(counted(failed, theme.failure)));
        let left = stats.time_left.map(|left| format!("~{}", text::approximate_duration(left))).unwrap_or_default();
        painter.left(&right_aligned(&left, columns.left), over(Style::new()));
        if columns.sparkline > 0 {
            painter.left("   ", over(Style::new())).left(&sparkline(&hour, symbols.bars), over(theme.accent));
        }
        if columns.state > 0 {
            let (label, style) = self.state(row);
            painter.left("  ", over(Style::new())).left(&label, over(style));
        }
    }

    /// The state of a queue in words, with how many of its jobs need approval, or when it is due next.
    fn state(&self, row: &QueueRow<'_>) -> (String, Style) {
        let theme = &self.idle.settings.appearance.theme;
        if self.idle.lacks_worker(row.id) {
            return ("no worker".to_owned(), theme.failure);
        }
        let status = self.idle.site.queue_status(row.id);
        let style = match status {
            QueueStatus::Idle => theme.dim,
            QueueStatus::Running | QueueStatus::Processing => theme.accent,
            QueueStatus::Paused | QueueStatus::NeedsApproval => theme.warning,
            QueueStatus::Stopped => theme.failure,
        };
        let label = match status {
            QueueStatus::Idle => self.idle.next_due(row.id).unwrap_or_else(|| status.as_str().to_owned()),
            QueueStatus::NeedsApproval => match self.idle.site.approvals_due(row.id).count() {
                1 => status.as_str().to_owned(),
                count => format!("{count} need approval"),
            },
            other => other.as_str().to_owned(),
        };
        (label, style)
    }
}

/// What a queue is called: its title, or its name.
fn title_or_id(id: &QueueId, queue: &QueueState) -> String {
    let title = &queue.settings.title;
    text::sanitize_line(if title.is_empty() { id.as_str() } else { title })
}

/// Text at the right end of a column; nothing in a column without width.
fn right_aligned(content: &str, width: usize) -> String {
    if width == 0 {
        return String::new();
    }
    let gap = width.saturating_sub(text::width(content));
    format!("{}{content}", " ".repeat(gap))
}

/// A bar for each part of the last hour, as high as the number of jobs that finished in it.
fn sparkline(counts: &[usize; SPARKLINE_CELLS], bars: [&'static str; 8]) -> String {
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let bar = |count: usize| if count == 0 { " " } else { bars[(count * bars.len() / (most + 1)).min(bars.len() - 1)] };
    counts.iter().map(|count| bar(*count)).collect()
}
