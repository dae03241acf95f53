//! Draws the results of a matrix: its parameters and values in columns, the best first.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::{Run, SiteState};
use crate::text;
use crate::tui::mouse::{ClickTarget, ClickTargets};
use crate::tui::results_table::{MatrixResults, ResultRow, ResultsTable, visible_rows};
use crate::tui::state::ScreenSettings;
use crate::tui::theme::Appearance;

use super::job_state_text::job_state_text;
use super::line_painter::{LinePainter, lines, without_first_line};
use super::page_title::PageTitle;

/// The most cells of a column.
const MAX_WIDTH: usize = 24;

/// What the table shows.
pub(super) struct ResultsContext<'a> {
    pub(super) settings: &'a ScreenSettings,
    pub(super) site: &'a SiteState,
    pub(super) now: DateTime<Utc>,
}

impl ResultsContext<'_> {
    pub(super) fn draw(&self, table: &ResultsTable, area: Rect, buffer: &mut Buffer, targets: &mut ClickTargets) {
        let Appearance { theme, symbols } = &self.settings.appearance;
        let Some(results) = table.results(self.site) else {
            PageTitle { name: "Results", facts: &[], hidden: (0, 0) }.draw(&self.settings.appearance, area, buffer);
            let note = "Too many jobs to compare here. setlist results lists them.";
            LinePainter::new(without_first_line(area), buffer, symbols).left("   ", Style::new()).left(note, theme.dim);
            return;
        };
        let visible = visible_rows(area.height);
        let hidden = (table.offset, results.rows.len().saturating_sub(table.offset + visible));
        let facts = [
            format!("{}/{}", results.queue, results.entry),
            text::count_noun(results.rows.len(), "job"),
            if results.has_values() { results.order_text() } else { "no values yet".to_owned() },
        ];
        PageTitle { name: "Results", facts: &facts, hidden }.draw(&self.settings.appearance, area, buffer);
        let widths = widths(&results);
        let body = without_first_line(area);
        self.draw_heading(&results, &widths, body, buffer);
        let selected = table.selected_row(&results);
        let shown = results.rows.iter().enumerate().skip(table.offset);
        for (line, (nth, (index, row))) in lines(without_first_line(body)).zip(shown.enumerate()) {
            self.draw_row(&results, row, &widths, index == selected, line, buffer);
            targets.add(line, line.x..line.right(), ClickTarget::PageRow(nth));
        }
    }

    fn draw_heading(&self, results: &MatrixResults<'_>, widths: &[usize], area: Rect, buffer: &mut Buffer) {
        let Appearance { theme, symbols } = &self.settings.appearance;
        let mut painter = LinePainter::new(area, buffer, symbols);
        painter.left("    ", theme.dim);
        let (sorted, highest_first) = results.order;
        for (column, (name, width)) in results.columns.iter().zip(widths).enumerate() {
            let name = text::sanitize_line(name);
            let arrow = if highest_first { symbols.below } else { symbols.above };
            let (name, style) =
                if column == sorted { (format!("{name}{arrow}"), theme.focus) } else { (name, theme.dim) };
            let is_number = results.rows.iter().any(|row| row.is_number(column));
            painter.left(&aligned(&name, *width, is_number, symbols.ellipsis), style).left("  ", Style::new());
        }
        painter.left("State", theme.dim);
    }

    fn draw_row(
        &self,
        results: &MatrixResults<'_>,
        row: &ResultRow<'_>,
        widths: &[usize],
        is_selected: bool,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let Appearance { theme, symbols } = &self.settings.appearance;
        if is_selected {
            buffer.set_style(area, theme.cursor);
        }
        let over = |style: Style| if is_selected { theme.cursor } else { style };
        let (sign, style, words) = job_state_text(row.job, self.site, &self.settings.appearance, self.now);
        let mut painter = LinePainter::new(area, buffer, symbols);
        painter.left(if is_selected { symbols.cursor } else { " " }, over(theme.active));
        painter.left(sign, over(style)).left("  ", over(Style::new()));
        for (column, width) in widths.iter().enumerate() {
            let cell = text::sanitize_line(&row.text(column));
            let is_number = results.rows.iter().any(|row| row.is_number(column));
            let style = if column < results.parameters { theme.dim } else { Style::new() };
            painter.left(&aligned(&cell, *width, is_number, symbols.ellipsis), over(style)).left("  ", over(style));
        }
        let took = row.job.result_run().and_then(Run::duration).map(text::duration);
        let took = took.map(|took| format!(" {} {took}", symbols.dot)).unwrap_or_default();
        painter.left(&words, over(style)).left(&took, over(theme.dim));
    }
}

fn widths(results: &MatrixResults<'_>) -> Vec<usize> {
    let width = |column: usize| {
        let cells = results.rows.iter().map(|row| text::width(&text::sanitize_line(&row.text(column))));
        // The heading has an arrow while the column is sorted.
        cells.chain([text::width(&results.columns[column]) + 1]).max().unwrap_or(0).min(MAX_WIDTH)
    };
    (0..results.columns.len()).map(width).collect()
}

/// A text in a column: numbers at its right end.
fn aligned(content: &str, width: usize, is_number: bool, ellipsis: &str) -> String {
    let padded = text::pad(content, width, ellipsis);
    if !is_number {
        return padded;
    }
    let trimmed = padded.trim_end();
    format!("{}{trimmed}", " ".repeat(width.saturating_sub(text::width(trimmed))))
}
