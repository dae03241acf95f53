//! `setlist worker`: runs jobs for whoever asks, on its own or as a service.

use std::collections::HashSet;
use std::env;
use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex};

use anyhow::Context;
use tracing_subscriber::filter::LevelFilter;

use super::args::SiteArgs;
use super::file::count;
use super::manager::Manager;
use super::site::OpenSite;
use super::{CliError, Exit, line, signals};
use crate::model::{Event, EventRecord, Outcome, RunId, WorkerId};
use crate::runner;
use crate::store::{StateDir, Store};
use crate::worker::{Shutdown, Worker};

/// Works in the foreground until there is nothing to do, or until a signal comes. To be told to leave by TERM is fine.
pub(super) fn work(args: &SiteArgs, names: &[String], exit_when_idle: bool, detached: bool) -> Result<Exit, CliError> {
    if detached {
        // Fails only where this process leads a group already, and then nothing binds it to the terminal either.
        let _ = rustix::process::setsid();
        // It may be a job that has hired it.
        runner::detach_from_run();
    }
    let manager = Arc::new(Manager::of_this_process().context("the service manager at NOTIFY_SOCKET can't be told")?);
    let mut site = OpenSite::with(args, names)?;
    diary(&site.context.state, args.verbose, detached)?;
    if let Some(error) = &site.broken {
        tracing::warn!(%error, "jobs.yaml has errors; the last good one stays in force");
    }
    let queues = if names.is_empty() {
        None
    } else {
        Some(site.site_state().and_then(|site_state| site.queues(&site_state, names))?)
    };
    let number = queues.as_ref().map_or(site.store.queues()?.len(), Vec::len);
    let place = format!("{} of {}", count(number, "queue"), site.context.file.display());
    let worker = Worker::join(site.store, site.context, queues, !exit_when_idle)?;
    let (leave, rest, told) = (worker.shutdown_handle(), worker.suspend_handle(), Arc::clone(&manager));
    let leave = move |urgency| {
        let what = if urgency == Shutdown::Immediate {
            "leaving: what runs is killed"
        } else {
            "leaving: what runs is stopped"
        };
        tracing::info!("{what}");
        tell(told.as_ref().as_ref(), &format!("STOPPING=1\nSTATUS={what}"));
        leave(urgency);
    };
    let interrupted = signals::watch(leave, rest).context("signals can't be watched")?;
    tracing::info!(pid = std::process::id(), "ready: {place}");
    tell(manager.as_ref().as_ref(), &format!("READY=1\nSTATUS=ready: {place}"));
    let mut account = Account { worker: worker.id(), detached, manager, ..Account::default() };
    worker.run(|store, recorded, _| account.hear(store, recorded))?;
    tell(account.manager.as_ref().as_ref(), "STOPPING=1");
    tracing::info!("left; {}", account.words());
    Ok(if interrupted.yes() && !interrupted.by_term() { Exit::Interrupted } else { Exit::Fine })
}

fn tell(manager: Option<&Manager>, state: &str) {
    if let Some(manager) = manager {
        manager.tell(state);
    }
}

/// What this worker has done since it began.
#[derive(Default)]
struct Account {
    worker: WorkerId,
    detached: bool,
    manager: Arc<Option<Manager>>,
    running: HashSet<RunId>,
    succeeded: u64,
    others: u64,
}

impl Account {
    /// Takes note of a change of the site; says what came of a run, unless it is all in the store and nobody watches.
    fn hear(&mut self, store: &mut dyn Store, recorded: &EventRecord) {
        tracing::debug!(seq = recorded.seq, event = ?recorded.event);
        match &recorded.event {
            Event::Started { run, .. } if run.worker == self.worker => {
                self.running.insert(run.id);
            }
            Event::Ended { job, run, report, after_run } if self.running.remove(run) => {
                let well = report.outcome == Outcome::Succeeded;
                *(if well { &mut self.succeeded } else { &mut self.others }) += 1;
                if !self.detached
                    && let Ok(Some(job)) = store.job(*job)
                {
                    let line = line::ended(&job, &report.outcome, *after_run);
                    if well { tracing::info!("{line}") } else { tracing::warn!("{line}") }
                }
            }
            _ => return,
        }
        if let Some(manager) = self.manager.as_ref() {
            manager.tell(&format!("STATUS={} running, {}", self.running.len(), self.words()));
        }
    }

    fn words(&self) -> String {
        format!("{} succeeded, {} did not", count_runs(self.succeeded), self.others)
    }
}

fn count_runs(number: u64) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), "run")
}

/// A detached worker writes to the site's diary, one in the foreground to standard error.
fn diary(state: &StateDir, verbose: u8, detached: bool) -> Result<(), CliError> {
    let level = [LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE][usize::from(verbose.min(2))];
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_target(false);
    // That a line can't be written, to a terminal that has gone say, must not end the work.
    let subscriber = subscriber.log_internal_errors(false);
    if detached {
        subscriber.with_ansi(false).with_writer(Mutex::new(state.open_worker_log()?)).init();
        return Ok(());
    }
    let subscriber = subscriber.with_ansi(io::stderr().is_terminal()).with_writer(io::stderr);
    if goes_to_journal() {
        subscriber.without_time().init();
    } else {
        subscriber.init();
    }
    Ok(())
}

/// Whether standard error goes to systemd's journal, which notes the time of every line itself.
fn goes_to_journal() -> bool {
    let Ok(stderr) = rustix::fs::fstat(rustix::stdio::stderr()) else { return false };
    env::var("JOURNAL_STREAM").is_ok_and(|stream| stream == format!("{}:{}", stderr.st_dev, stderr.st_ino))
}
