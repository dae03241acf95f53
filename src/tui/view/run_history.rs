//! The runs of a job in the job details, as a chart and as a list.

use ratatui::style::Style;

use crate::model::{Outcome, Run};
use crate::text;
use crate::tui::outcome_text::end_text;

use super::detail_column::{DetailColumn, DetailLine};

impl DetailColumn<'_> {
    /// The runs as a chart and as a list, latest first.
    pub(super) fn run_history(&self) -> Vec<DetailLine> {
        let appearance = self.appearance();
        if self.job.last_run.is_none() {
            return vec![self.heading("Runs", "none yet")];
        }
        let Some(history) = self.history() else {
            return vec![self.heading("Runs", &format!("loading{}", appearance.symbols.ellipsis))];
        };
        // The copy of the site may be newer than the history that the store returned.
        let latest = self.job.last_run.as_deref();
        let mut runs: Vec<&Run> =
            history.runs.iter().filter(|run| latest.is_none_or(|last| run.id < last.id)).collect();
        runs.extend(latest);
        let counted = history.median_count;
        let kind = match (history.median_of_successes, counted) {
            (true, 1) => "successful run",
            (true, _) => "successful runs",
            (false, 1) => "run",
            (false, _) => "runs",
        };
        let median = history.median.map(|median| format!("median {} of {counted} {kind}", text::duration(median)));
        let mut lines = vec![self.heading("Runs", &median.unwrap_or_default())];
        if counted > 1 || runs.len() > 2 {
            lines.extend(self.sparkline(&runs));
        }
        let rows = runs.iter().rev().map(|run| self.run_line(run)).collect();
        lines.extend(self.limited(rows, "run"));
        lines
    }

    /// A bar for each run by its duration, and a sign below each run that did not succeed.
    fn sparkline(&self, runs: &[&Run]) -> Vec<DetailLine> {
        let appearance = self.appearance();
        let room = self.width.saturating_sub(2);
        let ended: Vec<&&Run> = runs.iter().filter(|run| run.end.is_some()).collect();
        let ended = &ended[ended.len().saturating_sub(room)..];
        let longest = ended.iter().filter_map(|run| run.duration()).max().unwrap_or_default().as_millis().max(1);
        let (mut bars, mut marks) = (vec![("  ".to_owned(), Style::new())], vec![("  ".to_owned(), Style::new())]);
        let mut any = false;
        for run in ended {
            let Some(ending) = &run.end else { continue };
            let (sign, style) = appearance.outcome(&ending.outcome);
            let good = ending.outcome == Outcome::Succeeded;
            any |= !good;
            let steps = appearance.symbols.bars.len() as u128;
            let height = run.duration().unwrap_or_default().as_millis() * steps / (longest + 1);
            let bar =
                appearance.symbols.bars[usize::try_from(height).unwrap_or(0).min(appearance.symbols.bars.len() - 1)];
            bars.push((bar.to_owned(), style));
            marks.push((if good { " " } else { sign }.to_owned(), style));
        }
        if any { vec![bars, marks] } else { vec![bars] }
    }

    fn run_line(&self, run: &Run) -> DetailLine {
        let appearance = self.appearance();
        let is_shown = self.shown_run == Some(run.id);
        let (sign, style, words) = match &run.end {
            None => (appearance.symbols.running, appearance.theme.accent, "running".to_owned()),
            Some(ending) => {
                let (sign, style) = appearance.outcome(&ending.outcome);
                (sign, style, end_text(ending))
            }
        };
        let time = self.time_text(run.started);
        let took = text::duration(run.elapsed(self.now));
        let (number, ellipsis) = (format!("{:>4} ", run.attempt), appearance.symbols.ellipsis);
        let fixed = 2 + text::width(&number) + 1 + text::width(&time) + 10;
        let words = text::pad(&text::sanitize_line(&words), self.width.saturating_sub(fixed).clamp(9, 34), ellipsis);
        let words_style = if run.end.as_ref().is_some_and(|end| end.outcome == Outcome::Succeeded) {
            appearance.theme.dim
        } else {
            style
        };
        vec![
            (if is_shown { appearance.symbols.cursor } else { " " }.to_owned(), appearance.theme.accent),
            (sign.to_owned(), style),
            (number, Style::new()),
            (words, words_style),
            (format!(" {time}"), appearance.theme.dim),
            (format!(" {took:>8}"), appearance.theme.dim),
        ]
    }
}
