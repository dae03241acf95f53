//! Reports the progress of `setlist process`: a line per finished job, a progress bar on a terminal, counts.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::ProcessArgs;
use super::background_printer::BackgroundPrinter;
use super::exit::ExitStatus;
use super::json_records::{JobRecord, write_json};
use super::safe_output;
use super::summary_line;
use crate::clock;
use crate::model::{
    AfterRun, Event, EventRecord, Job, JobId, Outcome, QueueId, QueueMode, SiteState, SkipKind, has_failed_need,
};
use crate::store::log::LogReader;
use crate::store::{Store, StoreError};
use crate::text;
use crate::tui::output::StreamSanitizer;

/// The last lines of a failed run that are shown.
const MAX_FAILURE_LINES: usize = 10;
/// How much of the end of a log is read for them.
const LOG_TAIL_BYTES: usize = 16 << 10;

/// Counts finished jobs, and prints a line for each.
pub(super) struct ProgressReporter {
    queues: Vec<QueueId>,
    outcomes: BTreeMap<&'static str, u64>,
    /// For each queue that has become idle, the number of that event.
    idle_since: HashMap<QueueId, u64>,
    /// The counted outcomes of jobs that did not succeed.
    counted_outcomes: HashMap<JobId, &'static str>,
    start: Instant,
    quiet: bool,
    json: bool,
    color: bool,
    printer: BackgroundPrinter,
}

impl ProgressReporter {
    /// Reports on the jobs of these queues; `color` applies to their output.
    pub(super) fn new(queues: Vec<QueueId>, options: &ProcessArgs, color: bool) -> io::Result<Self> {
        let target = if options.quiet || !safe_output::is_stderr_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {elapsed}  {msg}") {
            bar.set_style(style);
        }
        Ok(Self {
            queues,
            outcomes: BTreeMap::new(),
            idle_since: HashMap::new(),
            counted_outcomes: HashMap::new(),
            start: Instant::now(),
            quiet: options.quiet,
            json: options.json,
            color,
            printer: BackgroundPrinter::start(bar, color)?,
        })
    }

    /// Expects so many jobs, and shows the progress bar from now on.
    pub(super) fn expect(&self, open: usize) {
        self.printer.change_bar(move |bar| {
            bar.set_length(open as u64);
            if !bar.is_hidden() {
                bar.enable_steady_tick(Duration::from_secs(1));
            }
        });
    }

    /// What prints the lines.
    pub(super) fn printer(&self) -> &BackgroundPrinter {
        &self.printer
    }

    /// Counts jobs that were interrupted because their worker died, which this command has found out.
    pub(super) fn count_interrupted<'j>(&mut self, jobs: impl Iterator<Item = &'j Job>) {
        for job in jobs {
            *self.outcomes.entry(Outcome::Interrupted.as_str()).or_default() += 1;
            self.counted_outcomes.insert(job.id, Outcome::Interrupted.as_str());
        }
    }

    /// Handles an event of the site. Its job is read from the store unless it is `known`.
    pub(super) fn handle_event(&mut self, store: &mut dyn Store, recorded: &EventRecord, known: Option<&Job>) {
        if let Event::ModeChanged { queue, mode } = &recorded.event {
            self.idle_since.remove(queue);
            if *mode == QueueMode::Idle && self.queues.contains(queue) {
                self.idle_since.insert(queue.clone(), recorded.seq);
            }
            return;
        }
        let id = match &recorded.event {
            Event::Started { .. } if !self.printer.has_bar() => return,
            Event::Started { job, .. }
            | Event::Ended { job, .. }
            | Event::Cancelled { job }
            | Event::Skipped { job, .. }
            | Event::Requeued { job, .. } => *job,
            Event::Added { job } if self.queues.contains(&job.queue) => {
                return self.printer.change_bar(|bar| bar.inc_length(1));
            }
            _ => return,
        };
        // If the job can't be read, its line is omitted and the work continues.
        let job = match known {
            Some(job) => Cow::Borrowed(job),
            None => match store.job(id) {
                Ok(Some(job)) => Cow::Owned(job),
                _ => return,
            },
        };
        if !self.queues.contains(&job.queue) {
            return;
        }
        match &recorded.event {
            Event::Started { .. } => {
                let name = text::sanitize_line(&job.path());
                self.printer.change_bar(|bar| bar.set_message(name));
            }
            Event::Ended { report, after_run: after_run @ AfterRun::Retry { .. }, .. } => {
                self.report_retry(&job, &report.outcome, *after_run);
            }
            Event::Ended { report, run, .. } => {
                self.report_finished(&job, &report.outcome);
                if matches!(report.outcome, Outcome::Failed(_)) {
                    self.show_log_tail(store.log_reader(*run), &job);
                }
            }
            Event::Skipped { reason, .. } => {
                // If it can't be read why, it is printed.
                let is_failure = !self.quiet || has_failed_need(&job, |id| store.job(id)).unwrap_or(true);
                let outcome = Outcome::Skipped { reason: reason.as_str().into(), by: SkipKind::Needs };
                self.count_finished(&job, &outcome);
                if is_failure {
                    self.print_finished(&job, &outcome);
                }
            }
            Event::Requeued { .. } => self.uncount(&job),
            _ => self.report_finished(&job, &Outcome::Cancelled),
        }
    }

    /// A run failed and will be retried: it is printed, but not counted.
    fn report_retry(&self, job: &Job, outcome: &Outcome, after_run: AfterRun) {
        if !self.quiet && !self.json {
            self.printer.print_line(summary_line::describe_run_end(job, outcome, after_run));
        }
    }

    /// A finished job is pending again: its outcome is not counted any more.
    fn uncount(&mut self, job: &Job) {
        if let Some(outcome) = self.counted_outcomes.remove(&job.id)
            && let Some(count) = self.outcomes.get_mut(outcome)
        {
            *count -= 1;
            self.printer.change_bar(|bar| bar.inc_length(1));
        }
    }

    fn report_finished(&mut self, job: &Job, outcome: &Outcome) {
        self.count_finished(job, outcome);
        let is_not_needed = matches!(outcome, Outcome::Skipped { by: SkipKind::Condition | SkipKind::UpToDate, .. });
        if !self.quiet || !(is_not_needed || *outcome == Outcome::Succeeded) {
            self.print_finished(job, outcome);
        }
    }

    fn count_finished(&mut self, job: &Job, outcome: &Outcome) {
        *self.outcomes.entry(outcome.as_str()).or_default() += 1;
        // Successes are not stored, because a queue may be long and only other outcomes are usually retried.
        if *outcome != Outcome::Succeeded {
            self.counted_outcomes.insert(job.id, outcome.as_str());
        }
        self.printer.change_bar(|bar| bar.inc(1));
    }

    fn print_finished(&self, job: &Job, outcome: &Outcome) {
        if self.json {
            let mut object = Vec::new();
            // Writing to memory can't fail.
            let _ = write_json(&mut object, &JobRecord::new(job, None, clock::now()));
            return self.printer.print_line(String::from_utf8_lossy(&object).trim_end().to_owned());
        }
        self.printer.print_line(summary_line::describe_outcome(job, outcome));
    }

    /// Prints the last lines of a failed run on standard error.
    fn show_log_tail(&self, mut log: LogReader, job: &Job) {
        let printer = if self.color { StreamSanitizer::coloured() } else { StreamSanitizer::plain() };
        // The log itself is still there if it can't be read now.
        let Ok((lines, is_complete)) = last_lines(&mut log, printer) else { return };
        let mut lines: Vec<String> = lines.iter().map(|line| format!("    {line}")).collect();
        if !is_complete {
            let path = text::sanitize_line(&job.path());
            lines.push(format!("    (last lines; `setlist log {path}` prints all)"));
        }
        self.printer.print_errors(lines);
    }

    /// The queues to which jobs were added after they became idle, by an `on_finish` hook for example.
    pub(super) fn queues_with_late_jobs(&self, store: &mut dyn Store) -> Result<Vec<QueueId>, StoreError> {
        let Some(first) = self.idle_since.values().min() else { return Ok(Vec::new()) };
        let records = store.events_after(*first)?.unwrap_or_default();
        let has_late_job = |(queue, idle): &(&QueueId, &u64)| {
            let is_late = |record: &EventRecord| match &record.event {
                Event::Added { job } => record.seq > **idle && job.queue == **queue,
                _ => false,
            };
            records.iter().any(is_late)
        };
        Ok(self.idle_since.iter().filter(has_late_job).map(|(queue, _)| queue.clone()).collect())
    }

    /// Prints the counts of each outcome, and waits until everything is printed, at most so long.
    pub(super) fn finish(&mut self, site_state: &SiteState, at_most: Option<Duration>) -> io::Result<()> {
        self.printer.change_bar(ProgressBar::finish_and_clear);
        if !(self.json || (self.quiet && self.exit(site_state) == ExitStatus::Success)) {
            let counts = summary_line::describe_counts(&self.outcomes).unwrap_or_else(|| "no job ran".to_owned());
            self.printer.print_line(format!("{counts}  in {}", text::duration(self.start.elapsed())));
        }
        self.printer.flush(at_most)
    }

    /// Counts the jobs that an interrupt leaves pending.
    pub(super) fn count_pending(&mut self, jobs: usize) {
        self.outcomes.insert("pending", jobs as u64);
    }

    /// Whether a job failed. A job that was skipped counts only if the reason is a failure.
    pub(super) fn exit(&self, site_state: &SiteState) -> ExitStatus {
        let is_failure = |(id, outcome): (&JobId, &&str)| {
            *outcome != "skipped" || site_state.job(*id).is_none_or(|job| site_state.counts_as_failure(job))
        };
        if self.counted_outcomes.iter().any(is_failure) { ExitStatus::JobFailed } else { ExitStatus::Success }
    }
}

/// The last lines of a log, and whether they are the complete log.
pub(super) fn last_lines(log: &mut LogReader, mut printer: StreamSanitizer) -> Result<(Vec<String>, bool), StoreError> {
    let len = log.len()?;
    let from = len.saturating_sub(LOG_TAIL_BYTES as u64);
    let mut bytes = vec![0; LOG_TAIL_BYTES];
    let mut filled = 0;
    while filled < LOG_TAIL_BYTES {
        let piece = log.read_at(from + filled as u64, &mut bytes[filled..])?;
        // The tail of a log is always kept, so there are no gaps near its end.
        if piece.len == 0 || piece.offset != from + filled as u64 {
            break;
        }
        filled += piece.len;
    }
    let mut text = String::new();
    printer.push(&bytes[..filled], &mut text);
    printer.finish(&mut text);
    let lines: Vec<&str> = text.lines().collect();
    // The first line may be incomplete.
    let whole = if from > 0 && lines.len() > 1 { &lines[1..] } else { &lines };
    let last = &whole[whole.len().saturating_sub(MAX_FAILURE_LINES)..];
    Ok((last.iter().map(ToString::to_string).collect(), from == 0 && whole.len() <= MAX_FAILURE_LINES))
}
