//! Draws what has changed since some time ago: each job with how its run ended then and how it ended now.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::{Job, Outcome, RunSpan};
use crate::text;
use crate::tui::action::Action;
use crate::tui::changes_table::{ChangedJob, ChangesTable, RunDifference, span_length, visible_rows};
use crate::tui::job_label::JobLabel;
use crate::tui::mouse::ClickTargets;
use crate::tui::outcome_text::outcome_text;
use crate::tui::theme::Appearance;

use super::line_painter::{LinePainter, without_first_line};
use super::page_title::PageTitle;
use super::page_view::{PageView, visible_lines};

/// The width of how a run differs.
const DIFFERENCE_WIDTH: usize = 15;

/// The widths of the columns.
struct ChangesColumns {
    job: usize,
    then: usize,
    now: usize,
}

impl ChangesColumns {
    /// The columns where the longest names and ends have these widths.
    fn new(width: u16, [name, label, then, now]: [usize; 4]) -> Self {
        // The cursor and the sign, and a gap of two cells before and between the ends.
        let room = usize::from(width).saturating_sub(4 + DIFFERENCE_WIDTH + 4);
        // Names tell jobs apart; titles get what is left.
        let left = room - name.min(room / 2);
        let then = then.min(left * 2 / 5).max("Then".len());
        let now = now.min(left.saturating_sub(then)).max("Now".len());
        Self { job: label.min(room.saturating_sub(then + now)).max(8), then, now }
    }
}

impl PageView<'_> {
    pub(super) fn draw_changes(
        &self,
        table: &ChangesTable,
        area: Rect,
        buffer: &mut Buffer,
        targets: &mut ClickTargets,
    ) {
        let rows = table.rows();
        let visible = visible_rows(area.height);
        let hidden = (table.offset, rows.len().saturating_sub(table.offset + visible));
        let fails = rows.iter().filter(|row| row.kind == RunDifference::Fails).count();
        let facts = [
            format!("since {} ago", table.age_text()),
            table.queue().map_or_else(|| "all queues".to_owned(), ToString::to_string),
            text::count_noun(rows.len(), "job"),
            if fails > 0 { format!("{fails} fail now") } else { String::new() },
            if table.is_cut() { "only the latest runs before".to_owned() } else { String::new() },
        ];
        PageTitle { name: "Changes", facts: &facts, hidden }.draw(&self.settings.appearance, area, buffer);
        let body = without_first_line(area);
        if rows.is_empty() {
            return self.draw_note(&self.unchanged_note(table), body, buffer);
        }
        let jobs = || rows.iter().filter_map(|row| self.site.job(row.job));
        let widest = [
            jobs().map(|job| text::width(&text::sanitize_line(&job.path()))).max(),
            jobs().map(|job| JobLabel::of(job).with_path(job).width()).max(),
            rows.iter().filter_map(|row| row.earlier.as_ref()).map(|span| text::width(&end_of_run(span))).max(),
            jobs().filter_map(latest_run).map(|span| text::width(&end_of_run(&span))).max(),
        ];
        let columns = ChangesColumns::new(area.width, widest.map(Option::unwrap_or_default));
        self.draw_changes_heading(&columns, body, buffer);
        let selected = table.selected_row();
        for (index, row, line) in visible_lines(rows, table.offset, without_first_line(body), targets) {
            self.draw_changed_job(row, &columns, index == selected, line, buffer);
        }
    }

    /// Why there are no rows, and which key may show some.
    fn unchanged_note(&self, table: &ChangesTable) -> String {
        if table.is_loading() {
            return format!("Loading{}", self.settings.appearance.symbols.ellipsis);
        }
        let key = |action| self.settings.keymap.key(action);
        let (longer, shorter) = (key(Action::MoreParallel), key(Action::LessParallel));
        let age = table.age_text();
        match (table.has_earlier_runs(), table.has_shorter_age()) {
            (true, _) => format!(
                "No job ended otherwise than {age} ago, or took much longer or less. Press {longer} or {shorter} to \
                 compare with another time."
            ),
            (false, true) => format!("No run is older than {age}. Press {shorter} to compare with a later time."),
            (false, false) => format!("No run is older than {age}."),
        }
    }

    fn draw_changes_heading(&self, columns: &ChangesColumns, area: Rect, buffer: &mut Buffer) {
        let Appearance { theme, symbols } = &self.settings.appearance;
        let mut painter = LinePainter::new(area, buffer, symbols);
        painter.left("    ", theme.dim).fixed_width("Job", columns.job, theme.dim).left("  ", theme.dim);
        painter.fixed_width("Change", DIFFERENCE_WIDTH, theme.dim);
        painter.fixed_width("Then", columns.then, theme.dim).left("  ", theme.dim);
        painter.fixed_width("Now", columns.now, theme.dim);
    }

    fn draw_changed_job(
        &self,
        row: &ChangedJob,
        columns: &ChangesColumns,
        is_selected: bool,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let Some(job) = self.site.job(row.job) else { return };
        let Appearance { theme, symbols } = &self.settings.appearance;
        if is_selected {
            buffer.set_style(area, theme.cursor);
        }
        let over = |style: Style| if is_selected { theme.cursor } else { style };
        let latest = latest_run(job);
        let outcome = latest.as_ref().and_then(|span| span.outcome.as_ref());
        let (sign, sign_style) =
            outcome.map_or((symbols.dot, theme.dim), |outcome| self.settings.appearance.outcome(outcome));
        let style = match row.kind {
            RunDifference::Fails | RunDifference::FailsOtherwise => theme.failure,
            RunDifference::Slower => theme.warning,
            RunDifference::Succeeds | RunDifference::Faster => theme.success,
            RunDifference::EndedOtherwise | RunDifference::FirstRun => theme.dim,
        };
        let mut painter = LinePainter::new(area, buffer, symbols);
        painter.left(if is_selected { symbols.cursor } else { " " }, over(theme.accent));
        painter.left(sign, over(sign_style)).left("  ", over(Style::new()));
        let label = JobLabel::of(job).with_path(job).fit(columns.job, symbols.ellipsis);
        painter.left(&label.main, over(Style::new()));
        let rest = columns.job.saturating_sub(text::width(&label.main));
        painter.fixed_width(&label.script, rest, over(theme.dim)).left("  ", over(Style::new()));
        painter.fixed_width(row.kind.as_str(), DIFFERENCE_WIDTH, over(style));
        let end = |span: Option<&RunSpan>| span.map(end_of_run).unwrap_or_default();
        let then = text::pad(&end(row.earlier.as_ref()), columns.then, symbols.ellipsis);
        let now = text::pad(&end(latest.as_ref()), columns.now, symbols.ellipsis);
        painter.left(&then, over(theme.dim)).left("  ", over(Style::new())).left(&now, over(Style::new()));
    }
}

fn latest_run(job: &Job) -> Option<RunSpan> {
    job.result_run().map(|run| RunSpan::new(job.id, run))
}

/// How a run ended and how long it took.
fn end_of_run(span: &RunSpan) -> String {
    let took = span_length(span).map(text::duration).unwrap_or_default();
    match &span.outcome {
        None | Some(Outcome::Succeeded) => took,
        Some(outcome) => format!("{took}, {}", outcome_text(outcome)),
    }
}
