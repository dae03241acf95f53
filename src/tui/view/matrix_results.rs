//! The results of a matrix in the job details: its parameters with the values, best first.

use ratatui::style::{Modifier, Style};

use crate::model::{Job, result_value};
use crate::text;
use crate::tui::results_table::matrix_jobs;
use crate::tui::sort_order::SortOrder;

use super::detail_column::{DetailColumn, DetailLine};
use super::job_row;

/// The most columns of a parameter or value.
const MAX_WIDTH: usize = 20;

impl DetailColumn<'_> {
    /// The results of the matrix that the job was made for; empty if there are none.
    pub(super) fn matrix_results(&self) -> Vec<DetailLine> {
        let Some(matrix) = &self.job.definition.matrix else { return Vec::new() };
        let Some(mut jobs) = matrix_jobs(self.job, self.site) else {
            let note = format!("setlist results {}", text::sanitize_line(self.job.queue.as_str()));
            return vec![self.heading("Results", &note), DetailLine::new()];
        };
        if jobs.iter().all(|job| job.result().is_none()) {
            return Vec::new();
        }
        let highest_first = self.sort == SortOrder::HighestValue;
        result_value::sort(&mut jobs, highest_first);
        let names: Vec<&str> = matrix.names().collect();
        let mut table = vec![names.iter().map(|name| text::sanitize_line(name)).collect::<Vec<_>>()];
        table[0].push("value".to_owned());
        for job in &jobs {
            let values = job.definition.matrix.as_deref();
            let cell =
                |name: &&str| text::sanitize_line(values.and_then(|values| values.get(name)).unwrap_or_default());
            let mut row: Vec<String> = names.iter().map(cell).collect();
            row.push(job_row::short_value(job));
            table.push(row);
        }
        let width = |column: usize| table.iter().map(|row| text::width(&row[column])).max().unwrap_or(0);
        let widths: Vec<usize> = (0..=names.len()).map(|column| width(column).min(MAX_WIDTH)).collect();
        let ellipsis = self.appearance().symbols.ellipsis;
        let cells = |row: &[String]| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| text::pad(cell, *width, ellipsis));
            cells.collect::<Vec<_>>().join("  ")
        };
        let dim = self.appearance().theme.dim;
        let mut lines = vec![
            self.heading("Results", if highest_first { "highest first" } else { "lowest first" }),
            vec![(format!("    {}", cells(&table[0])), dim)],
        ];
        let rows = jobs.iter().zip(&table[1..]).map(|(job, row)| self.result_line(job, &cells(row))).collect();
        lines.extend(self.limited(rows, "job"));
        lines.push(DetailLine::new());
        lines
    }

    /// A row of the table; the row of this job is marked.
    fn result_line(&self, job: &Job, cells: &str) -> DetailLine {
        let appearance = self.appearance();
        let is_this = job.id == self.job.id;
        let (sign, sign_style) = match job.outcome() {
            Some(outcome) => appearance.outcome(outcome),
            None if job.current_run().is_some() => (appearance.symbols.running, appearance.theme.accent),
            None => (" ", Style::new()),
        };
        let style = if is_this { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
        vec![
            (if is_this { appearance.symbols.cursor } else { " " }.to_owned(), appearance.theme.accent),
            (sign.to_owned(), sign_style),
            (format!("  {cells}"), style),
        ]
    }
}
