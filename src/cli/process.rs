//! `setlist process`: the queues' pending jobs, in the foreground, with a line for each that finishes.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::num::NonZero;

use anyhow::Context;
use chrono::Utc;
use tracing_subscriber::filter::LevelFilter;

use super::args::Process;
use super::error::complain;
use super::own_job::refuse_to_wait_for_itself;
use super::record::{JobRecord, print};
use super::site::OpenSite;
use super::tally::Tally;
use super::{CliError, Exit, signals};
use crate::model::{
    Command, Event, EventRecord, Job, NothingToDo, QueueId, QueueMode, QueueState, Refusal, SiteState, WaitReason,
    WorkerInfo,
};
use crate::site::{WorkerContext, open_store};
use crate::store::Store;
use crate::text;
use crate::worker::Worker;

/// Processes queues here until nothing more can start in them.
pub(super) fn process(site: OpenSite, options: &Process, color: bool) -> Result<Exit, CliError> {
    let mut site = site.sound()?;
    let site_state = site.site_state()?;
    let mut queues = site.queues(&site_state, &options.queues)?;
    if options.dry_run {
        return preview(&site_state, &queues, options.json);
    }
    if !options.next {
        refuse_to_wait_for_itself(&site, &site_state, |job| queues.contains(&job.queue))?;
    }
    let pace =
        options.parallel.map(|parallel| Pace::set(site.store.as_mut(), &site_state, &queues, parallel)).transpose()?;
    let (begun, left) = if options.next {
        let Some(job) = next(&site_state, &queues) else {
            complain("no job is ready to start");
            return Ok(Exit::Fine);
        };
        queues = vec![job.queue.clone()];
        (begin_one(site.store.as_mut(), job)?, false)
    } else {
        let left = confirm(site.store.as_mut(), &site_state, &queues, options.yes)?;
        (begin(site.store.as_mut(), &site_state, &queues, options.resume)?, left)
    };
    let Begun { open, held, shared, events } = begun;
    if open == 0 {
        pace.map_or(Ok(()), |pace| pace.put_back(site.store.as_mut()))?;
        // An empty queue is not worth a mail from cron.
        if !held && !options.quiet {
            complain("nothing is pending");
        }
        return Ok(if held || left { Exit::JobFailed } else { Exit::Fine });
    }
    let mut tally = Tally::new(open, queues.clone(), options, color);
    for recorded in &events {
        tally.hear(site.store.as_mut(), recorded, None);
    }
    show_trouble();
    let mut store = site.store;
    let interrupted = loop {
        let worker = Worker::join(store, site.context.clone(), Some(queues.clone()), false);
        // If no worker can be set up, nothing has been changed.
        let worker = worker.inspect_err(|_| undo_processing(&site.context, &events))?;
        let interrupted =
            signals::watch(worker.shutdown_handle(), worker.suspend_handle()).context("signals can't be watched")?;
        worker.run(|store, recorded, job| tally.hear(store, recorded, job))?;
        store = open_store(&site.context.state)?;
        if options.next || interrupted.yes() || !process_late_jobs(store.as_mut(), &mut tally)? {
            break interrupted;
        }
    };
    let site_state = store.load()?;
    let said = tally.close(&site_state);
    if let Some(pace) = pace {
        pace.put_back(store.as_mut())?;
    }
    if interrupted.yes() {
        stop_processing(store.as_mut(), &site_state, &queues, &shared)?;
        return Ok(Exit::Interrupted);
    }
    match said {
        // The reader of the output has gone; the exit code still reports the outcome.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        other => other?,
    }
    let unfinished = !options.next && report_unfinished(&site_state, &queues);
    Ok(if held || left || unfinished { Exit::JobFailed } else { tally.exit(&site_state) })
}

/// Makes the queues idle again whose processing these events have started. If that fails too, the error that led here is
/// the one to report.
fn undo_processing(context: &WorkerContext, events: &[EventRecord]) {
    let started = events.iter().filter_map(|recorded| match &recorded.event {
        Event::ModeChanged { queue, mode: QueueMode::Processing } => {
            Some(Command::StopProcessing { queue: queue.clone() })
        }
        _ => None,
    });
    if let Ok(mut store) = open_store(&context.state) {
        let _ = store.execute(&started.collect::<Vec<_>>(), Utc::now());
    }
}

/// Processes jobs that were added after their queue became idle. Returns whether there are any.
fn process_late_jobs(store: &mut dyn Store, tally: &mut Tally) -> Result<bool, CliError> {
    let queues = tally.queues_with_late_jobs(store)?;
    let commands: Vec<_> = queues.into_iter().map(|queue| Command::Process { queue }).collect();
    let now = Utc::now();
    let answers = store.execute(&commands, now)?;
    let is_processing = answers.iter().any(|answer| matches!(answer, Ok(_) | Err(Refusal::AlreadyInMode { .. })));
    for event in answers.into_iter().flatten().flatten() {
        tally.hear(store, &EventRecord { seq: 0, at: now, event }, None);
    }
    Ok(is_processing)
}

/// Says for each queue how many jobs were left pending and why. Returns whether there are any.
fn report_unfinished(site_state: &SiteState, queues: &[QueueId]) -> bool {
    let mut any = false;
    for id in queues {
        let Some(queue) = site_state.queue(id).filter(|queue| !queue.pending.is_empty()) else { continue };
        any = true;
        let reason = match queue.mode {
            QueueMode::Paused => "paused".to_owned(),
            QueueMode::Stopped => "stopped by a failed job".to_owned(),
            QueueMode::Processing => "another process works on them".to_owned(),
            QueueMode::Idle => {
                let first = queue.pending.iter().find_map(|id| site_state.wait_reason(site_state.job(*id)?));
                let reason = first.map(|reason| reason.describe(Utc::now())).unwrap_or_default();
                if reason.is_empty() { "processing was stopped".to_owned() } else { reason }
            }
        };
        let count = text::count_noun(queue.pending.len(), "job");
        complain(&text::plain_line(&format!("{count} left in {id}: {reason}")));
    }
    any
}

/// How many jobs run at once for as long as this process takes.
struct Pace {
    parallel: NonZero<u32>,
    /// How many did in each queue before.
    before: Vec<(QueueId, NonZero<u32>)>,
}

impl Pace {
    fn set(
        store: &mut dyn Store,
        site_state: &SiteState,
        queues: &[QueueId],
        parallel: NonZero<u32>,
    ) -> Result<Self, CliError> {
        let present = |id: &QueueId| Some((id.clone(), NonZero::new(site_state.queue(id)?.settings.parallel)?));
        let before: Vec<_> = queues.iter().filter_map(present).filter(|(_, before)| *before != parallel).collect();
        let command = |(queue, _): &(QueueId, _)| Command::SetParallel { queue: queue.clone(), parallel };
        store.execute(&before.iter().map(command).collect::<Vec<_>>(), Utc::now())?;
        Ok(Self { parallel, before })
    }

    /// As it was, unless somebody has changed it meanwhile.
    fn put_back(self, store: &mut dyn Store) -> Result<(), CliError> {
        let mut commands = Vec::new();
        for (queue, parallel) in self.before {
            let present = store.queues()?.into_iter().find(|known| known.id == queue);
            if present.is_some_and(|present| present.settings.parallel == self.parallel.get()) {
                commands.push(Command::SetParallel { queue, parallel });
            }
        }
        store.execute(&commands, Utc::now())?;
        Ok(())
    }
}

/// Asks for what jobs want to have confirmed, or takes `yes` for an answer; tells whether jobs are left that weren't.
fn confirm(store: &mut dyn Store, site_state: &SiteState, queues: &[QueueId], yes: bool) -> Result<bool, CliError> {
    let asking: Vec<&Job> = queues.iter().flat_map(|queue| site_state.awaiting_confirmation(queue)).collect();
    let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
    let mut confirmed = Vec::new();
    for job in &asking {
        let question = job.definition.scheduling.confirm.as_deref().unwrap_or_default();
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
fn preview(site_state: &SiteState, queues: &[QueueId], json: bool) -> Result<Exit, CliError> {
    let mut out = BufWriter::new(io::stdout().lock());
    for queue in queues.iter().filter_map(|id| site_state.queue(id)) {
        for job in queue.pending.iter().filter_map(|id| site_state.job(*id)) {
            if json {
                print(&mut out, &JobRecord::of(job, site_state.wait_reason(job).as_ref(), Utc::now()))?;
                continue;
            }
            let words =
                site_state.wait_reason(job).map(|waiting| waiting.describe(Utc::now())).filter(|words| words != "next");
            let why = words.filter(|words| !words.is_empty()).map(|words| format!("  ({words})")).unwrap_or_default();
            let (path, label) = (text::plain_line(&job.path()), text::plain_line(&job.display_title()));
            writeln!(out, "{path}  {label}{}", text::plain_line(&why))?;
        }
    }
    out.flush()?;
    Ok(Exit::Fine)
}

/// The first job of these queues that only waits for somebody to process it.
fn next<'a>(site_state: &'a SiteState, queues: &[QueueId]) -> Option<&'a Job> {
    // What is processed already goes on by itself, and who has paused a queue wants it to rest.
    let at_rest = |queue: &&QueueState| matches!(queue.mode, QueueMode::Idle | QueueMode::Stopped);
    let pending = queues.iter().filter_map(|id| site_state.queue(id)).filter(at_rest).flat_map(|queue| &queue.pending);
    let ready =
        |job: &&Job| matches!(site_state.wait_reason(job), Some(WaitReason::QueueIdle | WaitReason::QueueStopped));
    pending.filter_map(|id| site_state.job(*id)).find(ready)
}

/// Asks for one job to run.
fn begin_one(store: &mut dyn Store, job: &Job) -> Result<Begun, CliError> {
    let answers = store.execute(&[Command::Run { job: job.id }], Utc::now())?;
    answers.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Begun { open: 1, ..Begun::default() })
}

/// What came of asking for queues to be processed.
#[derive(Default)]
struct Begun {
    /// How many of their jobs are open.
    open: usize,
    /// A queue is paused, or has only jobs that can't start.
    held: bool,
    /// The queues that were processing already, for another caller.
    shared: Vec<QueueId>,
    /// What happened at once: jobs that can't run any more are skipped.
    events: Vec<EventRecord>,
}

/// Asks for the queues to be processed.
fn begin(store: &mut dyn Store, site_state: &SiteState, queues: &[QueueId], resume: bool) -> Result<Begun, CliError> {
    let mut begun = Begun::default();
    let is_paused = |id: &&QueueId| {
        let is_paused = |queue: &QueueState| queue.mode == QueueMode::Paused && !queue.pending.is_empty();
        !resume && site_state.queue(id).is_some_and(is_paused)
    };
    let (paused, queues): (Vec<_>, Vec<_>) = queues.iter().partition(is_paused);
    for queue in paused {
        complain(&text::plain_line(&format!("{queue} is paused; --resume processes it")));
        begun.held = true;
    }
    let commands: Vec<_> = queues.iter().map(|queue| Command::Process { queue: (*queue).clone() }).collect();
    let now = Utc::now();
    for (queue, answer) in queues.into_iter().zip(store.execute(&commands, now)?) {
        begun.events.extend(answer.iter().flatten().cloned().map(|event| EventRecord { seq: 0, at: now, event }));
        if let Err(Refusal::AlreadyInMode { .. }) = &answer {
            begun.shared.push(queue.clone());
        }
        match answer {
            // Another caller processes it, too: both share the work.
            Ok(_) | Err(Refusal::AlreadyInMode { .. }) => {
                begun.open += site_state.queue(queue).map_or(0, |queue| queue.pending.len() + queue.running.len());
            }
            Err(Refusal::NothingToDo(NothingToDo::Process(_))) => {}
            Err(refusal @ Refusal::Blocked { .. }) => {
                complain(&refusal.to_string());
                begun.held = true;
            }
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(begun)
}

/// Stops processing after an interrupt, except for queues that another caller processes: those that were processing
/// before and are served by another worker, and those that another worker serves by name.
fn stop_processing(
    store: &mut dyn Store,
    site_state: &SiteState,
    queues: &[QueueId],
    shared: &[QueueId],
) -> Result<(), CliError> {
    let is_needed = |queue: &QueueId| {
        let serves = |worker: &WorkerInfo| worker.serves(queue) && (worker.queues.is_some() || shared.contains(queue));
        site_state.workers().any(serves)
    };
    let stopped = queues.iter().filter(|queue| !is_needed(queue));
    let commands: Vec<_> = stopped.map(|queue| Command::StopProcessing { queue: queue.clone() }).collect();
    store.execute(&commands, Utc::now())?;
    Ok(())
}
