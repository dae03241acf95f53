//! Collects what a report says, in one pass over all jobs and with bounded memory.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::activity::Activity;
use super::period::Period;
use super::top_list::TopList;
use crate::cli::error::CliError;
use crate::cli::open_site::OpenSite;
use crate::cli::progress_reporter::last_lines;
use crate::cli::run_feed::{is_since, runs_of, visit_jobs};
use crate::model::{
    Cause, DuePage, DueResult, Job, JobId, JobState, Outcome, Phase, QueueId, Run, RunCircumstances, RunEnd, RunId,
    ScheduleTarget, SlowRun, WorkerId, median,
};
use crate::store::Store;
use crate::tui::output::StreamSanitizer;

/// How many of each are kept with their details. Of failures, these are the first ones.
const MAX_FAILURES: usize = 100;
const MAX_SLOWEST: usize = 10;
const MAX_JOBS: usize = 300;
const MAX_MISSED: usize = 50;
/// How many runs of a job are drawn one by one; of more, several that follow each other are drawn as one.
const MAX_BARS: usize = 300;
/// How many of the last runs of a job show how its duration changes.
const MAX_TREND: usize = 40;
/// How many due times of a schedule are read at once.
const DUE_PAGE_LENGTH: usize = 500;

/// What happened in a period.
pub(super) struct ReportData {
    /// The `jobs.yaml` of the site.
    pub file: String,
    pub period: Period,
    /// How many runs ended how, and how many are `running`.
    pub runs: BTreeMap<&'static str, u64>,
    pub pending: u64,
    pub queues: Vec<QueueActivity>,
    /// The failures, first to last.
    pub failures: Vec<FailedRun>,
    pub failure_count: u64,
    /// The slowest runs, slowest first.
    pub slowest: Vec<TimedRun>,
    /// Those that failed and then those that took longest, in this order.
    pub jobs: Vec<JobActivity>,
    pub job_count: u64,
    /// The due times at which nothing was started, first to last.
    pub missed: Vec<MissedDue>,
    pub missed_count: u64,
    /// When the last run ended that was over before the period.
    pub last_before: Option<DateTime<Utc>>,
}

/// What a queue did.
pub(super) struct QueueActivity {
    pub id: QueueId,
    pub runs: BTreeMap<&'static str, u64>,
    pub pending: u64,
    pub busy: Duration,
    pub activity: Activity,
}

/// What a job did.
pub(super) struct JobActivity {
    pub queue: QueueId,
    pub path: String,
    pub title: String,
    /// Its outcome, or its phase.
    pub state: &'static str,
    pub runs: usize,
    pub failed: usize,
    /// How long its last run took.
    pub last: Option<Duration>,
    /// The median of the successes that are kept.
    pub usual: Option<Duration>,
    pub value: String,
    pub bars: Vec<RunBar>,
    /// How long its last runs took, and how they ended.
    pub trend: Vec<(Duration, &'static str)>,
}

/// A run in the timeline, or several that follow each other.
#[derive(Clone)]
pub(super) struct RunBar {
    /// Since when it waited, if this is known.
    pub waited_from: Option<DateTime<Utc>>,
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    pub outcome: &'static str,
    /// How many runs it stands for.
    pub runs: usize,
    pub run: RunId,
}

/// A run that failed or was interrupted.
pub(super) struct FailedRun {
    pub run: RunId,
    pub job: JobId,
    pub path: String,
    pub title: String,
    pub attempt: u32,
    pub at: DateTime<Utc>,
    pub took: Duration,
    pub outcome: &'static str,
    pub error: String,
    /// The same, shorter.
    pub error_line: String,
    pub advice: Option<&'static str>,
    pub slow: Option<SlowRun>,
    /// Whether its job has succeeded since.
    pub is_recovered: bool,
    /// Its last lines, and whether they are all.
    pub lines: Vec<String>,
    pub is_complete: bool,
}

/// A run with its duration.
pub(super) struct TimedRun {
    pub path: String,
    pub attempt: u32,
    pub started: DateTime<Utc>,
    pub took: Duration,
    pub outcome: &'static str,
    pub slow: Option<SlowRun>,
}

/// A due time at which nothing was started.
pub(super) struct MissedDue {
    pub path: String,
    pub due: DateTime<Utc>,
    pub reason: String,
}

/// What is collected during the pass.
struct Collector {
    data: ReportData,
    failures: TopList<(DateTime<Utc>, RunId), FailedRun>,
    slowest: TopList<Reverse<Duration>, TimedRun>,
    jobs: TopList<(bool, Reverse<Duration>), JobActivity>,
    hosts: HashMap<WorkerId, String>,
}

/// Collects what these queues did in a period.
pub(super) fn gather(site: &mut OpenSite, queues: &[QueueId], period: Period) -> Result<ReportData, CliError> {
    let file = site.paths.file.to_string_lossy().into_owned();
    let store = site.store.as_mut();
    let hosts = store.workers()?.into_iter().map(|worker| (worker.id, worker.host)).collect();
    let mut collector = Collector {
        data: ReportData::new(file, queues, period),
        failures: TopList::new(MAX_FAILURES),
        slowest: TopList::new(MAX_SLOWEST),
        jobs: TopList::new(MAX_JOBS),
        hosts,
    };
    let positions: HashMap<&QueueId, usize> = queues.iter().zip(0..).collect();
    visit_jobs(store, queues, |store, job| {
        let position = positions.get(&job.queue).copied().unwrap_or_default();
        collector.add_job(store, job, position)
    })?;
    let Collector { mut data, failures, slowest, jobs, .. } = collector;
    (data.failure_count, data.job_count) = (failures.total, jobs.total);
    data.failures = failures.into_sorted();
    data.slowest = slowest.into_sorted();
    data.jobs = jobs.into_sorted();
    for failure in &mut data.failures {
        let mut log = store.log_reader(failure.run);
        log.fetch_rest();
        // A report is useful without the output, too.
        if let Ok((lines, is_complete)) = last_lines(&mut log, StreamSanitizer::plain()) {
            (failure.lines, failure.is_complete) = (lines, is_complete);
        }
    }
    add_missed(store, queues, &mut data)?;
    Ok(data)
}

impl ReportData {
    fn new(file: String, queues: &[QueueId], period: Period) -> Self {
        let queue = |id: &QueueId| QueueActivity {
            id: id.clone(),
            runs: BTreeMap::new(),
            pending: 0,
            busy: Duration::ZERO,
            activity: Activity::default(),
        };
        Self {
            file,
            period,
            runs: BTreeMap::new(),
            pending: 0,
            queues: queues.iter().map(queue).collect(),
            failures: Vec::new(),
            failure_count: 0,
            slowest: Vec::new(),
            jobs: Vec::new(),
            job_count: 0,
            missed: Vec::new(),
            missed_count: 0,
            last_before: None,
        }
    }

    /// How many runs there were in the period.
    pub(super) fn run_count(&self) -> u64 {
        self.runs.values().sum()
    }

    fn count(&mut self, queue: usize, outcome: &'static str) {
        *self.runs.entry(outcome).or_default() += 1;
        *self.queues[queue].runs.entry(outcome).or_default() += 1;
    }
}

impl Collector {
    fn add_job(&mut self, store: &mut dyn Store, job: &Job, queue: usize) -> Result<(), CliError> {
        let period = self.data.period;
        let Period { since, until } = period;
        if job.phase() == Phase::Pending {
            self.data.pending += 1;
            self.data.queues[queue].pending += 1;
        }
        let last = job.last_run.as_deref();
        // A job that was skipped because of another one has no run of that.
        if let JobState::Finished { outcome: outcome @ Outcome::Skipped { .. }, at } = &job.state
            && *at >= since
            && last.and_then(|run| run.end.as_ref()).is_none_or(|end| end.at != *at)
        {
            self.data.count(queue, outcome.as_str());
        }
        if let Some(end) = last.and_then(|run| run.end.as_ref()).filter(|end| end.at < since) {
            self.data.last_before = self.data.last_before.max(Some(end.at));
        }
        if !last.is_some_and(|run| is_since(run, since)) {
            return Ok(());
        }
        let runs = runs_of(store, job)?;
        let in_period: Vec<&Run> = runs.iter().filter(|run| period.has_run(run)).collect();
        let mut total = Duration::ZERO;
        let mut failed = 0;
        for run in &in_period {
            let outcome = outcome_of(run);
            self.data.count(queue, outcome);
            if outcome == "skipped" {
                continue;
            }
            let took = run.elapsed(until);
            total += took;
            let has_failed = is_failure(outcome);
            let ended = run.end.as_ref().map_or(until, |end| end.at);
            self.data.queues[queue].busy += took;
            self.data.queues[queue].activity.add(run.started.max(since), ended, has_failed);
            let slow = self.slow_run(job, run, took, &runs);
            if let Some(end) = run.end.as_ref().filter(|_| has_failed) {
                failed += 1;
                let is_recovered = job.last_run.as_deref().is_some_and(|last| {
                    last.id > run.id && last.end.as_ref().is_some_and(|end| end.outcome.is_success())
                });
                self.failures.push((end.at, run.id), FailedRun::new(job, run, end, slow.clone(), is_recovered));
            }
            let timed = TimedRun { path: job.path(), attempt: run.attempt, started: run.started, took, outcome, slow };
            self.slowest.push(Reverse(took), timed);
        }
        let activity = JobActivity::new(job, &runs, &in_period, failed, until);
        self.jobs.push((failed == 0, Reverse(total)), activity);
        Ok(())
    }

    fn slow_run(&self, job: &Job, run: &Run, took: Duration, runs: &[Run]) -> Option<SlowRun> {
        let host_of = |worker| self.hosts.get(&worker).map(String::as_str);
        SlowRun::find(run, took, runs, RunCircumstances::of(job, run), host_of)
    }
}

/// How a run ended as one word, or `running`.
pub(super) fn outcome_of(run: &Run) -> &'static str {
    run.end.as_ref().map_or("running", |end| end.outcome.as_str())
}

pub(super) fn is_failure(outcome: &str) -> bool {
    matches!(outcome, "failed" | "interrupted")
}

impl FailedRun {
    fn new(job: &Job, run: &Run, end: &RunEnd, slow: Option<SlowRun>, is_recovered: bool) -> Self {
        Self {
            run: run.id,
            job: job.id,
            path: job.path(),
            title: job.display_title(),
            attempt: run.attempt,
            at: end.at,
            took: run.elapsed(end.at),
            outcome: end.outcome.as_str(),
            error: end.failure_text().unwrap_or_else(|| end.outcome.to_string()),
            error_line: end.failure_line().unwrap_or_else(|| end.outcome.to_string()),
            advice: end.cause.as_deref().and_then(Cause::advice),
            slow,
            is_recovered,
            lines: Vec::new(),
            is_complete: true,
        }
    }
}

impl JobActivity {
    fn new(job: &Job, runs: &[Run], in_period: &[&Run], failed: usize, until: DateTime<Utc>) -> Self {
        let ran = |run: &&Run| outcome_of(run) != "skipped";
        let ended: Vec<&Run> = runs.iter().filter(|run| run.end.is_some()).filter(ran).collect();
        let trend = &ended[ended.len().saturating_sub(MAX_TREND)..];
        let successes = runs.iter().filter(|run| outcome_of(run) == "succeeded");
        let drawn: Vec<&Run> = in_period.iter().copied().filter(ran).collect();
        let group = drawn.len().div_ceil(MAX_BARS).max(1);
        Self {
            queue: job.queue.clone(),
            path: job.path(),
            title: job.display_title(),
            state: job.outcome().map_or(job.phase().as_str(), Outcome::as_str),
            runs: in_period.len(),
            failed,
            last: drawn.last().map(|run| run.elapsed(until)),
            usual: median(successes.filter_map(Run::duration)),
            value: job.result_line(),
            bars: drawn.chunks(group).filter_map(|runs| RunBar::new(job, runs, until)).collect(),
            trend: trend.iter().filter_map(|run| Some((run.duration()?, outcome_of(run)))).collect(),
        }
    }
}

impl RunBar {
    /// The bar of some runs that follow each other; it shows the worst of their outcomes.
    fn new(job: &Job, runs: &[&Run], until: DateTime<Utc>) -> Option<Self> {
        let (first, last) = (runs.first()?, runs.last()?);
        let rank = |outcome: &&str| {
            ["succeeded", "running", "cancelled", "interrupted", "failed"].iter().position(|word| word == outcome)
        };
        let worst = runs.iter().max_by_key(|run| rank(&outcome_of(run)))?;
        Some(Self {
            waited_from: RunCircumstances::of(job, first).waited.map(|_| job.enqueued),
            start: first.started,
            end: last.end.as_ref().map_or(until, |end| end.at).max(first.started),
            outcome: outcome_of(worst),
            runs: runs.len(),
            run: worst.id,
        })
    }
}

/// Adds the missed due times of these queues and their jobs.
fn add_missed(store: &mut dyn Store, queues: &[QueueId], data: &mut ReportData) -> Result<(), CliError> {
    let mut missed = TopList::new(MAX_MISSED);
    let mut count = 0;
    for target in store.recorded_targets()? {
        let (queue, path) = match &target {
            ScheduleTarget::Queue(queue) => (queue.clone(), queue.to_string()),
            ScheduleTarget::Job(id) => match store.job(*id)? {
                Some(job) => (job.queue.clone(), job.path()),
                None => continue,
            },
        };
        if !queues.contains(&queue) {
            continue;
        }
        let mut page = DuePage {
            since: Some(data.period.since),
            limit: DUE_PAGE_LENGTH,
            oldest_first: true,
            ..DuePage::default()
        };
        loop {
            let records = store.due_records(&target, &page)?;
            for record in &records {
                if let DueResult::Missed { reason } = &record.result {
                    count += 1 + record.earlier;
                    let due = MissedDue { path: path.clone(), due: record.due, reason: reason.clone() };
                    missed.push((record.due, path.clone()), due);
                }
            }
            match records.last() {
                Some(last) if records.len() >= DUE_PAGE_LENGTH => {
                    page.since = Some(last.due + chrono::TimeDelta::milliseconds(1));
                }
                _ => break,
            }
        }
    }
    (data.missed, data.missed_count) = (missed.into_sorted(), count);
    Ok(())
}
