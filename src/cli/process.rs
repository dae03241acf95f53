//! `setlist process`: runs the pending jobs of queues in the foreground.

use std::io::{self, BufWriter, IsTerminal, Write};

use anyhow::Context;
use tracing_subscriber::filter::LevelFilter;

use super::approval_prompt::ApprovalPrompt;
use super::args::{ProcessArgs, StartArgs};
use super::background_printer::{BackgroundPrinter, PRINT_TIMEOUT};
use super::change_waiter::tolerate_outages;
use super::error::CliError;
use super::error::warn;
use super::exit::ExitStatus;
use super::input_args::{can_ask, report_kept_values};
use super::json_records::{JobRecord, write_json};
use super::open_site::OpenSite;
use super::own_job::refuse_to_wait_for_itself;
use super::progress_reporter::ProgressReporter;
use super::queue_or_job::sync_state;
use super::safe_output;
use super::signals::SignalHandler;
use super::start::{
    StartedJobs, approve_all, queues_to_process, report_no_pending_jobs, report_scheduled_jobs, report_settling_files,
    requeue_commands, requeue_finished, start, start_queues,
};
use crate::clock;
use crate::model::{
    Command, Event, EventRecord, Job, OutcomeCondition, Phase, QueueId, QueueMode, QueueState, Refusal, Site,
    SiteState, WaitReason, WorkerInfo, WorkerOptions, due_at,
};
use crate::site::{GivenInputs, SitePaths, execute_requests_with, open_store};
use crate::store::{MAX_OUTAGE, Store};
use crate::text::{self, count_noun};
use crate::worker::{Worker, WorkerError};

/// Processes queues until none of their jobs can start any more.
pub(super) fn process(site: OpenSite, options: &ProcessArgs, color: bool) -> Result<ExitStatus, CliError> {
    if options.detach {
        return start(site, &StartArgs::detached(options));
    }
    let mut site = site.require_valid_file()?;
    let mut site_state = site.site_state()?;
    let mut queues = queues_to_process(&site, &site_state, &options.queues)?;
    if !options.dry_run {
        let asks = can_ask() && !options.quiet && !options.next;
        site.inputs = options.inputs.for_queues(&site_state, &queues, options.again, asks)?;
    }
    if options.dry_run {
        return print_plan_of(site_state, &queues, options);
    }
    if options.again {
        if !options.quiet {
            report_kept_values(&site_state, &queues, &options.inputs, &site.inputs);
        }
        requeue_finished(site.store.as_mut(), &site_state, &queues)?;
        sync_state(&mut site_state, site.store.as_mut())?;
    }
    if !options.next {
        refuse_to_wait_for_itself(&site, &site_state, |job| queues.contains(&job.queue))?;
    }
    // From here on, an interrupt has something to undo.
    let signals = SignalHandler::install().context("cannot handle signals")?;
    let mut reporter = ProgressReporter::new(queues.clone(), options, color).context("cannot start a thread")?;
    reporter.count_interrupted(interrupted_jobs(&site, &site_state, &queues));
    if !options.next && !options.quiet && options.queues.is_empty() {
        report_early_runs(&site_state, &queues);
    }
    let started = if options.next {
        let Some(job) = next_startable(&site_state, &queues) else {
            warn("no job is ready to start");
            return Ok(ExitStatus::Success);
        };
        queues = vec![job.queue.clone()];
        request_job(&mut site, job)?
    } else {
        if options.yes {
            approve_all(site.store.as_mut(), &site_state, &queues)?;
        }
        start_queues(&mut site, &site_state, &queues, options.resume)?
    };
    let StartedJobs { open, has_blocked_queue, shared, events } = started;
    if open == 0 {
        if !has_blocked_queue {
            report_no_pending_jobs(&site_state, &queues, options.quiet);
            if !options.quiet {
                report_settling_files(&site.paths);
            }
        }
        return Ok(if has_blocked_queue { ExitStatus::JobFailed } else { reporter.exit(&site_state) });
    }
    reporter.expect(open);
    let is_interactive = io::stdin().is_terminal() && safe_output::is_stderr_terminal() && !options.quiet;
    let before = site_state.seq();
    sync_state(&mut site_state, site.store.as_mut())?;
    report_missed(site.store.as_mut(), before, site_state.seq() + 1, &mut reporter);
    let prompt = ApprovalPrompt::new(&site_state, &queues, is_interactive).filter(|_| !options.next);
    log_warnings_to_stderr(reporter.printer().clone());
    let paths = site.paths.clone();
    let finished = run_workers(site, &site_state, &queues, options, &signals, &mut reporter, prompt);
    // If a worker can't be set up, nothing has been changed.
    let mut store = finished.inspect_err(|error| undo_processing(&paths, &events, &shared, error))?;
    sync_state(&mut site_state, store.as_mut())?;
    let is_interrupted = signals.is_interrupted();
    if is_interrupted {
        reporter.count_pending(stop_processing(store.as_mut(), &site_state, &queues, &shared)?);
    }
    // The reader of the output may have stopped reading.
    let is_interrupted = signals.let_exit() || is_interrupted;
    let printed = reporter.finish(&site_state, is_interrupted.then_some(PRINT_TIMEOUT));
    if is_interrupted {
        return Ok(ExitStatus::Interrupted);
    }
    match printed {
        // The reader of the output has gone.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => warn(&format!("cannot write the output: {error}; the exit status tells how the jobs ended")),
        Ok(()) => {}
    }
    let unfinished = !options.next && report_unfinished(&site_state, &queues);
    Ok(if has_blocked_queue || unfinished { ExitStatus::JobFailed } else { reporter.exit(&site_state) })
}

/// The jobs of these queues that this command has found interrupted, and that don't run again by themselves.
fn interrupted_jobs<'s>(
    site: &OpenSite,
    site_state: &'s SiteState,
    queues: &[QueueId],
) -> impl Iterator<Item = &'s Job> {
    let jobs = site.interrupted_jobs.iter().filter_map(|id| site_state.job(*id));
    jobs.filter(|job| job.phase() == Phase::Finished && queues.contains(&job.queue))
}

/// Runs workers for these queues until none of their jobs can start any more, or until an interrupt. Returns the store.
fn run_workers(
    site: OpenSite,
    site_state: &SiteState,
    queues: &[QueueId],
    options: &ProcessArgs,
    signals: &SignalHandler,
    reporter: &mut ProgressReporter,
    mut prompt: Option<ApprovalPrompt>,
) -> Result<Box<dyn Store>, CliError> {
    let (mut store, inputs) = (site.store, site.inputs);
    let mut reports_schedule = !options.next && !options.quiet;
    // Another worker may have run jobs before this one joins, and while it leaves.
    let (mut last_seq, mut is_first) = (site_state.seq(), true);
    loop {
        let mut worker =
            Worker::join(store, site.paths.clone(), Some(queues.to_vec()), WorkerOptions::default(), false)?;
        signals.attach(worker.interrupt_flag(), worker.shutdown_handle(), worker.suspend_handle());
        if let Some(parallel) = options.parallel {
            worker = worker.with_parallel(parallel)?;
        }
        if std::mem::take(&mut reports_schedule) {
            report_scheduled_jobs(site_state, queues);
        }
        if let Some(prompt) = &mut prompt {
            prompt.attach(&mut worker, &site.paths.state);
        }
        let mut prompt_error = None;
        worker.run(|store, recorded, job| {
            if std::mem::take(&mut is_first) {
                report_missed(store, last_seq, recorded.seq, reporter);
            }
            last_seq = last_seq.max(recorded.seq);
            reporter.handle_event(store, recorded, job);
            let checked = prompt.as_ref().map_or(Ok(()), |prompt| prompt.check(store));
            prompt_error = prompt_error.take().or(checked.err());
        })?;
        if let Some(error) = prompt_error {
            return Err(error);
        }
        store = open_store(&site.paths.state)?;
        tolerate_outages(store.as_mut(), MAX_OUTAGE);
        report_missed(store.as_mut(), last_seq, u64::MAX, reporter);
        if options.next
            || signals.is_interrupted()
            || !process_late_jobs(store.as_mut(), &site.paths, &inputs, reporter)?
        {
            return Ok(store);
        }
    }
}

/// Reports the events between two others. If they can't be read, their lines are omitted.
fn report_missed(store: &mut dyn Store, after: u64, before: u64, reporter: &mut ProgressReporter) {
    let events = store.events_after(after).ok().flatten().unwrap_or_default();
    for recorded in events.iter().filter(|recorded| recorded.seq < before) {
        reporter.handle_event(store, recorded, None);
    }
}

/// Makes the queues idle again whose processing these events have started, after an error. If that fails too, that error
/// is the one to report.
fn undo_processing(paths: &SitePaths, events: &[EventRecord], shared: &[QueueId], error: &CliError) {
    if let CliError::Store(error) | CliError::Worker(WorkerError::Store(error)) = error
        && error.is_permanent()
    {
        // The site is gone.
        return;
    }
    let started = events.iter().filter_map(|recorded| match &recorded.event {
        Event::ModeChanged { queue, mode: QueueMode::Processing } => Some(queue.clone()),
        _ => None,
    });
    let undo = || {
        let mut store = open_store(&paths.state)?;
        let site_state = store.load()?;
        stop_processing(store.as_mut(), &site_state, &started.collect::<Vec<_>>(), shared)
    };
    let _ = undo();
}

/// Processes jobs that were added after their queue became idle. Returns whether there are any.
fn process_late_jobs(
    store: &mut dyn Store,
    paths: &SitePaths,
    inputs: &GivenInputs,
    reporter: &mut ProgressReporter,
) -> Result<bool, CliError> {
    let queues = reporter.queues_with_late_jobs(store)?;
    let commands: Vec<_> = queues.into_iter().map(|queue| Command::Process { queue }).collect();
    let now = store.clock().now();
    let answers = execute_requests_with(store, paths, commands, inputs, now)?;
    let is_processing = answers.iter().any(|result| matches!(result, Ok(_) | Err(Refusal::AlreadyInMode { .. })));
    for event in answers.into_iter().flatten().flatten() {
        reporter.handle_event(store, &EventRecord { seq: 0, at: now, event }, None);
    }
    Ok(is_processing)
}

/// Reports for each queue how many jobs are left pending, and why. Returns whether there are any.
fn report_unfinished(site_state: &SiteState, queues: &[QueueId]) -> bool {
    let mut any = false;
    for id in queues {
        let Some(queue) = site_state.queue(id).filter(|queue| !queue.pending.is_empty()) else { continue };
        any = true;
        let reason = match queue.mode {
            QueueMode::Paused => "paused".to_owned(),
            QueueMode::Stopped => site_state.stop_reason(id),
            QueueMode::Processing => match site_state.approvals_due(id).next() {
                Some(job) => format!("{0} needs approval; `setlist approve {0}` approves it", job.path()),
                None => site_state.waits_for_labels(id).map_or_else(
                    || {
                        if site_state.workers().any(|worker| worker.serves(id)) {
                            "another process works on them".to_owned()
                        } else {
                            format!("their worker was drained; `setlist start {id}` starts another one")
                        }
                    },
                    |(job, reason)| format!("{}: {}", job.path(), reason.describe(clock::now())),
                ),
            },
            QueueMode::Idle => {
                let first = queue.pending.iter().find_map(|id| site_state.wait_reason(site_state.job(*id)?));
                let reason = first.map(|reason| reason.describe(clock::now())).unwrap_or_default();
                if reason.is_empty() { "processing was stopped".to_owned() } else { reason }
            }
        };
        let count = count_noun(queue.pending.len(), "job");
        warn(&text::sanitize_line(&format!("{count} left in {id}: {reason}")));
    }
    any
}

/// Prints warnings, such as a full disk, on standard error.
fn log_warnings_to_stderr(printer: BackgroundPrinter) {
    let subscriber =
        tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).with_writer(move || printer.log_writer());
    let subscriber = subscriber.with_target(false).without_time().with_level(false).with_ansi(false);
    // If a subscriber is set already, it is used.
    let _ = subscriber.log_internal_errors(false).try_init();
}

/// Prints what would run, in order; with `--again` also the finished jobs, which would be pending first.
fn print_plan_of(site_state: SiteState, queues: &[QueueId], options: &ProcessArgs) -> Result<ExitStatus, CliError> {
    if !options.again {
        return print_plan(&site_state, queues, options.json);
    }
    let given = options.inputs.for_plan(&site_state, queues)?;
    report_kept_values(&site_state, queues, &options.inputs, &given);
    let commands = requeue_commands(&site_state, queues);
    let site = Site::with_state(site_state, "");
    for command in commands {
        // Cannot be refused: the job has finished.
        let _ = site.submit(&command, clock::now());
    }
    site.read(|site_state| print_plan(site_state, queues, options.json))
}

/// Prints what would run, in order.
fn print_plan(site_state: &SiteState, queues: &[QueueId], json: bool) -> Result<ExitStatus, CliError> {
    let mut out = BufWriter::new(safe_output::stdout());
    let (mut jobs, mut producers) = (0, Vec::new());
    for queue in queues.iter().filter_map(|id| site_state.queue(id)) {
        jobs += queue.pending.len();
        for job in queue.pending.iter().filter_map(|id| site_state.job(*id)) {
            producers.extend((!job.definition.scheduling.item_entries.is_empty()).then_some(job));
            if json {
                write_json(&mut out, &JobRecord::new(job, site_state.wait_reason(job).as_ref(), clock::now()))?;
                continue;
            }
            let waiting = site_state.wait_reason(job);
            let condition = waiting.as_ref().and_then(|waiting| needed_outcome(site_state, job, waiting));
            let reason = waiting
                .map(|waiting| planned_wait(&waiting) + condition.unwrap_or_default())
                .filter(|reason| reason != "next");
            let reason =
                reason.filter(|reason| !reason.is_empty()).map(|reason| format!("  ({reason})")).unwrap_or_default();
            let (path, label) = (text::sanitize_line(&job.path()), text::sanitize_line(&job.display_title()));
            writeln!(out, "{path}  {label}{}", text::sanitize_line(&reason))?;
        }
    }
    out.flush()?;
    if !json {
        warn(&format!("{} pending", count_noun(jobs, "job")));
        for job in producers {
            let entries = job.definition.scheduling.item_entries.join(" and ");
            let message = format!("{} returns the items of {entries}, which may change the jobs", job.path());
            warn(&text::sanitize_line(&message));
        }
    }
    Ok(ExitStatus::Success)
}

/// What a job waits for when its queue is processed. It doesn't wait for its schedule.
fn planned_wait(waiting: &WaitReason) -> String {
    let now = clock::now();
    match waiting {
        WaitReason::Schedule { at, shown } => {
            format!("runs now; its schedule is next due {}", due_at(*at, *shown, now))
        }
        waiting => waiting.describe(now),
    }
}

/// Says that queues with a schedule run now, which `process` without names may not be meant to do.
fn report_early_runs(site_state: &SiteState, queues: &[QueueId]) {
    for queue in queues.iter().filter_map(|id| site_state.queue(id)) {
        let pending = queue.pending.iter().filter_map(|id| site_state.job(*id));
        let due = pending.filter_map(|job| Some((job, site_state.wait_reason(job)?)));
        let due = due.filter_map(|(job, waiting)| match waiting {
            WaitReason::Schedule { at, shown } => Some((job, at, shown)),
            _ => None,
        });
        if let Some((job, at, shown)) = due.min_by_key(|(_, at, _)| *at) {
            let due = due_at(at, shown, clock::now());
            warn(&text::sanitize_line(&format!("{} runs now; its schedule is next due {due}", job.path())));
        }
    }
}

/// How the job must end that this one waits for, unless it must succeed.
fn needed_outcome(site_state: &SiteState, job: &Job, waiting: &WaitReason) -> Option<&'static str> {
    let WaitReason::Needs(_) = waiting else { return None };
    let is_unfinished = |id| site_state.job(id).is_some_and(|needed| needed.phase() != Phase::Finished);
    match job.needs.iter().find(|need| is_unfinished(need.job))?.on {
        OutcomeCondition::Success => None,
        OutcomeCondition::Failure => Some(", which must fail"),
        OutcomeCondition::Finish => Some(", which must finish"),
    }
}

/// The first job of these queues that only waits for its queue to be processed.
fn next_startable<'a>(site_state: &'a SiteState, queues: &[QueueId]) -> Option<&'a Job> {
    // Jobs of a processed queue start by themselves, and a paused queue stays paused.
    let is_inactive = |queue: &&QueueState| matches!(queue.mode, QueueMode::Idle | QueueMode::Stopped);
    let pending =
        queues.iter().filter_map(|id| site_state.queue(id)).filter(is_inactive).flat_map(|queue| &queue.pending);
    let is_ready = |job: &&Job| site_state.wait_reason(job).is_some_and(|reason| reason.is_about_mode());
    pending.filter_map(|id| site_state.job(*id)).find(is_ready)
}

/// Requests one job to run.
fn request_job(site: &mut OpenSite, job: &Job) -> Result<StartedJobs, CliError> {
    site.submit(Command::Run { job: job.id, force: false })?;
    Ok(StartedJobs { open: 1, ..StartedJobs::default() })
}

/// Stops processing after an interrupt, except for queues that another caller processes: those that were processing
/// before and are served by another worker, and those that another worker serves by name. Returns how many jobs are left
/// pending in the stopped ones.
fn stop_processing(
    store: &mut dyn Store,
    site_state: &SiteState,
    queues: &[QueueId],
    shared: &[QueueId],
) -> Result<usize, CliError> {
    let is_needed = |queue: &QueueId| {
        let serves = |worker: &WorkerInfo| worker.serves(queue) && (worker.queues.is_some() || shared.contains(queue));
        site_state.workers().any(serves)
    };
    let stopped: Vec<&QueueId> = queues.iter().filter(|queue| !is_needed(queue)).collect();
    let commands: Vec<_> = stopped.iter().map(|queue| Command::StopProcessing { queue: (*queue).clone() }).collect();
    store.execute(&commands, store.clock().now())?;
    Ok(stopped.iter().filter_map(|queue| site_state.queue(queue)).map(|queue| queue.pending.len()).sum())
}
