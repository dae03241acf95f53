//! `setlist process`: the queues' pending jobs, in the foreground, with a line for each that finishes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::Utc;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::filter::LevelFilter;

use super::args::Process;
use super::error::complain;
use super::site::OpenSite;
use super::{CliError, Exit, line, signals};
use crate::model::{Command, Event, Job, JobId, Ledger, NothingTo, Outcome, QueueId, Recorded, Refusal, Then};
use crate::store::Store;
use crate::tui::text;
use crate::worker::Shift;

/// Processes queues here until nothing more can start in them.
pub(super) fn process(site: OpenSite, options: &Process) -> Result<Exit, CliError> {
    let mut site = site.sound()?;
    let ledger = site.ledger()?;
    let queues = site.queues(&ledger, &options.queues)?;
    if options.dry_run {
        return preview(&ledger, &queues);
    }
    let left = confirm(site.store.as_mut(), &ledger, &queues, options.yes)?;
    let Begun { open, held, events } = begin(site.store.as_mut(), &ledger, &queues)?;
    if open == 0 {
        if !held {
            complain("nothing is pending");
        }
        return Ok(if held || left { Exit::JobFailed } else { Exit::Fine });
    }
    let mut tally = Tally::new(open, queues.clone(), options.quiet);
    for recorded in &events {
        tally.hear(site.store.as_mut(), recorded, None);
    }
    let shift = Shift::begin(site.store, site.office.clone(), Some(queues.clone()), false)?;
    let interrupted = signals::watch(shift.leave()).context("signals can't be watched")?;
    show_trouble();
    shift.work(|store, recorded, job| tally.hear(store, recorded, job))?;
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
    Ok(if held || left { Exit::JobFailed } else { tally.exit() })
}

/// Asks for what jobs want to have confirmed, or takes `yes` for an answer; tells whether jobs are left that weren't.
fn confirm(store: &mut dyn Store, ledger: &Ledger, queues: &[QueueId], yes: bool) -> Result<bool, CliError> {
    let asking: Vec<&Job> = queues.iter().flat_map(|queue| ledger.asking(queue)).collect();
    let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
    let mut confirmed = Vec::new();
    for job in &asking {
        let question = job.definition.terms.confirm.as_deref().unwrap_or_default();
        let (path, question) = (text::plain_line(&job.path()), text::plain_line(question));
        if yes || (can_ask && answered_yes(&format!("{path}: {question} [y/N] "))?) {
            confirmed.push(job.id);
        } else if !can_ask {
            complain(&format!("{path} is left: it asks {question:?}; --yes answers"));
        }
    }
    let left = confirmed.len() < asking.len();
    if !confirmed.is_empty() {
        store.execute(&[Command::Confirm { jobs: confirmed }], Utc::now())?;
    }
    Ok(left)
}

fn answered_yes(question: &str) -> io::Result<bool> {
    write!(io::stderr(), "{question}")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
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
            let words = ledger.waiting(job).map(|waiting| waiting.words(Utc::now())).filter(|words| words != "next");
            let why = words.filter(|words| !words.is_empty()).map(|words| format!("  ({words})")).unwrap_or_default();
            let (path, label) = (text::plain_line(&job.path()), text::plain_line(&job.label()));
            writeln!(out, "{path}  {label}{}", text::plain_line(&why))?;
        }
    }
    Ok(Exit::Fine)
}

/// What came of asking for queues to be processed.
#[derive(Default)]
struct Begun {
    /// How many of their jobs are open.
    open: usize,
    /// A queue has only jobs that can't start.
    held: bool,
    /// What happened at once: jobs that can't run any more are skipped.
    events: Vec<Recorded>,
}

/// Asks for the queues to be processed.
fn begin(store: &mut dyn Store, ledger: &Ledger, queues: &[QueueId]) -> Result<Begun, CliError> {
    let commands: Vec<_> = queues.iter().map(|queue| Command::Process { queue: queue.clone() }).collect();
    let mut begun = Begun::default();
    let now = Utc::now();
    for (queue, answer) in queues.iter().zip(store.execute(&commands, now)?) {
        begun.events.extend(answer.iter().flatten().cloned().map(|event| Recorded { seq: 0, at: now, event }));
        match answer {
            // Somebody else processes it: two share the work.
            Ok(_) | Err(Refusal::Already { .. }) => {
                begun.open += ledger.queue(queue).map_or(0, |queue| queue.pending.len() + queue.running.len());
            }
            Err(Refusal::Nothing(NothingTo::Process(_))) => {}
            Err(refusal @ Refusal::Held { .. }) => {
                complain(&refusal.to_string());
                begun.held = true;
            }
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(begun)
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
    /// What was counted of jobs that didn't succeed.
    counted: HashMap<JobId, &'static str>,
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
        Self {
            queues,
            outcomes: BTreeMap::new(),
            counted: HashMap::new(),
            began: Instant::now(),
            quiet,
            bar,
            trouble: None,
        }
    }

    /// Takes note of a change of the site. The job that it is about is read from the store unless it is `known`.
    fn hear(&mut self, store: &mut dyn Store, recorded: &Recorded, known: Option<&Job>) {
        let id = match &recorded.event {
            Event::Started { .. } if self.bar.is_hidden() => return,
            Event::Started { job, .. }
            | Event::Ended { job, .. }
            | Event::Cancelled { job }
            | Event::Skipped { job, .. }
            | Event::Reopened { job, .. } => *job,
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
            Event::Ended { report, then: then @ Then::Retry { .. }, .. } => {
                self.failed_for_now(&job, &report.outcome, *then);
            }
            Event::Ended { report, .. } => self.finished(&job, &report.outcome),
            Event::Skipped { reason, .. } => self.finished(&job, &Outcome::Skipped { reason: reason.clone() }),
            Event::Reopened { .. } => self.reopened(&job),
            _ => self.finished(&job, &Outcome::Cancelled),
        }
    }

    /// It counts when it is finished; until then it is only said.
    fn failed_for_now(&mut self, job: &Job, outcome: &Outcome, then: Then) {
        if !self.quiet {
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
        *self.outcomes.entry(outcome.word()).or_default() += 1;
        // Only what didn't succeed comes back by itself; a batch may be long.
        if *outcome != Outcome::Succeeded {
            self.counted.insert(job.id, outcome.word());
        }
        self.bar.inc(1);
        if self.quiet && *outcome == Outcome::Succeeded {
            return;
        }
        self.say(&line::of(job, outcome));
    }

    /// The last line: how many of each outcome.
    fn close(&mut self) -> Result<(), CliError> {
        self.bar.finish_and_clear();
        if let Some(error) = self.trouble.take() {
            return Err(error.into());
        }
        let order = ["succeeded", "failed", "interrupted", "cancelled", "skipped"];
        let some =
            |word: &&str| self.outcomes.get(word).filter(|count| **count > 0).map(|count| format!("{count} {word}"));
        let counts = order.iter().filter_map(some);
        let counts: Vec<String> = counts.collect();
        let counts = if counts.is_empty() { "nothing ran".to_owned() } else { counts.join(", ") };
        Ok(writeln!(io::stdout(), "{counts}  in {}", text::duration(self.began.elapsed()))?)
    }

    fn exit(&self) -> Exit {
        if self.outcomes.iter().all(|(word, count)| *word == "succeeded" || *count == 0) {
            Exit::Fine
        } else {
            Exit::JobFailed
        }
    }
}
