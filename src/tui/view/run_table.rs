//! Draws the runs of a job as a table, below their chart: outcome, times, what they used and returned.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::{Job, Outcome, Run, Usage};
use crate::text;
use crate::tui::mouse::{ClickTarget, ClickTargets};
use crate::tui::outcome_text::end_text;
use crate::tui::run_chart::{Outlier, UsualDurations};
use crate::tui::theme::Appearance;

use super::line_painter::{LinePainter, lines, without_first_line};
use super::page_view::PageView;
use super::run_chart::value_of;
use super::time_format;

const RUN_WIDTH: usize = 5;
const TOOK_WIDTH: usize = 9;
const CPU_WIDTH: usize = 9;
const MEMORY_WIDTH: usize = 17;

/// The cells of a row.
struct RunCells {
    sign: &'static str,
    style: Style,
    outcome: String,
    started: String,
    took: String,
    cpu: String,
    memory: String,
    value: String,
}

impl PageView<'_> {
    /// Draws the runs, oldest first, so that the selected one is visible.
    pub(super) fn draw_run_table(
        &self,
        job: &Job,
        runs: &[&Run],
        (selected, usual): (usize, Option<UsualDurations>),
        area: Rect,
        buffer: &mut Buffer,
        targets: &mut ClickTargets,
    ) {
        let Appearance { theme, symbols } = &self.settings.appearance;
        let area = without_first_line(area);
        let body = without_first_line(area);
        let height = usize::from(body.height).max(1);
        // The selected run is in the middle, but no line stays free.
        let first = selected.saturating_sub(height / 2).min(runs.len().saturating_sub(height));
        let shown = &runs[first..(first + height).min(runs.len())];
        let cells: Vec<RunCells> = shown.iter().map(|run| self.run_cells(job, run, usual)).collect();
        let widest = |of: fn(&RunCells) -> &String| cells.iter().map(|cells| text::width(of(cells))).max().unwrap_or(0);
        let started = widest(|cells| &cells.started).max("Started".len());
        let fixed = 3 + RUN_WIDTH + 2 + started + TOOK_WIDTH + CPU_WIDTH + MEMORY_WIDTH + 4;
        let room = usize::from(area.width).saturating_sub(fixed);
        let outcome = widest(|cells| &cells.outcome).max("Outcome".len()).min((room / 2).max(9));
        let mut painter = LinePainter::new(area, buffer, symbols);
        painter.left(&format!("   {:>RUN_WIDTH$}  ", "Run"), theme.dim).fixed_width("Started", started, theme.dim);
        painter.left("  ", theme.dim).fixed_width("Outcome", outcome, theme.dim);
        let headings = format!("{:>TOOK_WIDTH$}{:>CPU_WIDTH$}{:>MEMORY_WIDTH$}  Value", "Took", "CPU", "Memory");
        painter.left(&headings, theme.dim);
        for (nth, ((run, cells), line)) in shown.iter().zip(&cells).zip(lines(body)).enumerate() {
            let is_selected = first + nth == selected;
            if is_selected {
                buffer.set_style(line, theme.cursor);
            }
            let over = |style: Style| if is_selected { theme.cursor } else { style };
            let mut painter = LinePainter::new(line, buffer, symbols);
            painter.left(if is_selected { symbols.cursor } else { " " }, over(theme.accent));
            painter.left(&format!("{} ", cells.sign), over(cells.style));
            painter.left(&format!("{:>RUN_WIDTH$}  ", run.attempt), over(Style::new()));
            painter.fixed_width(&cells.started, started, over(theme.dim)).left("  ", over(Style::new()));
            painter.fixed_width(&cells.outcome, outcome, over(cells.style));
            painter.left(&format!("{:>TOOK_WIDTH$}", cells.took), over(Style::new()));
            let used = format!("{:>CPU_WIDTH$}{:>MEMORY_WIDTH$}", cells.cpu, cells.memory);
            painter.left(&used, over(theme.dim)).left("  ", over(Style::new())).left(&cells.value, over(Style::new()));
            targets.add(line, line.x..line.right(), ClickTarget::PageRow(first + nth));
        }
    }

    fn run_cells(&self, job: &Job, run: &Run, usual: Option<UsualDurations>) -> RunCells {
        let appearance = &self.settings.appearance;
        let (sign, style, outcome) = match &run.end {
            None => (appearance.symbols.running, appearance.theme.accent, "running".to_owned()),
            Some(end) => {
                let (sign, style) = appearance.outcome(&end.outcome);
                let unusual = run.duration().and_then(|time| usual?.outlier(time)).map(|outlier| match outlier {
                    Outlier::Slower => "slower than usual",
                    Outlier::Faster => "faster than usual",
                });
                match unusual.filter(|_| end.outcome == Outcome::Succeeded) {
                    Some(unusual) => (sign, appearance.theme.warning, unusual.to_owned()),
                    None => (sign, style, end_text(end)),
                }
            }
        };
        let usage = run.end.as_ref().and_then(|end| end.usage.as_deref());
        RunCells {
            sign,
            style,
            outcome: text::sanitize_line(&outcome),
            started: time_format::format_time((self.settings.local)(run.started), (self.settings.local)(self.now)),
            took: text::duration(run.elapsed(self.now)),
            cpu: usage.map(|usage| text::duration(usage.cpu())).unwrap_or_default(),
            memory: usage.map(Usage::memory_text).unwrap_or_default(),
            value: value_of(job, run),
        }
    }
}
