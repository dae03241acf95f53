//! `setlist worker`: runs a worker in the foreground or as a service.

use std::collections::HashSet;
use std::env;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use indicatif::ProgressBar;
use tracing_subscriber::filter::LevelFilter;

use super::background_printer::{BackgroundPrinter, PRINT_TIMEOUT};
use super::error::CliError;
use super::exit::ExitStatus;
use super::open_site::OpenSite;
use super::safe_output::{self, SafeWriter};
use super::service_manager::ServiceManager;
use super::signals::SignalHandler;
use super::site_args::SiteArgs;
use super::summary_line;
use super::worker_args::WorkerArgs;
use crate::model::{Event, EventRecord, Outcome, RunId, WorkerId};
use crate::runner;
use crate::site::WORKER_JOINED;
use crate::store::{StateDir, Store};
use crate::text::{self, count_noun};
use crate::worker::{Shutdown, Worker, WorkerError};

/// How long to wait before trying again to join the site that has lost this worker.
const REJOIN_INTERVAL: Duration = Duration::from_secs(1);

/// Runs a worker until there is nothing to do, or until a signal. SIGTERM is a normal end. A detached worker reports on
/// its standard output that it has joined, or why it can't, to the process that started it.
pub(super) fn work(args: &SiteArgs, options: &WorkerArgs) -> Result<ExitStatus, CliError> {
    if options.detached {
        let result = run_worker(args, options, None);
        if let Err(error) = &result {
            // If the worker had joined, this has no effect.
            report_to_starter(&error.to_string());
        }
        return result;
    }
    let color = safe_output::is_stderr_terminal();
    let printer = BackgroundPrinter::start(ProgressBar::hidden(), color).context("cannot start a thread")?;
    let result = run_worker(args, options, Some(&printer));
    // Nothing of standard output is printed there. The reader of the log may have stopped reading.
    let _ = printer.flush(Some(PRINT_TIMEOUT));
    result
}

/// Reports that the worker has joined, and closes the pipe to the process that started it.
fn report_joined() {
    report_to_starter(WORKER_JOINED);
    // If it stays open, that process waits only for the line.
    let _ = File::options().write(true).open("/dev/null").map(rustix::stdio::dup2_stdout);
}

/// Reports to the process that started the worker, which may have exited.
fn report_to_starter(line: &str) {
    let mut out = safe_output::stdout();
    let _ = writeln!(out, "{}", text::sanitize_line(line)).and_then(|()| out.flush());
}

/// Runs a worker, which logs to the worker log, or else with this printer.
fn run_worker(
    args: &SiteArgs,
    options: &WorkerArgs,
    printer: Option<&BackgroundPrinter>,
) -> Result<ExitStatus, CliError> {
    let WorkerArgs { queues: names, detached, .. } = options;
    let detached = *detached;
    if detached {
        // Fails only if this process leads a group already; then it has no controlling terminal either.
        let _ = rustix::process::setsid();
        // A job may have started this worker.
        runner::detach_from_run();
    }
    let manager = Arc::new(ServiceManager::from_env().context("cannot reach the service manager at NOTIFY_SOCKET")?);
    let mut site = OpenSite::open(args, names)?;
    init_worker_log(&site.paths.state, args.verbose, printer)?;
    if let Some(error) = &site.file_error {
        tracing::warn!(%error, "jobs.yaml has errors; the last valid version stays in use");
    }
    // An interrupt while the worker joins is handled once it has joined.
    let signals = SignalHandler::install().context("cannot handle signals")?;
    let mut counter = RunCounter { detached, manager, ..RunCounter::default() };
    loop {
        let is_on_server = site.paths.state.is_on_server();
        let ended = join_and_run(site, options, &signals, &mut counter);
        let may_join_again = is_on_server && counter.has_joined && !signals.is_interrupted();
        match &ended {
            Err(CliError::Worker(WorkerError::Unregistered)) if may_join_again => {
                tracing::warn!("this worker was taken for dead, and its jobs were stopped; joining again");
            }
            Err(CliError::Store(error) | CliError::Worker(WorkerError::Store(error)))
                if may_join_again && !error.is_permanent() =>
            {
                tracing::warn!(%error, "the store failed; joining again");
                thread::sleep(REJOIN_INTERVAL);
            }
            _ => break ended?,
        }
        site = loop {
            match OpenSite::open(args, names) {
                Ok(site) => break site,
                Err(error) if signals.is_interrupted() => return Err(error),
                Err(error) => {
                    tracing::warn!("can't join again yet: {error}");
                    thread::sleep(REJOIN_INTERVAL);
                }
            }
        };
    }
    notify_manager(counter.manager.as_ref().as_ref(), "STOPPING=1");
    tracing::info!("exited; {}", counter.summary());
    Ok(if signals.is_interrupted() && !signals.is_terminated() { ExitStatus::Interrupted } else { ExitStatus::Success })
}

/// Joins the site, and runs jobs until the worker leaves it.
fn join_and_run(
    mut site: OpenSite,
    options: &WorkerArgs,
    signals: &SignalHandler,
    counter: &mut RunCounter,
) -> Result<(), CliError> {
    let WorkerArgs { queues: names, exit_when_idle, detached, .. } = options;
    let manager = &counter.manager;
    let queues = if names.is_empty() {
        None
    } else {
        Some(site.site_state().and_then(|site_state| site.queues(&site_state, names))?)
    };
    let number = queues.as_ref().map_or(site.store.queues()?.len(), Vec::len);
    let description = format!("{} of {}", count_noun(number, "queue"), site.paths.file.display());
    let worker = Worker::join(site.store, site.paths, queues, options.options(), !exit_when_idle)?;
    let (shut_down, suspend, shutdown_manager) =
        (worker.shutdown_handle(), worker.suspend_handle(), Arc::clone(manager));
    let shut_down = move |shutdown| {
        let status = if shutdown == Shutdown::Immediate {
            "shutting down: killing running jobs"
        } else {
            "shutting down: stopping running jobs"
        };
        tracing::info!("{status}");
        notify_manager(shutdown_manager.as_ref().as_ref(), &format!("STOPPING=1\nSTATUS={status}"));
        shut_down(shutdown);
    };
    signals.attach(worker.interrupt_flag(), shut_down, suspend);
    if *detached {
        report_joined();
    }
    tracing::info!(pid = std::process::id(), "ready: {description}");
    notify_manager(manager.as_ref().as_ref(), &format!("READY=1\nSTATUS=ready: {description}"));
    (counter.worker, counter.has_joined) = (worker.id(), true);
    counter.running.clear();
    Ok(worker.run(|store, recorded, _| counter.handle_event(store, recorded))?)
}

fn notify_manager(manager: Option<&ServiceManager>, state: &str) {
    if let Some(manager) = manager {
        manager.notify(state);
    }
}

/// Counts the runs of this worker.
#[derive(Default)]
struct RunCounter {
    worker: WorkerId,
    has_joined: bool,
    detached: bool,
    manager: Arc<Option<ServiceManager>>,
    running: HashSet<RunId>,
    succeeded: u64,
    unsuccessful: u64,
}

impl RunCounter {
    /// Handles an event of the site; logs the end of a run, unless the worker is detached.
    fn handle_event(&mut self, store: &mut dyn Store, recorded: &EventRecord) {
        tracing::debug!(seq = recorded.seq, event = ?recorded.event);
        match &recorded.event {
            Event::Started { run, .. } if run.worker == self.worker => {
                self.running.insert(run.id);
            }
            Event::Ended { job, run, report, after_run } if self.running.remove(run) => {
                let succeeded = report.outcome == Outcome::Succeeded || report.outcome.skip_kind().is_some();
                *(if succeeded { &mut self.succeeded } else { &mut self.unsuccessful }) += 1;
                if !self.detached
                    && let Ok(Some(job)) = store.job(*job)
                {
                    let line = summary_line::describe_run_end(&job, &report.outcome, *after_run);
                    if succeeded { tracing::info!("{line}") } else { tracing::warn!("{line}") }
                }
            }
            _ => return,
        }
        if let Some(manager) = self.manager.as_ref() {
            manager.notify(&format!("STATUS={} running, {}", self.running.len(), self.summary()));
        }
    }

    fn summary(&self) -> String {
        format!("{} succeeded, {} did not", count_runs(self.succeeded), self.unsuccessful)
    }
}

fn count_runs(number: u64) -> String {
    count_noun(number, "run")
}

/// Logs to the worker log, or else with this printer.
fn init_worker_log(state: &StateDir, verbose: u8, printer: Option<&BackgroundPrinter>) -> Result<(), CliError> {
    let level = [LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE][usize::from(verbose.min(2))];
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_target(false);
    // Jobs keep running if a line can't be written, for example because the terminal was closed.
    let subscriber = subscriber.log_internal_errors(false);
    let Some(printer) = printer.cloned() else {
        subscriber.with_ansi(false).with_writer(Mutex::new(SafeWriter::new(state.open_worker_log()?, false))).init();
        return Ok(());
    };
    let color = safe_output::is_stderr_terminal();
    let subscriber = subscriber.with_ansi(color).with_writer(move || printer.log_writer());
    if logs_to_journal() {
        subscriber.without_time().init();
    } else {
        subscriber.init();
    }
    Ok(())
}

/// Whether standard error is systemd's journal, which adds times itself.
fn logs_to_journal() -> bool {
    let Ok(stderr) = rustix::fs::fstat(rustix::stdio::stderr()) else { return false };
    env::var("JOURNAL_STREAM").is_ok_and(|stream| stream == format!("{}:{}", stderr.st_dev, stderr.st_ino))
}
