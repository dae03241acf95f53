//! Draws the results of a matrix: its parameters and values in columns, the best first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::Run;
use crate::text;
use crate::tui::mouse::ClickTargets;
use crate::tui::results_table::{MatrixResults, ResultRow, ResultsTable, visible_rows};
use crate::tui::theme::Appearance;

use super::job_state_text::job_state_text;
use super::line_painter::{LinePainter, without_first_line};
use super::page_title::PageTitle;
use super::page_view::{PageView, visible_lines};

/// The most cells of a column.
const MAX_WIDTH: usize = 24;

impl PageView<'_> {
    pub(super) fn draw_results(
        &self,
        table: &ResultsTable,
        area: Rect,
        buffer: &mut Buffer,
        targets: &mut ClickTargets,
    ) {
        let Some(results) = table.results(self.site) else {
            PageTitle { name: "Results", facts: &[], hidden: (0, 0) }.draw(&self.settings.appearance, area, buffer);
            let note = "Too many jobs to compare here. setlist results lists them.";
            self.draw_note(note, without_first_line(area), buffer);
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
        let columns = column_layouts(&results);
        let body = without_first_line(area);
        self.draw_results_heading(&results, &columns, body, buffer);
        let selected = table.selected_row(&results);
        for (index, row, line) in visible_lines(&results.rows, table.offset, without_first_line(body), targets) {
            self.draw_result_row(&results, row, &columns, index == selected, line, buffer);
        }
    }

    fn draw_results_heading(
        &self,
        results: &MatrixResults<'_>,
        columns: &[ColumnLayout],
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let Appearance { theme, symbols } = &self.settings.appearance;
        let mut painter = LinePainter::new(area, buffer, symbols);
        painter.left("    ", theme.dim);
        let (sorted, highest_first) = results.order;
        for (column, (name, layout)) in results.columns.iter().zip(columns).enumerate() {
            let name = text::sanitize_line(name);
            let arrow = if highest_first { symbols.below } else { symbols.above };
            let (name, style) =
                if column == sorted { (format!("{name}{arrow}"), theme.focus) } else { (name, theme.dim) };
            painter.left(&layout.aligned(&name, symbols.ellipsis), style).left("  ", Style::new());
        }
        painter.left("State", theme.dim);
    }

    fn draw_result_row(
        &self,
        results: &MatrixResults<'_>,
        row: &ResultRow<'_>,
        columns: &[ColumnLayout],
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
        painter.left(if is_selected { symbols.cursor } else { " " }, over(theme.accent));
        painter.left(sign, over(style)).left("  ", over(Style::new()));
        for (column, layout) in columns.iter().enumerate() {
            let cell = text::sanitize_line(&row.text(column));
            let style = if column < results.parameters { theme.dim } else { Style::new() };
            painter.left(&layout.aligned(&cell, symbols.ellipsis), over(style)).left("  ", over(style));
        }
        let took = row.job.result_run().and_then(Run::duration).map(text::duration);
        let took = took.map(|took| format!(" {} {took}", symbols.dot)).unwrap_or_default();
        painter.left(&words, over(style)).left(&took, over(theme.dim));
    }
}

/// How a column is drawn.
struct ColumnLayout {
    width: usize,
    /// Numbers are at the right end.
    has_numbers: bool,
}

impl ColumnLayout {
    fn aligned(&self, content: &str, ellipsis: &str) -> String {
        let padded = text::pad(content, self.width, ellipsis);
        if !self.has_numbers {
            return padded;
        }
        let trimmed = padded.trim_end();
        format!("{}{trimmed}", " ".repeat(self.width.saturating_sub(text::width(trimmed))))
    }
}

fn column_layouts(results: &MatrixResults<'_>) -> Vec<ColumnLayout> {
    let layout = |column: usize| {
        let cells = results.rows.iter().map(|row| text::width(&text::sanitize_line(&row.text(column))));
        // The heading has an arrow while the column is sorted.
        let width = cells.chain([text::width(&results.columns[column]) + 1]).max().unwrap_or(0).min(MAX_WIDTH);
        ColumnLayout { width, has_numbers: results.rows.iter().any(|row| row.is_number(column)) }
    };
    (0..results.columns.len()).map(layout).collect()
}
