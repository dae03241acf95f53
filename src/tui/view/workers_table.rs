//! Draws the workers: machine, process, queues and free slots, and below each the jobs that it runs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::{QueueId, QueueState, WorkerInfo};
use crate::text;
use crate::tui::action::Action;
use crate::tui::job_label::JobLabel;
use crate::tui::mouse::ClickTargets;
use crate::tui::theme::Appearance;
use crate::tui::workers_table::{WorkersRow, WorkersTable, visible_rows};

use super::line_painter::{LinePainter, without_first_line};
use super::page_title::PageTitle;
use super::page_view::{PageView, visible_lines};
use super::time_format;

impl PageView<'_> {
    pub(super) fn draw_workers(
        &self,
        table: &WorkersTable,
        area: Rect,
        buffer: &mut Buffer,
        targets: &mut ClickTargets,
    ) {
        let rows = WorkersTable::rows(self.site);
        let visible = visible_rows(area.height);
        let workers = rows.iter().filter(|row| matches!(row, WorkersRow::Worker(..))).count();
        let running = rows.iter().filter(|row| matches!(row, WorkersRow::Job(_))).count();
        let facts = [text::count_noun(workers, "worker"), format!("{running} running")];
        let hidden = (table.offset, rows.len().saturating_sub(table.offset + visible));
        PageTitle { name: "Workers", facts: &facts, hidden }.draw(&self.settings.appearance, area, buffer);
        let body = without_first_line(area);
        if rows.is_empty() {
            let process = self.settings.keymap.key(Action::Process);
            let note = format!("No worker is running. Press {process} to process the queue, which starts one.");
            self.draw_note(&note, body, buffer);
        }
        let selected = table.selected_row(&rows);
        for (index, row, line) in visible_lines(&rows, table.offset, body, targets) {
            self.draw_worker_row(row, index == selected, line, buffer);
        }
    }

    fn draw_worker_row(&self, row: &WorkersRow<'_>, is_selected: bool, area: Rect, buffer: &mut Buffer) {
        let Appearance { theme, symbols } = &self.settings.appearance;
        if is_selected {
            buffer.set_style(area, theme.cursor);
        }
        let over = |style: Style| if is_selected { theme.cursor } else { style };
        let mut painter = LinePainter::new(area, buffer, symbols);
        painter.left(if is_selected { symbols.cursor } else { " " }, over(theme.accent)).left(" ", over(Style::new()));
        match row {
            WorkersRow::Worker(worker, running) => {
                let host = text::sanitize_line(&worker.host);
                painter.left(&format!("worker {} on ", worker.id), over(theme.dim)).left(&host, over(theme.title));
                painter.left(&format!("  process {}", worker.pid), over(theme.dim));
                let style = if *running == 0 { theme.dim } else { theme.accent };
                painter.left(&format!("  {running} of {}", self.slots_text(worker)), over(style));
                painter.left(&format!("  {}", queues_text(worker)), over(theme.dim));
                if !worker.options.labels.is_empty() {
                    let labels = text::sanitize_line(&worker.options.labels.join(", "));
                    painter.left(&format!("  {labels}"), over(theme.accent));
                }
                if worker.draining {
                    painter.left("  draining", over(theme.warning));
                }
                if !worker.reserved.is_empty() {
                    painter.left(&format!("  {} next", worker.reserved.len()), over(theme.dim));
                }
            }
            WorkersRow::Lost(id, running) => {
                let jobs = text::count_noun(*running, "job");
                painter.left(&format!("{} worker {} is gone, with {jobs}", symbols.failed, id.0), over(theme.failure));
            }
            WorkersRow::Job(job) => {
                painter.left(&format!("  {} ", symbols.running), over(theme.accent));
                let elapsed = format!(" {} ", time_format::elapsed_seconds(job, self.now));
                painter.right(&elapsed, over(theme.accent));
                let label = JobLabel::of(job).with_path(job).fit(painter.room(), symbols.ellipsis);
                painter.left(&label.main, over(Style::new())).left(&label.script, over(theme.dim));
            }
        }
    }

    /// How many jobs a worker may run at once: its own slots, or what its queues allow to all workers together.
    fn slots_text(&self, worker: &WorkerInfo) -> String {
        if let Some(slots) = worker.options.slots {
            return text::count_noun(slots.get(), "slot");
        }
        let queues = self.site.queues();
        let served = queues.iter().filter(|(id, _): &&(&QueueId, &QueueState)| worker.serves(id));
        let slots: u64 = served.map(|(_, queue)| u64::from(queue.settings.max_parallel())).sum();
        text::count_noun(slots, "slot")
    }
}

fn queues_text(worker: &WorkerInfo) -> String {
    match &worker.queues {
        None => "all queues".to_owned(),
        Some(queues) => {
            let names: Vec<String> = queues.iter().map(|queue| text::sanitize_line(queue.as_str())).collect();
            names.join(", ")
        }
    }
}
