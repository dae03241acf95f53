//! Draws the history of a job: its runs as bars by duration and by peak memory, and below them the selected run.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::{Job, Outcome, Run, result_value};
use crate::text;
use crate::tui::action::Action;
use crate::tui::mouse::{ClickTarget, ClickTargets};
use crate::tui::outcome_text::end_text;
use crate::tui::run_chart::{Outlier, RunChart, UsualDurations};
use crate::tui::theme::Appearance;

use super::line_painter::{LinePainter, lines, without_first_line};
use super::page_title::PageTitle;
use super::page_view::PageView;
use super::time_format;

/// Names the line of the median.
const MEDIAN: &str = " median";
/// The width of the scale, left of the bars.
const SCALE_WIDTH: u16 = 11;
/// The lines below the charts: a sign for each run, and what is known of the selected one.
const FOOT_HEIGHT: u16 = 3;
/// From this height on, there is a chart of the memory, too.
const MIN_HEIGHT_FOR_MEMORY: u16 = 15;
/// From this height on, all runs are listed below the charts.
const MIN_HEIGHT_FOR_TABLE: u16 = 24;
/// The most lines of both charts together: higher bars don't tell more.
const MAX_CHARTS_HEIGHT: u16 = 18;
/// The most cells from one bar to the next.
const MAX_STRIDE: u16 = 4;

/// The runs that fit, and where each is drawn.
struct ChartColumns<'a> {
    runs: &'a [&'a Run],
    /// The index of the selected one among them.
    selected: usize,
    /// The cells from one bar to the next.
    stride: u16,
}

/// A bar of one run: its height, and its style.
type Bar = (u64, Style);

impl PageView<'_> {
    pub(super) fn draw_history(&self, chart: &RunChart, area: Rect, buffer: &mut Buffer, targets: &mut ClickTargets) {
        let Some(job) = self.site.job(chart.job) else { return };
        let runs = RunChart::runs(self.history, job);
        let usual = UsualDurations::of(&runs);
        self.draw_history_title(job, &runs, usual, area, buffer);
        let body = without_first_line(area);
        if runs.is_empty() {
            let run = self.settings.keymap.key(Action::Run);
            return self.draw_note(&format!("This job has not run yet. Press {run} to run it."), body, buffer);
        }
        let room = body.width.saturating_sub(SCALE_WIDTH + 1).max(1);
        let stride = (room / u16::try_from(runs.len()).unwrap_or(u16::MAX).max(1)).clamp(1, MAX_STRIDE);
        let fitting = usize::from(room / stride).max(1);
        let selected = chart.selected_index(&runs);
        // The latest runs, unless an earlier one is selected.
        let first = runs.len().saturating_sub(fitting).min(selected);
        let shown = &runs[first..(first + fitting).min(runs.len())];
        let columns = ChartColumns { runs: shown, selected: selected - first, stride };
        let has_table = body.height >= MIN_HEIGHT_FOR_TABLE;
        let height = if has_table { body.height * 2 / 5 } else { body.height.saturating_sub(FOOT_HEIGHT) };
        let has_memory = shown.iter().any(|run| memory(run).is_some()) && body.height >= MIN_HEIGHT_FOR_MEMORY;
        let height = height.min(if has_memory { MAX_CHARTS_HEIGHT } else { MAX_CHARTS_HEIGHT * 2 / 3 });
        let upper = if has_memory { height - height / 3 } else { height };
        let chart_area = Rect { height: upper, ..body };
        self.draw_durations(&columns, usual, chart_area, buffer);
        if has_memory {
            let area = Rect { y: body.y + upper, height: height - upper, ..body };
            self.draw_memory(&columns, area, buffer);
        }
        for line in lines(Rect { height, ..body }) {
            for nth in 0..columns.runs.len() {
                let x = columns.x(nth, line);
                targets.add(line, x..(x + stride).min(line.right()), ClickTarget::PageRow(first + nth));
            }
        }
        let foot = Rect { y: body.y + height, height: body.height - height, ..body };
        self.draw_signs(&columns, usual, foot, buffer);
        let foot = without_first_line(foot);
        if has_table {
            self.draw_run_table(job, &runs, (selected, usual), without_first_line(foot), buffer, targets);
        } else if let Some(run) = runs.get(selected) {
            self.draw_run(job, run, usual, foot, buffer);
        }
    }

    fn draw_history_title(
        &self,
        job: &Job,
        runs: &[&Run],
        usual: Option<UsualDurations>,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let symbols = self.settings.appearance.symbols;
        let failed = runs.iter().filter(|run| is_failure(run)).count();
        let median = usual.map(|usual| format!("median {}", text::duration(usual.median))).unwrap_or_default();
        let is_loading = self.history.is_none() && job.attempts > 1;
        let facts = [
            job.path(),
            if is_loading { format!("loading{}", symbols.ellipsis) } else { text::count_noun(runs.len(), "run") },
            if failed > 0 { format!("{} {failed} failed", symbols.failed) } else { String::new() },
            median,
        ];
        PageTitle { name: "History", facts: &facts, hidden: (0, 0) }.draw(&self.settings.appearance, area, buffer);
    }

    fn draw_durations(
        &self,
        columns: &ChartColumns<'_>,
        usual: Option<UsualDurations>,
        area: Rect,
        buffer: &mut Buffer,
    ) {
        let Appearance { theme, symbols } = &self.settings.appearance;
        let bars: Vec<Bar> =
            columns.runs.iter().map(|run| (millis(run.elapsed(self.now)), self.run_style(run))).collect();
        let most = bars.iter().map(|(height, _)| *height).max().unwrap_or(0).max(1);
        let median = usual.map(|usual| millis(usual.median));
        // The line of the median, behind the bars.
        if let Some(median) = median {
            let row = level_row(median, most, area.height);
            if let Some(line) = lines(area).nth(usize::from(row)) {
                let mut painter = LinePainter::new(line, buffer, symbols);
                let end = columns.x(columns.runs.len(), line).saturating_sub(line.x);
                let bars = usize::from(end.saturating_sub(SCALE_WIDTH));
                painter.fixed_width("", usize::from(SCALE_WIDTH), theme.dim);
                painter.left(&symbols.wait.repeat(bars), theme.warning);
                // The scale is in the first lines.
                if row > 1 {
                    LinePainter::new(line, buffer, symbols).left(MEDIAN, theme.warning);
                } else if painter.room() > MEDIAN.len() {
                    painter.left(MEDIAN, theme.warning);
                }
            }
        }
        self.draw_scale("took", &text::duration(Duration::from_millis(most)), area, buffer);
        self.draw_bars(columns, &bars, most, area, buffer);
    }

    fn draw_memory(&self, columns: &ChartColumns<'_>, area: Rect, buffer: &mut Buffer) {
        let theme = &self.settings.appearance.theme;
        let bars: Vec<Bar> = columns.runs.iter().map(|run| (memory(run).unwrap_or(0), theme.dim)).collect();
        let most = bars.iter().map(|(height, _)| *height).max().unwrap_or(0).max(1);
        // A line between the charts stays free.
        let area = without_first_line(area);
        self.draw_scale("memory", &text::bytes(most), area, buffer);
        self.draw_bars(columns, &bars, most, area, buffer);
    }

    /// Draws the highest value in the first line, and what is measured below it.
    fn draw_scale(&self, name: &str, most: &str, area: Rect, buffer: &mut Buffer) {
        let Appearance { theme, symbols } = &self.settings.appearance;
        let area = Rect { width: SCALE_WIDTH - 1, ..area };
        let mut rows = lines(area);
        if let Some(line) = rows.next() {
            LinePainter::new(line, buffer, symbols).left(" ", theme.dim).left(most, theme.dim);
        }
        if let Some(line) = rows.next() {
            LinePainter::new(line, buffer, symbols).left(" ", theme.dim).left(name, theme.dim);
        }
    }

    fn draw_bars(&self, columns: &ChartColumns<'_>, bars: &[Bar], most: u64, area: Rect, buffer: &mut Buffer) {
        let Appearance { theme, symbols } = &self.settings.appearance;
        let steps = u64::from(area.height) * 8;
        for (nth, (value, style)) in bars.iter().enumerate() {
            let filled = if *value == 0 { 0 } else { (value * steps / most).max(1) };
            // A block has only a foreground: the colour behind a cursor is that of the selected bar.
            let selected = theme.cursor.bg.filter(|_| nth == columns.selected);
            let style = selected.map_or(*style, |color| Style::new().fg(color));
            let width = columns.bar_width();
            for (line, row) in lines(area).zip((0..u64::from(area.height)).rev()) {
                let level = filled.saturating_sub(row * 8).min(8);
                let Some(level) = level.checked_sub(1).and_then(|level| usize::try_from(level).ok()) else { continue };
                let content = symbols.bars[level].repeat(usize::from(width));
                buffer.set_string(columns.x(nth, line), line.y, &content, style);
            }
        }
    }

    /// Draws a sign below each run that did not succeed or took unusually long.
    fn draw_signs(&self, columns: &ChartColumns<'_>, usual: Option<UsualDurations>, area: Rect, buffer: &mut Buffer) {
        let appearance = &self.settings.appearance;
        let Some(line) = lines(area).next() else { return };
        LinePainter::new(Rect { width: SCALE_WIDTH, ..line }, buffer, appearance.symbols).fixed_width(
            " outcome",
            usize::from(SCALE_WIDTH),
            appearance.theme.dim,
        );
        for (nth, run) in columns.runs.iter().enumerate() {
            let (sign, style) = match &run.end {
                None => (appearance.symbols.running, appearance.theme.accent),
                Some(end) if end.outcome != Outcome::Succeeded => appearance.outcome(&end.outcome),
                Some(_) => match run.duration().and_then(|time| usual?.outlier(time)) {
                    Some(Outlier::Slower) => (appearance.symbols.above, appearance.theme.warning),
                    Some(Outlier::Faster) => (appearance.symbols.below, appearance.theme.warning),
                    None => (appearance.symbols.dot, appearance.theme.dim),
                },
            };
            let x = columns.x(nth, line);
            buffer.set_string(x, line.y, sign, style);
            if nth == columns.selected {
                let mark = Rect { x, width: columns.bar_width(), ..line }.intersection(line);
                buffer.set_style(mark, appearance.theme.cursor);
            }
        }
    }

    /// Draws what is known of the selected run.
    fn draw_run(&self, job: &Job, run: &Run, usual: Option<UsualDurations>, area: Rect, buffer: &mut Buffer) {
        let appearance = &self.settings.appearance;
        let dot = format!(" {} ", appearance.symbols.dot);
        let took = run.elapsed(self.now);
        let unusual = run.duration().and_then(|time| usual?.outlier(time)).map(|outlier| match outlier {
            Outlier::Slower => "slower than usual",
            Outlier::Faster => "faster than usual",
        });
        let (sign, style, words) = match &run.end {
            None => (appearance.symbols.running, appearance.theme.accent, "running".to_owned()),
            Some(end) => {
                let (sign, style) = appearance.outcome(&end.outcome);
                (sign, style, end_text(end))
            }
        };
        let started = time_format::format_time((self.settings.local)(run.started), (self.settings.local)(self.now));
        let mut facts = vec![format!("run {}", run.attempt), text::duration(took)];
        facts.extend(unusual.map(str::to_owned));
        facts.push(format!("started {started}"));
        let usage = run.end.as_ref().and_then(|end| end.usage.as_deref());
        facts.extend(usage.map(|usage| format!("{} memory", usage.memory_text())));
        let mut rows = lines(area);
        if let Some(line) = rows.next() {
            let mut painter = LinePainter::new(line, buffer, appearance.symbols);
            painter.left(&format!(" {sign} "), style).left(&text::sanitize_line(&words), style);
            for fact in facts.iter().map(|fact| format!("{dot}{fact}")) {
                if text::width(&fact) > painter.room() {
                    break;
                }
                painter.left(&fact, Style::new());
            }
        }
        let value = value_of(job, run);
        if let (Some(line), Some(value)) = (rows.next(), Some(value).filter(|value| !value.is_empty())) {
            let mut painter = LinePainter::new(line, buffer, appearance.symbols);
            painter.left("   value ", appearance.theme.dim).left(&value, Style::new());
        }
    }

    fn run_style(&self, run: &Run) -> Style {
        let appearance = &self.settings.appearance;
        run.end.as_ref().map_or(appearance.theme.accent, |end| appearance.outcome(&end.outcome).1)
    }
}

impl ChartColumns<'_> {
    fn x(&self, nth: usize, line: Rect) -> u16 {
        let offset = u16::try_from(nth).unwrap_or(u16::MAX).saturating_mul(self.stride);
        (line.x + SCALE_WIDTH).saturating_add(offset).min(line.right().saturating_sub(1))
    }

    /// The width of a bar; there is a gap between bars where there is room.
    fn bar_width(&self) -> u16 {
        self.stride.saturating_sub(1).max(1)
    }
}

/// The row of a chart, counted from its top, in which a bar of this height ends.
fn level_row(value: u64, most: u64, height: u16) -> u16 {
    let steps = u64::from(height) * 8;
    let level = (value * steps / most.max(1)).max(1).div_ceil(8);
    height.saturating_sub(u16::try_from(level).unwrap_or(height))
}

/// What a run returned, in a line.
pub(super) fn value_of(job: &Job, run: &Run) -> String {
    let is_latest = job.last_run.as_ref().is_some_and(|last| last.id == run.id);
    let own = run.end.as_ref().and_then(|end| end.value.as_deref());
    let value = own.or(job.result_value().filter(|_| is_latest)).map(result_value::text_of);
    text::sanitize_line(&value.unwrap_or_default())
}

fn is_failure(run: &Run) -> bool {
    run.end.as_ref().is_some_and(|end| end.outcome.failure().is_some() || end.outcome.is_interrupted())
}

fn memory(run: &Run) -> Option<u64> {
    run.end.as_ref()?.usage.as_ref().map(|usage| usage.peak_memory)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 1_000)
}
