//! `setlist metrics`: the state of a site in the text format of Prometheus, for the textfile folder of a node exporter.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use clap_complete::ArgValueCandidates;

use super::candidates::queues;
use super::error::CliError;
use super::exit::ExitStatus;
use super::open_site::OpenSite;
use super::output_file::write_to;
use super::run_feed::{runs_of, visit_jobs};
use super::time_text::seconds;
use crate::clock;
use crate::model::{Job, Outcome, Phase, QueueId, QueueMode, Run, ScheduleTarget};
use crate::store::Store;
use crate::text;

/// Arguments of `setlist metrics`.
#[derive(Debug, Args)]
pub(super) struct MetricsArgs {
    /// Queues to report on; all by default.
    #[arg(add = ArgValueCandidates::new(queues))]
    pub queues: Vec<String>,
    /// Write this file, as a whole: for example /var/lib/prometheus/node-exporter/setlist.prom.
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true)]
    pub output: PathBuf,
}

/// The states of jobs: phases, and the outcomes of finished ones.
const STATES: [&str; 7] = ["pending", "running", "succeeded", "failed", "cancelled", "interrupted", "skipped"];
/// The outcomes of runs.
const OUTCOMES: [&str; 5] = ["succeeded", "failed", "cancelled", "interrupted", "skipped"];
/// The upper bounds of the buckets of durations, in seconds.
const BOUNDS: [f64; 8] = [0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 21600.0, 86400.0];

/// What is counted of a queue. Its size does not depend on the number of jobs and runs.
#[derive(Default)]
struct QueueMetrics {
    jobs: BTreeMap<&'static str, u64>,
    runs: BTreeMap<&'static str, u64>,
    /// How many runs took up to each of the bounds.
    buckets: [u64; BOUNDS.len()],
    durations: u64,
    run_time: Duration,
    oldest_pending: Option<DateTime<Utc>>,
    last_success: Option<DateTime<Utc>>,
    stalled: u64,
    mode: QueueMode,
    workers: u64,
    missed: u64,
    overdue: u64,
    next_due: Option<DateTime<Utc>>,
}

/// Writes the metrics.
pub(super) fn metrics(mut site: OpenSite, args: &MetricsArgs) -> Result<ExitStatus, CliError> {
    let queues = site.queue_ids(&args.queues)?;
    let now = clock::now();
    let collected = collect(site.store.as_mut(), &queues, now)?;
    let workers = site.store.workers()?.len();
    let exit = site.finish(ExitStatus::Success);
    write(&args.output, &collected, workers, now)?;
    exit
}

/// The metrics of each of these queues.
fn collect(
    store: &mut dyn Store,
    queues: &[QueueId],
    now: DateTime<Utc>,
) -> Result<Vec<(QueueId, QueueMetrics)>, CliError> {
    let mut found: HashMap<QueueId, QueueMetrics> =
        queues.iter().map(|queue| (queue.clone(), QueueMetrics::default())).collect();
    for queue in store.queues()? {
        if let Some(metrics) = found.get_mut(&queue.id) {
            metrics.mode = queue.mode;
        }
    }
    visit_jobs(store, queues, |store, job| match found.get_mut(&job.queue) {
        Some(metrics) => {
            metrics.add_job(job);
            runs_of(store, job)?.iter().for_each(|run| metrics.add_run(run));
            Ok(())
        }
        None => Ok(()),
    })?;
    for worker in store.workers()? {
        for (_, metrics) in found.iter_mut().filter(|(queue, _)| worker.serves(queue)) {
            metrics.workers += 1;
        }
    }
    for state in store.schedules()? {
        if let Some(metrics) = found.get_mut(&state.queue) {
            metrics.next_due = [metrics.next_due, state.upcoming(now)].into_iter().flatten().min();
        }
    }
    for state in store.expectations()? {
        if let Some(metrics) = found.get_mut(&state.queue) {
            metrics.overdue += u64::from(state.overdue_at(now).is_some());
        }
    }
    for target in store.recorded_targets()? {
        let queue = match &target {
            ScheduleTarget::Queue(queue) => Some(queue.clone()),
            ScheduleTarget::Job(id) => store.job(*id)?.map(|job| job.queue),
        };
        if let Some(metrics) = queue.and_then(|queue| found.get_mut(&queue)) {
            let ever = DateTime::UNIX_EPOCH..now;
            let counts = store.due_counts(&target, &[ever])?;
            metrics.missed += counts.iter().map(|counts| counts.missed).sum::<u64>();
        }
    }
    Ok(queues.iter().filter_map(|queue| Some((queue.clone(), found.remove(queue)?))).collect())
}

impl QueueMetrics {
    fn add_job(&mut self, job: &Job) {
        let state = job.outcome().map_or(job.phase().as_str(), Outcome::as_str);
        *self.jobs.entry(state).or_default() += 1;
        if job.phase() == Phase::Pending {
            self.oldest_pending = [self.oldest_pending, Some(job.enqueued)].into_iter().flatten().min();
        }
        self.stalled += u64::from(job.stalled_since().is_some());
    }

    fn add_run(&mut self, run: &Run) {
        let Some(end) = &run.end else { return };
        *self.runs.entry(end.outcome.as_str()).or_default() += 1;
        if end.outcome == Outcome::Succeeded {
            self.last_success = self.last_success.max(Some(end.at));
        }
        let took = run.elapsed(end.at);
        self.durations += 1;
        self.run_time += took;
        for (bucket, bound) in self.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(took.as_secs_f64() <= bound);
        }
    }

    /// How long its oldest pending job has waited. Jobs of an idle queue aren't waiting.
    fn oldest_wait(&self, now: DateTime<Utc>) -> Duration {
        let is_active = self.mode != QueueMode::Idle || self.jobs.get("running").is_some_and(|count| *count > 0);
        let oldest = self.oldest_pending.filter(|_| is_active);
        oldest.and_then(|since| (now - since).to_std().ok()).unwrap_or_default()
    }
}

/// Writes metrics, each with its description and type before its samples.
struct MetricsWriter<'w> {
    out: &'w mut dyn Write,
    queues: &'w [(QueueId, QueueMetrics)],
}

fn write(file: &Path, queues: &[(QueueId, QueueMetrics)], workers: usize, now: DateTime<Utc>) -> Result<(), CliError> {
    write_to(file, |out| {
        let mut writer = MetricsWriter { out, queues };
        writer.write_counts("setlist_jobs", "Jobs by state.", "state", &STATES, |metrics| &metrics.jobs)?;
        writer.write_counts("setlist_kept_runs", "Kept runs by outcome.", "outcome", &OUTCOMES, |metrics| {
            &metrics.runs
        })?;
        writer.write_durations()?;
        writer.write_gauge(
            "setlist_oldest_wait_seconds",
            "How long the oldest pending job has waited.",
            |metrics| Some(seconds(metrics.oldest_wait(now))),
        )?;
        writer.write_gauge(
            "setlist_missed_due_times",
            "Recorded due times at which nothing was started.",
            |metrics| Some(metrics.missed),
        )?;
        writer.write_gauge("setlist_overdue", "Successes that are overdue.", |metrics| Some(metrics.overdue))?;
        writer
            .write_gauge("setlist_stalled_jobs", "Running jobs that print nothing.", |metrics| Some(metrics.stalled))?;
        let modes =
            [("processing", QueueMode::Processing), ("paused", QueueMode::Paused), ("stopped", QueueMode::Stopped)];
        for (name, mode) in modes {
            let name = format!("setlist_queue_{name}");
            writer.write_gauge(&name, "Whether the queue is in this mode.", |metrics| {
                Some(u8::from(metrics.mode == mode))
            })?;
        }
        writer
            .write_gauge("setlist_queue_workers", "Workers that serve the queue.", |metrics| Some(metrics.workers))?;
        writer.write_gauge("setlist_last_success_timestamp_seconds", "When a run succeeded last.", |metrics| {
            metrics.last_success.map(|at| at.timestamp())
        })?;
        writer.write_gauge(
            "setlist_next_due_timestamp_seconds",
            "When the queue or a job of it is due next.",
            |metrics| metrics.next_due.map(|at| at.timestamp()),
        )?;
        writer.write_header("setlist_workers", "Workers of the site.", "gauge")?;
        writeln!(writer.out, "setlist_workers {workers}")?;
        writer.write_header("setlist_collected_timestamp_seconds", "When these metrics were collected.", "gauge")?;
        Ok(writeln!(writer.out, "setlist_collected_timestamp_seconds {}", now.timestamp())?)
    })
}

impl MetricsWriter<'_> {
    fn write_header(&mut self, name: &str, help: &str, kind: &str) -> Result<(), CliError> {
        Ok(writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}")?)
    }

    /// Writes a gauge with a value for each queue that has one.
    fn write_gauge<V: Display>(
        &mut self,
        name: &str,
        help: &str,
        value: impl Fn(&QueueMetrics) -> Option<V>,
    ) -> Result<(), CliError> {
        self.write_header(name, help, "gauge")?;
        for (queue, metrics) in self.queues {
            if let Some(value) = value(metrics) {
                writeln!(self.out, "{name}{{queue=\"{}\"}} {value}", label(queue))?;
            }
        }
        Ok(())
    }

    /// Writes a gauge with a value for each queue and each of these words, also where it is 0.
    fn write_counts(
        &mut self,
        name: &str,
        help: &str,
        kind: &str,
        words: &[&'static str],
        counts: impl Fn(&QueueMetrics) -> &BTreeMap<&'static str, u64>,
    ) -> Result<(), CliError> {
        self.write_header(name, help, "gauge")?;
        for (queue, metrics) in self.queues {
            for word in words {
                let count = counts(metrics).get(word).copied().unwrap_or_default();
                writeln!(self.out, "{name}{{queue=\"{}\",{kind}=\"{word}\"}} {count}", label(queue))?;
            }
        }
        Ok(())
    }

    fn write_durations(&mut self) -> Result<(), CliError> {
        let name = "setlist_run_duration_seconds";
        self.write_header(name, "Durations of kept runs.", "histogram")?;
        for (queue, metrics) in self.queues {
            let queue = label(queue);
            for (count, bound) in metrics.buckets.iter().zip(BOUNDS) {
                writeln!(self.out, "{name}_bucket{{queue=\"{queue}\",le=\"{bound}\"}} {count}")?;
            }
            let (count, sum) = (metrics.durations, seconds(metrics.run_time));
            writeln!(self.out, "{name}_bucket{{queue=\"{queue}\",le=\"+Inf\"}} {count}")?;
            writeln!(self.out, "{name}_sum{{queue=\"{queue}\"}} {sum}")?;
            writeln!(self.out, "{name}_count{{queue=\"{queue}\"}} {count}")?;
        }
        Ok(())
    }
}

/// The name of a queue as the value of a label.
fn label(queue: &QueueId) -> String {
    text::sanitize_line(queue.as_str()).replace('\\', "\\\\").replace('"', "\\\"")
}
