//! `setlist process`: the queues' pending jobs, in the foreground, with a line for each that finishes.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::Utc;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::filter::LevelFilter;

use super::args::Process;
use super::error::complain;
use super::record::took;
use super::site::OpenSite;
use super::{CliError, Exit, signals};
use crate::model::{Command, Event, Job, Ledger, NothingTo, Outcome, QueueId, Recorded, Refusal};
use crate::store::Store;
use crate::tui::text;
use crate::worker::Shift;

/// How much of what a job said a line shows, in cells: a value may be as long as a line of its output.
const SAID: usize = 120;

/// Processes queues here until nothing more can start in them.
pub(super) fn process(site: OpenSite, options: &Process) -> Result<Exit, CliError> {
    let mut site = site.sound()?;
    let ledger = site.ledger()?;
    let queues = site.queues(&ledger, &options.queues)?;
    if options.dry_run {
        return preview(&ledger, &queues);
    }
    let open = begin(site.store.as_mut(), &ledger, &queues)?;
    if open == 0 {
        complain("nothing is pending");
        return Ok(Exit::Fine);
    }
    let mut tally = Tally::new(open, queues.clone(), options.quiet);
    let shift = Shift::begin(site.store, site.office.clone(), Some(queues.clone()), false)?;
    let interrupted = signals::watch(shift.leave()).context("signals can't be watched")?;
    show_trouble();
    shift.work(|store, recorded| tally.hear(store, recorded))?;
    let said = tally.close();
    if interrupted.yes() {
        halt(&site.office, queues)?;
        return Ok(Exit::Interrupted);
    }
    match said {
        // Whoever read our output has seen enough, and still gets to know how it went.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        other => other?,
    }
    Ok(tally.exit())
}

/// What keeps the work waiting, a full disk say, is said on standard error.
fn show_trouble() {
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).with_writer(io::stderr);
    let subscriber = subscriber.with_target(false).without_time().with_level(false).with_ansi(false);
    // A subscriber that is there already does as well.
    let _ = subscriber.log_internal_errors(false).try_init();
}

/// What would run, in order.
fn preview(ledger: &Ledger, queues: &[QueueId]) -> Result<Exit, CliError> {
    let mut out = io::stdout().lock();
    for queue in queues.iter().filter_map(|id| ledger.queue(id)) {
        for job in queue.pending.iter().filter_map(|id| ledger.job(*id)) {
            writeln!(out, "{}  {}", text::plain_line(&job.path()), text::plain_line(&job.label()))?;
        }
    }
    Ok(Exit::Fine)
}

/// Asks for the queues to be processed; tells how many of their jobs are open.
fn begin(store: &mut dyn Store, ledger: &Ledger, queues: &[QueueId]) -> Result<usize, CliError> {
    let commands: Vec<_> = queues.iter().map(|queue| Command::Process { queue: queue.clone() }).collect();
    let mut open = 0;
    for (queue, answer) in queues.iter().zip(store.execute(&commands, Utc::now())?) {
        match answer {
            // Somebody else processes it: two share the work.
            Ok(_) | Err(Refusal::Already { .. }) => {
                open += ledger.queue(queue).map_or(0, |queue| queue.pending.len() + queue.running.len());
            }
            Err(Refusal::Nothing(NothingTo::Process(_))) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(open)
}

/// After an interrupt: nothing more is to start in these queues.
fn halt(office: &crate::worker::Office, queues: Vec<QueueId>) -> Result<(), CliError> {
    let mut store = crate::store::Sqlite::open(&office.state)?;
    let commands: Vec<_> = queues.into_iter().map(|queue| Command::Halt { queue }).collect();
    store.execute(&commands, Utc::now())?;
    Ok(())
}

/// Counts what finishes, and says so.
struct Tally {
    queues: Vec<QueueId>,
    outcomes: BTreeMap<&'static str, u64>,
    began: Instant,
    quiet: bool,
    bar: ProgressBar,
    trouble: Option<io::Error>,
}

impl Tally {
    fn new(open: usize, queues: Vec<QueueId>, quiet: bool) -> Self {
        let target = if quiet || !io::stderr().is_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(open as u64), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {elapsed}  {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        Self { queues, outcomes: BTreeMap::new(), began: Instant::now(), quiet, bar, trouble: None }
    }

    /// Takes note of a change of the site.
    fn hear(&mut self, store: &mut dyn Store, recorded: &Recorded) {
        let id = match &recorded.event {
            Event::Started { .. } if self.bar.is_hidden() => return,
            Event::Started { job, .. } | Event::Ended { job, .. } | Event::Cancelled { job } => *job,
            Event::Added { job } if self.queues.contains(&job.queue) => return self.bar.inc_length(1),
            _ => return,
        };
        // A line that can't be composed is no reason to stop the work.
        let Ok(Some(job)) = store.job(id) else { return };
        if !self.queues.contains(&job.queue) {
            return;
        }
        match &recorded.event {
            Event::Started { .. } => self.bar.set_message(text::plain_line(&job.path())),
            Event::Ended { report, .. } => self.finished(&job, &report.outcome),
            _ => self.finished(&job, &Outcome::Cancelled),
        }
    }

    fn finished(&mut self, job: &Job, outcome: &Outcome) {
        *self.outcomes.entry(outcome.word()).or_default() += 1;
        self.bar.inc(1);
        if self.quiet && *outcome == Outcome::Succeeded {
            return;
        }
        let line = line(job, outcome);
        let written = self.bar.suspend(|| writeln!(io::stdout(), "{line}"));
        self.trouble = self.trouble.take().or(written.err());
    }

    /// The last line: how many of each outcome.
    fn close(&mut self) -> Result<(), CliError> {
        self.bar.finish_and_clear();
        if let Some(error) = self.trouble.take() {
            return Err(error.into());
        }
        let order = ["succeeded", "failed", "interrupted", "cancelled", "skipped"];
        let counts = order.iter().filter_map(|word| Some(format!("{} {word}", self.outcomes.get(word)?)));
        let counts: Vec<String> = counts.collect();
        let counts = if counts.is_empty() { "nothing ran".to_owned() } else { counts.join(", ") };
        Ok(writeln!(io::stdout(), "{counts}  in {}", text::duration(self.began.elapsed()))?)
    }

    fn exit(&self) -> Exit {
        if self.outcomes.keys().all(|word| *word == "succeeded") { Exit::Fine } else { Exit::JobFailed }
    }
}

/// `build/lint  succeeded  1.2s  no warnings`
fn line(job: &Job, outcome: &Outcome) -> String {
    let took = job.last_run.as_deref().and_then(took).map(text::duration).unwrap_or_default();
    let said = match (outcome, &job.value) {
        (Outcome::Failed(failure), _) => text::plain_line(&failure.message),
        (Outcome::Succeeded, Some(value)) => {
            text::plain_line(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        }
        _ => String::new(),
    };
    let said = text::fit(&said, SAID, text::ELLIPSIS);
    format!("{}  {outcome}  {took}  {said}", text::plain_line(&job.path())).trim_end().to_owned()
}
