//! The history of a job as a chart: a bar per run by its duration, and one by its peak memory.

use std::time::Duration;

use crate::model::{Job, JobId, Run, RunId};

use super::action::Action;
use super::details_pane::RunHistory;
use super::keys::{KeyCode, KeyPress};
use super::page_context::{PageContext, PageResponse};

/// With fewer runs, none is an outlier.
const MIN_RUNS_FOR_OUTLIERS: usize = 5;

/// The chart of a job's runs, one of them selected.
#[derive(Debug)]
pub(super) struct RunChart {
    /// The job.
    pub(super) job: JobId,
    /// The selected run, if it isn't the latest.
    selected: Option<RunId>,
}

/// The middle of some durations, and which are far from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UsualDurations {
    pub(super) median: Duration,
    /// Shorter ones are outliers.
    least: Duration,
    /// Longer ones are outliers.
    most: Duration,
}

/// How far a run is from the usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlier {
    Slower,
    Faster,
}

impl UsualDurations {
    /// The usual durations of these runs; `None` if none has ended.
    pub(super) fn of(runs: &[&Run]) -> Option<Self> {
        let mut times: Vec<Duration> = runs.iter().filter_map(|run| run.duration()).collect();
        times.sort_unstable();
        let median = *times.get(times.len() / 2)?;
        let (low, high) = (times[times.len() / 4], times[(times.len() * 3 / 4).min(times.len() - 1)]);
        if times.len() < MIN_RUNS_FOR_OUTLIERS {
            return Some(Self { median, least: Duration::ZERO, most: Duration::MAX });
        }
        // The usual fences around the quartiles; times that hardly differ have no outliers.
        let fence = (high.saturating_sub(low) * 3 / 2).max(median / 10).max(Duration::from_millis(100));
        Some(Self { median, least: low.saturating_sub(fence), most: high + fence })
    }

    /// Whether a duration is far from the usual.
    pub(super) fn outlier(&self, time: Duration) -> Option<Outlier> {
        match time {
            time if time > self.most => Some(Outlier::Slower),
            time if time < self.least => Some(Outlier::Faster),
            _ => None,
        }
    }
}

impl RunChart {
    pub(super) fn new(job: JobId) -> Self {
        Self { job, selected: None }
    }

    /// The runs that are known, oldest first; the copy of the site may be newer than the loaded history.
    pub(super) fn runs<'a>(history: Option<&'a RunHistory>, job: &'a Job) -> Vec<&'a Run> {
        let latest = job.last_run.as_deref();
        let loaded = history.map(|history| &history.runs[..]).unwrap_or_default();
        let mut runs: Vec<&Run> = loaded.iter().filter(|run| latest.is_none_or(|last| run.id < last.id)).collect();
        // The loaded one has the value.
        let loaded_latest = loaded.iter().find(|run| latest.is_some_and(|last| run.id == last.id && run.end.is_some()));
        runs.extend(loaded_latest.or(latest));
        runs
    }

    /// The index of the selected run.
    pub(super) fn selected_index(&self, runs: &[&Run]) -> usize {
        let chosen = runs.iter().position(|run| Some(run.id) == self.selected);
        chosen.unwrap_or(runs.len().saturating_sub(1))
    }

    /// Handles a key press.
    pub(super) fn press(&mut self, key: KeyPress, action: Option<Action>, context: &PageContext<'_>) -> PageResponse {
        let Some(job) = context.site.job(self.job) else { return PageResponse::Close };
        let runs = Self::runs(context.history, job);
        let index = self.selected_index(&runs);
        let last = runs.len().saturating_sub(1);
        let next = match (key.code, action) {
            (KeyCode::Enter, _) => {
                return match runs.get(index) {
                    Some(run) => PageResponse::ShowRun(self.job, Some(run.id)),
                    None => PageResponse::KeepOpen,
                };
            }
            (KeyCode::Left | KeyCode::Up, _) | (_, Some(Action::PreviousPane | Action::Up | Action::EarlierRun)) => {
                index.saturating_sub(1)
            }
            (KeyCode::Right | KeyCode::Down, _) | (_, Some(Action::NextPane | Action::Down | Action::LaterRun)) => {
                index + 1
            }
            (KeyCode::PageUp, _) | (_, Some(Action::PageUp | Action::HalfUp)) => index.saturating_sub(10),
            (KeyCode::PageDown, _) | (_, Some(Action::PageDown | Action::HalfDown)) => index + 10,
            (_, Some(Action::First)) => 0,
            (_, Some(Action::Last)) => last,
            (_, Some(action)) => return PageResponse::Perform(action),
            (_, None) => return PageResponse::KeepOpen,
        };
        self.selected = runs.get(next.min(last)).map(|run| run.id).filter(|_| next < last);
        PageResponse::KeepOpen
    }

    /// Selects a run by its index; returns whether it was selected before.
    pub(super) fn click(&mut self, index: usize, context: &PageContext<'_>) -> bool {
        let Some(job) = context.site.job(self.job) else { return false };
        let runs = Self::runs(context.history, job);
        let was_selected = self.selected_index(&runs) == index;
        self.selected = runs.get(index).map(|run| run.id);
        was_selected
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Outcome, RunEnd, WorkerId};
    use chrono::{DateTime, TimeDelta};

    fn usual(seconds: &[i64]) -> Option<UsualDurations> {
        let run = |seconds: &i64| {
            let started = DateTime::UNIX_EPOCH;
            let at = started + TimeDelta::seconds(*seconds);
            let end = RunEnd { at, outcome: Outcome::Succeeded, exit: None, cause: None, usage: None, value: None };
            Run {
                id: RunId(1),
                attempt: 1,
                worker: WorkerId(1),
                started,
                stalled: None,
                end: Some(end),
                approval: None,
                inputs: None,
            }
        };
        let runs: Vec<Run> = seconds.iter().map(run).collect();
        UsualDurations::of(&runs.iter().collect::<Vec<_>>())
    }

    #[test]
    fn durations_far_from_the_median_are_outliers() {
        assert_eq!(usual(&[]), None);
        let few = usual(&[1, 100, 1]).unwrap();
        assert_eq!((few.median.as_secs(), few.outlier(Duration::from_secs(100))), (1, None), "too few runs to tell");
        let usual = usual(&[10, 11, 9, 10, 12, 10, 60, 1]).unwrap();
        assert_eq!(usual.median.as_secs(), 10);
        let outlier = |seconds| usual.outlier(Duration::from_secs(seconds));
        assert_eq!((outlier(60), outlier(12), outlier(1)), (Some(Outlier::Slower), None, Some(Outlier::Faster)));
    }
}
