//! What has changed since some time ago: jobs that ended otherwise then, took much longer or less, or had not run.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Job, JobId, Outcome, QueueId, RunPeriod, RunSpan, SiteState};

use super::action::Action;
use super::effect::StoreRequest;
use super::keys::{KeyCode, KeyPress};
use super::page_context::{PageContext, PageResponse, next_row, scrolled_to};

/// The times to compare with, in hours ago, and in words.
const AGES: [(i64, &str); 4] = [(1, "1 hour"), (24, "1 day"), (168, "1 week"), (720, "30 days")];
/// The index of the first one.
const DEFAULT_AGE: usize = 2;
/// How many earlier runs are loaded.
const MAX_RUNS: usize = 20_000;
/// In sites with more jobs, those that ran for the first time are left out.
const MAX_SCANNED_JOBS: usize = 100_000;

/// The jobs that have changed, one of them selected.
#[derive(Debug)]
pub(super) struct ChangesTable {
    /// The only queue to compare; `None` for all queues.
    queue: Option<QueueId>,
    /// The queue that the screen shows.
    home: QueueId,
    age: usize,
    /// When the comparison was requested, and whether it is loaded.
    requested: Option<(RunPeriod, bool)>,
    /// The latest run of each job before that time.
    earlier: HashMap<JobId, RunSpan>,
    /// Whether more runs than are loaded may be compared.
    is_cut: bool,
    rows: Vec<ChangedJob>,
    pub(super) selected: Option<JobId>,
    /// The first visible row.
    pub(super) offset: usize,
}

/// A job whose latest run differs from the one before the time.
#[derive(Clone, Debug)]
pub(super) struct ChangedJob {
    pub(super) job: JobId,
    pub(super) kind: RunDifference,
    /// The run that is compared; none for a job that had not run.
    pub(super) earlier: Option<RunSpan>,
    /// Larger ones come first.
    weight: u64,
}

/// In which way a run differs from an earlier one. The worst come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RunDifference {
    Fails,
    FailsOtherwise,
    Slower,
    Faster,
    EndedOtherwise,
    Succeeds,
    FirstRun,
}

impl RunDifference {
    /// In words.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Fails => "fails now",
            Self::FailsOtherwise => "other failure",
            Self::Slower => "slower",
            Self::Faster => "faster",
            Self::EndedOtherwise => "other outcome",
            Self::Succeeds => "succeeds now",
            Self::FirstRun => "first run",
        }
    }
}

impl ChangesTable {
    /// The changes of all queues.
    pub(super) fn new(home: QueueId) -> Self {
        Self {
            queue: None,
            home,
            age: DEFAULT_AGE,
            requested: None,
            earlier: HashMap::new(),
            is_cut: false,
            rows: Vec::new(),
            selected: None,
            offset: 0,
        }
    }

    /// The jobs that have changed, the worst first.
    pub(super) fn rows(&self) -> &[ChangedJob] {
        &self.rows
    }

    /// The queue that is compared; `None` for all queues.
    pub(super) fn queue(&self) -> Option<&QueueId> {
        self.queue.as_ref()
    }

    /// How long ago the compared time is, in words.
    pub(super) fn age_text(&self) -> &'static str {
        AGES[self.age].1
    }

    /// Whether a later time can be compared.
    pub(super) fn has_shorter_age(&self) -> bool {
        self.age > 0
    }

    /// Whether the earlier runs are still being loaded.
    pub(super) fn is_loading(&self) -> bool {
        self.requested.as_ref().is_none_or(|(_, is_loaded)| !is_loaded)
    }

    /// Whether any run is old enough to be compared.
    pub(super) fn has_earlier_runs(&self) -> bool {
        !self.earlier.is_empty()
    }

    /// Whether older runs were not compared.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The index of the selected row, or else of the first one.
    pub(super) fn selected_row(&self) -> usize {
        self.rows.iter().position(|row| Some(row.job) == self.selected).unwrap_or(0)
    }

    /// Handles a key press.
    pub(super) fn press(&mut self, key: KeyPress, action: Option<Action>, context: &PageContext<'_>) -> PageResponse {
        let row = self.selected_row();
        if let Some(next) = next_row(key, action, row, visible_rows(context.height), self.rows.len()) {
            self.selected = self.rows.get(next).map(|row| row.job);
            return PageResponse::KeepOpen;
        }
        match (key.code, action) {
            (KeyCode::Enter, _) => match self.rows.get(row) {
                Some(row) => return PageResponse::ShowRun(row.job, None),
                None => return PageResponse::KeepOpen,
            },
            (_, Some(Action::MoreParallel)) if self.age + 1 < AGES.len() => self.age += 1,
            (_, Some(Action::MoreParallel)) => return PageResponse::Refuse("This is the longest time."),
            (_, Some(Action::LessParallel)) if self.age > 0 => self.age -= 1,
            (_, Some(Action::LessParallel)) => return PageResponse::Refuse("This is the shortest time."),
            (_, Some(Action::AllQueues)) => {
                self.queue = if self.queue.is_some() { None } else { Some(self.home.clone()) };
            }
            (_, Some(action)) => return PageResponse::Perform(action),
            (_, None) => return PageResponse::KeepOpen,
        }
        self.invalidate();
        PageResponse::KeepOpen
    }

    /// Selects a visible row; returns whether it was selected before.
    pub(super) fn click(&mut self, row: usize) -> bool {
        let Some(clicked) = self.rows.get(self.offset + row).map(|row| row.job) else { return false };
        let was_selected = self.rows.get(self.selected_row()).is_some_and(|row| row.job == clicked);
        self.selected = Some(clicked);
        was_selected
    }

    /// Compares a job that has changed again.
    pub(super) fn observe(&mut self, job: &Job) {
        if self.is_loading() || self.earlier.is_empty() {
            return;
        }
        self.rows.retain(|row| row.job != job.id);
        if let Some(row) = self.compare(job) {
            let place = self.rows.partition_point(|other| other.rank() < row.rank());
            self.rows.insert(place, row);
        }
    }

    /// Loads the runs again.
    pub(super) fn invalidate(&mut self) {
        self.requested = None;
    }

    /// Takes the runs before a time, if it is the one that was requested.
    pub(super) fn set_runs(&mut self, period: &RunPeriod, runs: Vec<RunSpan>, site: &SiteState) {
        let Some((requested, is_loaded)) = &mut self.requested else { return };
        if requested != period {
            return;
        }
        *is_loaded = true;
        self.is_cut = runs.len() >= period.limit;
        self.earlier.clear();
        for span in runs.into_iter().filter(|span| span.ended.is_some()) {
            // They come latest first.
            self.earlier.entry(span.job).or_insert(span);
        }
        let has_all = !self.is_cut && site.jobs().take(MAX_SCANNED_JOBS + 1).count() <= MAX_SCANNED_JOBS;
        self.rows = if self.earlier.is_empty() {
            Vec::new()
        } else if has_all {
            site.jobs().filter_map(|job| self.compare(job)).collect()
        } else {
            self.earlier.keys().filter_map(|id| self.compare(site.job(*id)?)).collect()
        };
        self.rows.sort_by_key(ChangedJob::rank);
    }

    /// Keeps the selected row visible. Returns what to load.
    pub(super) fn sync(&mut self, context: &PageContext<'_>) -> Option<StoreRequest> {
        let row = self.selected_row();
        self.selected = self.rows.get(row).map(|row| row.job);
        self.offset = scrolled_to(row, self.offset, visible_rows(context.height), self.rows.len());
        if self.requested.is_some() {
            return None;
        }
        let until = context.now - TimeDelta::hours(AGES[self.age].0);
        let period = RunPeriod { queue: self.queue.clone(), from: None, until: Some(until), limit: MAX_RUNS };
        self.requested = Some((period.clone(), false));
        Some(StoreRequest::LoadPeriod(period))
    }

    fn compare(&self, job: &Job) -> Option<ChangedJob> {
        let since = self.requested.as_ref()?.0.until?;
        if self.queue.as_ref().is_some_and(|queue| *queue != job.queue) {
            return None;
        }
        let run = job.result_run().filter(|run| run.started >= since)?;
        let end = run.end.as_ref()?;
        let latest = RunSpan::new(job.id, run);
        let Some(earlier) = self.earlier.get(&job.id) else {
            let weight = weight_of_time(end.at);
            let is_first = !self.is_cut && job.prior_attempts == 0;
            return is_first.then_some(ChangedJob {
                job: job.id,
                kind: RunDifference::FirstRun,
                earlier: None,
                weight,
            });
        };
        let (kind, weight) = difference(earlier, &latest)?;
        let weight = weight.unwrap_or_else(|| weight_of_time(end.at));
        Some(ChangedJob { job: job.id, kind, earlier: Some(earlier.clone()), weight })
    }
}

impl ChangedJob {
    /// Smaller ones come first.
    fn rank(&self) -> (RunDifference, Reverse<u64>, JobId) {
        (self.kind, Reverse(self.weight), self.job)
    }
}

/// How the later run differs, and how much, if that can be said.
fn difference(earlier: &RunSpan, later: &RunSpan) -> Option<(RunDifference, Option<u64>)> {
    let (before, after) = (earlier.outcome.as_ref()?, later.outcome.as_ref()?);
    let kind = match (is_failure(before), is_failure(after)) {
        (false, true) => RunDifference::Fails,
        (true, true) if before != after => RunDifference::FailsOtherwise,
        (_, false) if before != after => match after {
            Outcome::Succeeded => RunDifference::Succeeds,
            _ => RunDifference::EndedOtherwise,
        },
        _ => {
            let (before, after) = (span_length(earlier)?, span_length(later)?);
            let (kind, short, long) = if before < after {
                (RunDifference::Slower, before, after)
            } else {
                (RunDifference::Faster, after, before)
            };
            let difference = long.saturating_sub(short);
            let is_large = difference >= Duration::from_secs(1) && difference >= short / 2;
            return is_large.then(|| (kind, u64::try_from(difference.as_millis()).ok()));
        }
    };
    Some((kind, None))
}

fn is_failure(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(_) | Outcome::Interrupted | Outcome::Unreachable { .. })
}

/// How long a run took.
pub(super) fn span_length(span: &RunSpan) -> Option<Duration> {
    span.ended.map(|ended| (ended - span.started).to_std().unwrap_or_default())
}

/// The latest come first.
fn weight_of_time(time: DateTime<Utc>) -> u64 {
    u64::try_from(time.timestamp_millis()).unwrap_or(0)
}

/// The rows of a body of this height.
pub(super) fn visible_rows(height: u16) -> usize {
    usize::from(height.saturating_sub(2))
}
