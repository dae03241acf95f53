//! What `setlist process` says while it works: a line for each job that finishes, a bar on a terminal, counts.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use chrono::Utc;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::Process;
use super::error::say;
use super::record::{JobRecord, print};
use super::{CliError, Exit, line};
use crate::model::{AfterRun, Event, EventRecord, Job, JobId, Outcome, QueueId, QueueMode, SiteState};
use crate::store::log::LogReader;
use crate::store::{Store, StoreError};
use crate::text;
use crate::tui::output::StreamSanitizer;

/// How many lines of a run that failed are shown, and how far back they are looked for, in bytes.
const LINES: usize = 10;
const FAR: usize = 16 << 10;

/// Counts what finishes, and says so.
pub(super) struct Tally {
    queues: Vec<QueueId>,
    outcomes: BTreeMap<&'static str, u64>,
    /// For each queue that has become idle, the number of that event.
    idle_since: HashMap<QueueId, u64>,
    /// What was counted of jobs that didn't succeed.
    counted: HashMap<JobId, &'static str>,
    began: Instant,
    quiet: bool,
    json: bool,
    color: bool,
    bar: ProgressBar,
    trouble: Option<io::Error>,
}

impl Tally {
    /// Of this many jobs; `color` is for what they have said.
    pub(super) fn new(open: usize, queues: Vec<QueueId>, options: &Process, color: bool) -> Self {
        let target = if options.quiet || !io::stderr().is_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(open as u64), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {elapsed}  {msg}") {
            bar.set_style(style);
        }
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_secs(1));
        }
        Self {
            queues,
            outcomes: BTreeMap::new(),
            idle_since: HashMap::new(),
            counted: HashMap::new(),
            began: Instant::now(),
            quiet: options.quiet,
            json: options.json,
            color,
            bar,
            trouble: None,
        }
    }

    /// Takes note of a change of the site. The job that it is about is read from the store unless it is `known`.
    pub(super) fn hear(&mut self, store: &mut dyn Store, recorded: &EventRecord, known: Option<&Job>) {
        if let Event::ModeChanged { queue, mode } = &recorded.event {
            self.idle_since.remove(queue);
            if *mode == QueueMode::Idle && self.queues.contains(queue) {
                self.idle_since.insert(queue.clone(), recorded.seq);
            }
            return;
        }
        let id = match &recorded.event {
            Event::Started { .. } if self.bar.is_hidden() => return,
            Event::Started { job, .. }
            | Event::Ended { job, .. }
            | Event::Cancelled { job }
            | Event::Skipped { job, .. }
            | Event::Requeued { job, .. } => *job,
            Event::Added { job } if self.queues.contains(&job.queue) => return self.bar.inc_length(1),
            _ => return,
        };
        // A line that can't be composed is no reason to stop the work.
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
            Event::Started { .. } => self.bar.set_message(text::plain_line(&job.path())),
            Event::Ended { report, after_run: after_run @ AfterRun::Retry { .. }, .. } => {
                self.failed_for_now(&job, &report.outcome, *after_run);
            }
            Event::Ended { report, run, .. } => {
                self.finished(&job, &report.outcome);
                if matches!(report.outcome, Outcome::Failed(_)) {
                    self.show_end(store.log_reader(*run), &job);
                }
            }
            Event::Skipped { reason, .. } => self.finished(&job, &Outcome::Skipped { reason: reason.clone() }),
            Event::Requeued { .. } => self.reopened(&job),
            _ => self.finished(&job, &Outcome::Cancelled),
        }
    }

    /// It counts when it is finished; until then it is only said.
    fn failed_for_now(&mut self, job: &Job, outcome: &Outcome, then: AfterRun) {
        if !self.quiet && !self.json {
            self.say(&line::ended(job, outcome, then));
        }
    }

    /// What finished was asked to run again, or a job that was skipped is no longer: it is counted anew.
    fn reopened(&mut self, job: &Job) {
        if let Some(outcome) = self.counted.remove(&job.id)
            && let Some(count) = self.outcomes.get_mut(outcome)
        {
            *count -= 1;
            self.bar.inc_length(1);
        }
    }

    fn say(&mut self, line: &str) {
        let written = self.bar.suspend(|| writeln!(io::stdout(), "{line}"));
        self.trouble = self.trouble.take().or(written.err());
    }

    fn finished(&mut self, job: &Job, outcome: &Outcome) {
        *self.outcomes.entry(outcome.as_str()).or_default() += 1;
        // Only what didn't succeed comes back by itself; a batch may be long.
        if *outcome != Outcome::Succeeded {
            self.counted.insert(job.id, outcome.as_str());
        }
        self.bar.inc(1);
        if self.quiet && *outcome == Outcome::Succeeded {
            return;
        }
        if self.json {
            let mut object = Vec::new();
            // It is only written to memory.
            let _ = print(&mut object, &JobRecord::of(job, None, Utc::now()));
            return self.say(String::from_utf8_lossy(&object).trim_end());
        }
        self.say(&line::of(job, outcome));
    }

    /// The last lines of a run that failed, on standard error: the first thing that one wants to know.
    fn show_end(&self, mut log: LogReader, job: &Job) {
        let printer = if self.color { StreamSanitizer::coloured() } else { StreamSanitizer::plain() };
        // What can't be read now is in the log all the same.
        let Ok((lines, all)) = last_lines(&mut log, printer) else { return };
        self.bar.suspend(|| {
            for line in &lines {
                say(&format!("    {line}"));
            }
            if !all {
                say(&format!("    (the end of it; `setlist log {}` prints all)", text::plain_line(&job.path())));
            }
        });
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

    /// The last line: how many of each outcome.
    pub(super) fn close(&mut self, site_state: &SiteState) -> Result<(), CliError> {
        self.bar.finish_and_clear();
        if let Some(error) = self.trouble.take() {
            return Err(error.into());
        }
        if self.json || (self.quiet && self.exit(site_state) == Exit::Fine) {
            return Ok(());
        }
        let counts = line::counts(&self.outcomes).unwrap_or_else(|| "nothing ran".to_owned());
        Ok(writeln!(io::stdout(), "{counts}  in {}", text::duration(self.began.elapsed()))?)
    }

    /// Whether a job failed. A job that was skipped counts only if the reason is a failure.
    pub(super) fn exit(&self, site_state: &SiteState) -> Exit {
        let is_failure = |(id, outcome): (&JobId, &&str)| {
            *outcome != "skipped" || site_state.job(*id).is_none_or(|job| site_state.counts_as_failure(job))
        };
        if self.counted.iter().any(is_failure) { Exit::JobFailed } else { Exit::Fine }
    }
}

/// The last lines of a log, and whether that is all of it.
fn last_lines(log: &mut LogReader, mut printer: StreamSanitizer) -> Result<(Vec<String>, bool), StoreError> {
    let len = log.len()?;
    let from = len.saturating_sub(FAR as u64);
    let mut bytes = vec![0; FAR];
    let mut filled = 0;
    while filled < FAR {
        let piece = log.read_at(from + filled as u64, &mut bytes[filled..])?;
        // What was not kept lies far before the end, so there is no gap in so little.
        if piece.len == 0 || piece.offset != from + filled as u64 {
            break;
        }
        filled += piece.len;
    }
    let mut text = String::new();
    printer.push(&bytes[..filled], &mut text);
    printer.finish(&mut text);
    let lines: Vec<&str> = text.lines().collect();
    // The first one may have begun before.
    let whole = if from > 0 && lines.len() > 1 { &lines[1..] } else { &lines };
    let last = &whole[whole.len().saturating_sub(LINES)..];
    Ok((last.iter().map(ToString::to_string).collect(), from == 0 && whole.len() <= LINES))
}
