//! `setlist log`: prints the output of jobs.

use std::collections::HashSet;

use super::change_waiter::ChangeWaiter;
use super::error::CliError;
use super::error::warn;
use super::exit::ExitStatus;
use super::log_args::LogArgs;
use super::log_diff;
use super::log_printer::{LinePrefix, LogPrinter};
use super::open_site::OpenSite;
use super::own_job::refuse_to_wait_for_itself;
use super::queue_or_job::{QueueOrJob, sync_state};
use crate::model::{CauseKind, Event, Job, JobId, Run, RunEnd, RunId, SiteState};
use crate::store::log::LogReader;
use crate::store::{Store, Subscription};
use crate::text;

/// Prints the output of jobs, and with `--follow` new output until they have finished.
pub(super) fn print(mut site: OpenSite, options: &LogArgs, color: bool) -> Result<ExitStatus, CliError> {
    let exit = print_logs(&mut site, options, color)?;
    site.finish(exit)
}

/// Same for a site that stays open.
pub(super) fn print_logs(site: &mut OpenSite, options: &LogArgs, color: bool) -> Result<ExitStatus, CliError> {
    let is_whole = options.follow || options.names.is_empty() || !options.filter.is_empty();
    let site_state = if is_whole { site.site_state()? } else { site.state_of(&options.names)? };
    let targets = site.select_targets(&site_state, &options.names, &options.filter)?;
    let mut jobs = jobs_of(&targets, &site_state, site.store.as_mut())?;
    if options.diff {
        return log_diff::print(site, &jobs, options, color);
    }
    let prefix_style = prefix_style(&targets, &jobs);
    let mut printer = MultiLogPrinter {
        options,
        color,
        change_waiter: None,
        prefix_style,
        open_logs: Vec::new(),
        has_deleted_log: false,
    };
    if options.follow {
        // Its own output would be printed again and again.
        refuse_to_wait_for_itself(site, &site_state, |job| targets.iter().any(|target| target.includes(job)))?;
    }
    if options.follow && !targets.iter().all(|target| target.is_settled(&site_state)) {
        printer.change_waiter = Some(ChangeWaiter::subscribe(site)?);
        printer.follow(site, site_state, &targets)
    } else {
        for target in targets.iter().filter(|_| options.follow) {
            if let QueueOrJob::Queue(queue) = target {
                warn(&format!("{queue}: nothing is running; `setlist log {queue}` prints the output of all its jobs"));
            }
        }
        // Of a followed queue, only new output is printed.
        jobs.retain(|job| !options.follow || targets.contains(&QueueOrJob::Job(job.id)));
        printer.print(site.store.as_mut(), &jobs)
    }
}

/// The jobs of all targets, in queue order.
pub(super) fn jobs_of(
    targets: &[QueueOrJob],
    site_state: &SiteState,
    store: &mut dyn Store,
) -> Result<Vec<Job>, CliError> {
    let mut jobs = Vec::new();
    let mut known = HashSet::new();
    for target in targets {
        let found = match target {
            QueueOrJob::Queue(id) => {
                let lists = site_state.queue(id).map(|queue| [&queue.finished, &queue.running, &queue.pending]);
                let ids = lists.into_iter().flatten().flatten();
                ids.filter_map(|id| site_state.job(*id)).cloned().collect()
            }
            // The job may have been removed from its queue.
            QueueOrJob::Job(id) => Vec::from_iter(store.job(*id)?),
        };
        jobs.extend(found.into_iter().filter(|job| known.insert(job.id)));
    }
    Ok(jobs)
}

/// How lines are prefixed with the name of their job.
enum PrefixStyle {
    /// Not at all: there is only one job.
    None,

    /// Of several jobs: names, or paths if there are several queues, padded to a width.
    Names { paths: bool, width: usize },
}

fn prefix_style(targets: &[QueueOrJob], jobs: &[Job]) -> PrefixStyle {
    if let [QueueOrJob::Job(_)] = targets {
        return PrefixStyle::None;
    }
    let queue_of = |target: &QueueOrJob| match target {
        QueueOrJob::Queue(queue) => Some(queue.clone()),
        QueueOrJob::Job(id) => jobs.iter().find(|job| job.id == *id).map(|job| job.queue.clone()),
    };
    let queues: HashSet<_> = targets.iter().filter_map(queue_of).collect();
    let paths = queues.len() > 1;
    let width = jobs.iter().map(|job| text::width(&display_name(job, paths))).max().unwrap_or_default();
    PrefixStyle::Names { paths, width: width.min(40) }
}

fn display_name(job: &Job, path: bool) -> String {
    let name = if path { job.path() } else { job.name().map_or_else(|| job.id.to_string(), str::to_owned) };
    text::sanitize_line(&name)
}

/// Prints the logs of several runs.
struct MultiLogPrinter<'a> {
    options: &'a LogArgs,
    color: bool,
    change_waiter: Option<ChangeWaiter>,
    prefix_style: PrefixStyle,
    /// The logs that are being printed.
    open_logs: Vec<OpenLog>,
    /// Whether the log file of a run was deleted.
    has_deleted_log: bool,
}

/// A log that is being printed.
struct OpenLog {
    job: JobId,
    path: String,
    run: RunId,
    log: LogReader,
    printer: LogPrinter,
    _subscription: Option<Subscription>,
}

impl MultiLogPrinter<'_> {
    /// Prints the complete logs of jobs.
    fn print(mut self, store: &mut dyn Store, jobs: &[Job]) -> Result<ExitStatus, CliError> {
        let mut exit = ExitStatus::Success;
        for job in jobs {
            match select_run(store, job, self.options.run) {
                Ok(run) => {
                    self.open_log(store, job, &run)?;
                    self.print_new_output(|_| true)?;
                    if !self.options.stderr && !self.options.stdout {
                        report_failure(job, &run);
                        report_omission(store, job, &run)?;
                    }
                }
                // Many jobs of a queue may not have run.
                Err(CliError::Usage(reason)) if matches!(self.prefix_style, PrefixStyle::Names { .. }) => {
                    warn(&reason);
                    exit = ExitStatus::Usage;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(if exit == ExitStatus::Success { self.exit() } else { exit })
    }

    fn exit(&self) -> ExitStatus {
        if self.has_deleted_log { ExitStatus::JobFailed } else { ExitStatus::Success }
    }

    /// Prints the logs of the named jobs, and new output of all targets until they are settled.
    fn follow(
        mut self,
        site: &mut OpenSite,
        mut site_state: SiteState,
        targets: &[QueueOrJob],
    ) -> Result<ExitStatus, CliError> {
        let mut followed_jobs = Vec::new();
        for target in targets {
            match target {
                QueueOrJob::Job(id) => {
                    let Some(job) = site.store.job(*id)? else { continue };
                    if let Some(run) = job.last_run.as_deref() {
                        self.open_log(site.store.as_ref(), &job, run)?;
                    }
                    followed_jobs.push((*id, job.path()));
                }
                QueueOrJob::Queue(id) => self.open_running(site.store.as_ref(), &site_state, |job| job.queue == *id)?,
            }
        }
        let mut printed_hints = Vec::new();
        // Another command may have noticed a worker's death, and starts none.
        site.check_workers(true)?;
        loop {
            self.sync_state(site.store.as_mut(), &mut site_state, targets)?;
            // Checked before the logs are read, so that all output of an ended run is printed.
            let is_settled = targets.iter().all(|target| target.is_settled(&site_state));
            self.print_new_output(|open| {
                site_state.job(open.job).is_none_or(|job| job.current_run() != Some(open.run))
            })?;
            if is_settled {
                let removed: Vec<_> = followed_jobs.iter().filter(|(id, _)| site_state.job(*id).is_none()).collect();
                for (_, path) in &removed {
                    warn(&format!("{path} was removed"));
                }
                return Ok(if removed.is_empty() { self.exit() } else { ExitStatus::JobFailed });
            }
            for reason in targets.iter().filter_map(|target| target.stall_hint(&site_state)) {
                if !printed_hints.contains(&reason) {
                    warn(&reason);
                    printed_hints.push(reason);
                }
            }
            if let Some(worker_died) = self.change_waiter.as_ref().and_then(|waiter| waiter.wait(None)) {
                site.check_workers(worker_died)?;
            }
        }
    }

    /// Applies new events to the copy of the site, and opens the logs of new runs.
    fn sync_state(
        &mut self,
        store: &mut dyn Store,
        site_state: &mut SiteState,
        targets: &[QueueOrJob],
    ) -> Result<(), CliError> {
        let Some(events) = store.events_after(site_state.seq())? else {
            sync_state(site_state, store)?;
            return self.open_running(store, site_state, |job| targets.iter().any(|target| target.includes(job)));
        };
        for recorded in &events {
            site_state.apply(recorded);
            if let Event::Started { job, run } = &recorded.event
                && let Some(job) = site_state.job(*job)
                && targets.iter().any(|target| target.includes(job))
            {
                self.open_log(store, job, run)?;
            }
        }
        Ok(())
    }

    /// Opens the logs of the running jobs that match.
    fn open_running(
        &mut self,
        store: &dyn Store,
        site_state: &SiteState,
        matches: impl Fn(&Job) -> bool,
    ) -> Result<(), CliError> {
        let running = site_state.queues().into_iter().flat_map(|(_, queue)| &queue.running);
        for job in running.filter_map(|id| site_state.job(*id)).filter(|job| matches(job)) {
            if let Some(run) = job.last_run.as_deref() {
                self.open_log(store, job, run)?;
            }
        }
        Ok(())
    }

    fn open_log(&mut self, store: &dyn Store, job: &Job, run: &Run) -> Result<(), CliError> {
        if self.open_logs.iter().any(|open| open.run == run.id) {
            return Ok(());
        }
        let log = store.log_reader(run.id);
        let prefix = match self.prefix_style {
            PrefixStyle::None => None,
            PrefixStyle::Names { paths, width } => {
                Some(LinePrefix::new(&display_name(job, paths), width, job.id.0, self.color))
            }
        };
        let subscription = self.change_waiter.as_ref().map(|waiter| log.subscribe(waiter.notify())).transpose()?;
        let printer = LogPrinter::new(self.options, self.color, prefix);
        self.open_logs.push(OpenLog {
            job: job.id,
            path: job.path(),
            run: run.id,
            log,
            printer,
            _subscription: subscription,
        });
        Ok(())
    }

    /// Prints new output; closes the logs of runs that have ended.
    fn print_new_output(&mut self, has_ended: impl Fn(&OpenLog) -> bool) -> Result<(), CliError> {
        for mut open in std::mem::take(&mut self.open_logs) {
            let has_ended = has_ended(&open);
            if has_ended {
                open.log.fetch_rest();
            }
            open.printer.print_new_output(&mut open.log)?;
            if has_ended {
                open.printer.finish()?;
                if open.log.is_deleted()? {
                    warn(&format!("{}: its log file was deleted; the output may be incomplete", open.path));
                    self.has_deleted_log = true;
                }
            } else {
                self.open_logs.push(open);
            }
        }
        Ok(())
    }
}

/// Says on standard error why a run failed, if its output does not end with that.
fn report_failure(job: &Job, run: &Run) {
    let end = run.end.as_ref().filter(|end| end.cause.as_deref().is_some_and(|cause| cause.kind != CauseKind::Exited));
    if let Some(failure) = end.and_then(RunEnd::failure_line) {
        warn(&format!("{} failed: {}", text::sanitize_line(&job.path()), text::sanitize_line(&failure)));
    }
}

/// Says on standard error how much of the output was left out, which is easily missed in its middle.
fn report_omission(store: &dyn Store, job: &Job, run: &Run) -> Result<(), CliError> {
    let dropped = store.log_reader(run.id).dropped_len()?;
    if dropped > 0 {
        let (path, size) = (text::sanitize_line(&job.path()), text::bytes(dropped));
        warn(&format!("{path}: {size} of the output were not kept (`log_limit`)"));
    }
    Ok(())
}

fn select_run(store: &mut dyn Store, job: &Job, attempt: Option<u32>) -> Result<Run, CliError> {
    let path = job.path();
    let Some(attempt) = attempt else {
        return job.last_run.as_deref().cloned().ok_or_else(|| CliError::Usage(format!("{path} has not run yet")));
    };
    let runs = store.runs(job.id)?;
    let count = runs.len();
    let found = runs.into_iter().find(|run| run.attempt == attempt);
    found.ok_or_else(|| CliError::Usage(format!("{path} has no run {attempt}; it has {count}")))
}
