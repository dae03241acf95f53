//! The schedule in the job details: when it is due next, a calendar of the last two weeks, and the latest due times.

use chrono::{Datelike, NaiveDate};
use ratatui::style::Style;

use crate::model::{DueCounts, DueRecord, DueResult, due_at};
use crate::text;
use crate::tui::due_history::DueHistory;

use super::detail_column::{DetailColumn, DetailLine};

/// How a day or a due time is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DueState {
    Missed,
    Failed,
    Late,
    Skipped,
    Ran,
}

impl DueState {
    /// The states in the order of their importance.
    const ALL: [Self; 5] = [Self::Missed, Self::Failed, Self::Late, Self::Skipped, Self::Ran];

    fn count(self, counts: &DueCounts) -> u64 {
        match self {
            Self::Missed => counts.missed,
            Self::Failed => counts.failed,
            Self::Late => counts.late,
            Self::Skipped => counts.skipped,
            Self::Ran => counts.ran,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Failed => "failed",
            Self::Late => "late",
            Self::Skipped => "skipped",
            Self::Ran => "ran",
        }
    }

    /// The most important state of a day.
    fn of_day(counts: &DueCounts) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.count(counts) > 0)
    }
}

impl DetailColumn<'_> {
    /// The schedule of the job or that of its queue, with the next due time and what became of the latest ones.
    pub(super) fn schedule(&self) -> Vec<DetailLine> {
        let Some(state) = self.site.schedule_of_job(self.job) else { return Vec::new() };
        let theme = &self.appearance().theme;
        let times: Vec<String> = state.schedule.times.iter().map(ToString::to_string).collect();
        let mut lines = vec![DetailLine::new(), self.heading("Schedule", &text::sanitize_line(&times.join(", ")))];
        if let Some(due) = state.upcoming(self.now) {
            let next = due_at(due, state.schedule.shown_time(due), self.now);
            lines.push(vec![("  next ".to_owned(), theme.dim), (next, Style::new())]);
        }
        let Some(history) = self.due_times.history(&state.target) else { return lines };
        lines.extend(self.calendar(history));
        let due_lines = history.records.iter().map(|record| {
            let is_running = state.running.as_ref().is_some_and(|running| running.due == record.due);
            self.due_line(record, is_running)
        });
        lines.extend(self.limited(due_lines.collect(), "due time"));
        lines
    }

    /// A column for each of the last days: its date, and the most important of what became of its due times.
    fn calendar(&self, history: &DueHistory) -> Vec<DetailLine> {
        let dim = self.appearance().theme.dim;
        let days: Vec<(&NaiveDate, Option<DueState>)> =
            history.days.iter().map(|(date, counts)| (date, DueState::of_day(counts))).collect();
        let shown = DueState::ALL.into_iter().rev().filter(|state| days.iter().any(|(_, day)| *day == Some(*state)));
        let legend: Vec<DueState> = shown.collect();
        if legend.is_empty() {
            return Vec::new();
        }
        let has_numbers = 2 + 3 * days.len() <= self.width;
        let (mut dates, mut signs) = (DetailLine::new(), DetailLine::new());
        for (date, state) in days {
            let label = if has_numbers {
                format!("{:>2} ", date.day())
            } else {
                format!("{} ", date.weekday().to_string().chars().next().unwrap_or(' '))
            };
            let indent = if dates.is_empty() { "  " } else { "" };
            dates.push((format!("{indent}{label}"), dim));
            let (sign, style) = state.map_or((self.appearance().symbols.dot, dim), |state| self.sign(state));
            let gap = if has_numbers { " " } else { "" };
            signs.push((format!("{indent}{gap}"), Style::new()));
            signs.push((format!("{sign} "), style));
        }
        let legend = legend.into_iter().flat_map(|state| {
            let (sign, style) = self.sign(state);
            [(format!("  {sign}"), style), (format!(" {}", state.word()), dim)]
        });
        vec![dates, signs, legend.collect()]
    }

    /// The character of a state, and its style. Each has its own character, for screens without colours.
    fn sign(&self, state: DueState) -> (&'static str, Style) {
        let appearance = self.appearance();
        match state {
            DueState::Missed => ("M", appearance.theme.failure),
            DueState::Failed => (appearance.symbols.failed, appearance.theme.failure),
            DueState::Late => ("L", appearance.theme.warning),
            DueState::Skipped => (appearance.symbols.skipped, appearance.theme.warning),
            DueState::Ran => (appearance.symbols.succeeded, appearance.theme.success),
        }
    }

    fn due_line(&self, record: &DueRecord, is_running: bool) -> DetailLine {
        let theme = &self.appearance().theme;
        let mut words = record.result.as_str().to_owned();
        let mut style = match record.result {
            DueResult::Ran => Style::new(),
            DueResult::Skipped { .. } => theme.warning,
            DueResult::Missed { .. } => theme.failure,
        };
        if record.is_late() {
            let late = (record.at - record.start).to_std().unwrap_or_default();
            words = format!("{words} {} late", text::time_left(late));
            style = theme.warning;
        }
        if let Some(outcome) = record.outcome.filter(|outcome| outcome.is_failure()) {
            words = format!("{words}, {}", outcome.as_str());
            style = theme.failure;
        } else if is_running {
            words = words.replacen("ran", "running", 1);
        }
        if let Some(reason) = record.result.reason() {
            words = format!("{words}: {reason}");
        }
        if record.earlier > 0 {
            words = format!("{words} (and {} before)", text::count_noun(record.earlier, "due time"));
        }
        vec![(format!("  due {} ", self.time_text(record.due)), theme.dim), (text::sanitize_line(&words), style)]
    }
}
