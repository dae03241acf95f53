//! Starts worker processes: when work is requested, and when a worker has died.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, test_kill_process};

use super::error::SiteError;
use super::process_tags::VARIABLES;
use super::reap::reap_dead_workers;
use super::site_paths::SitePaths;
use crate::model::{Job, QueueId, Readiness, WorkerInfo};
use crate::store::{Store, StoreError};

/// Whether another worker was started for the jobs of a dead one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Respawn {
    /// It left no work, or another worker serves it.
    NotNeeded,
    /// Another worker was started.
    Spawned,
    /// Too many workers have died recently. The work waits for the next request.
    LimitReached,
}

/// The recent respawns of a site, kept in a locked file.
struct RespawnHistory {
    file: File,
    /// The time and the process id of each.
    entries: Vec<(Duration, u32)>,
}

/// How many workers may be respawned within [`RESPAWN_WINDOW`], because a job that kills its worker would otherwise
/// cause endless respawns.
const MAX_RESPAWNS: usize = 3;
const RESPAWN_WINDOW: Duration = Duration::from_secs(60);
/// How long a new worker may take to join.
const JOIN_TIMEOUT: Duration = Duration::from_secs(5);

/// What a detached worker writes to its standard output when it has joined. Before that, any other line is the reason why
/// it can't.
pub const WORKER_JOINED: &str = "joined";

/// A worker that was started.
struct SpawnedWorker {
    pid: u32,
    /// Its first line of output, empty if it has exited without one.
    report: Receiver<String>,
}

/// Starts a detached worker, `program worker --detached`, unless one that serves every queue is alive on this machine, and
/// waits until it has joined. Then it doesn't depend on this process any more, which may be a part of a job. Where a server
/// has the site, no worker is started: users start them on the machines that shall run jobs.
///
/// Call it after the command that requests work has been committed: a worker that was about to leave then either sees the
/// work or is no longer registered.
pub fn ensure_worker(store: &mut dyn Store, paths: &SitePaths) -> Result<(), SiteError> {
    reap_dead_workers(store, paths)?;
    let is_on_server = paths.state.is_on_server();
    let runs_here = |worker: &WorkerInfo| is_on_server || paths.is_local(worker);
    if store.workers()?.iter().any(|worker| runs_here(worker) && worker.queues.is_none() && !worker.draining) {
        Ok(())
    } else if is_on_server {
        // This machine may not be one that runs jobs.
        Err(SiteError::NoWorker)
    } else {
        spawn_worker(paths)?.wait_until_joined(paths)
    }
}

/// Starts a worker for the schedules and expectations of the site unless one is running. Call it when the site was opened to be used.
pub fn ensure_schedule_worker(store: &mut dyn Store, paths: &SitePaths) -> Result<(), SiteError> {
    if paths.state.is_on_server() || kept_queues(store)?.is_empty() { Ok(()) } else { ensure_worker(store, paths) }
}

/// Whether the schedules and expectations of the site are kept: there are none, or workers are running that serve their queues.
pub fn keeps_schedules(store: &mut dyn Store, paths: &SitePaths) -> Result<bool, SiteError> {
    let queues = kept_queues(store)?;
    if queues.is_empty() {
        return Ok(true);
    }
    let mut workers = store.workers()?;
    workers.retain(|worker| !paths.is_local(worker) || paths.state.is_worker_alive(worker.id));
    Ok(queues.iter().all(|queue| workers.iter().any(|worker| worker.serves(queue))))
}

/// The queues that need a worker although nothing is to be done now: those of schedules and expectations.
fn kept_queues(store: &mut dyn Store) -> Result<Vec<QueueId>, StoreError> {
    let schedules = store.schedules()?.into_iter().map(|state| state.queue);
    Ok(schedules.chain(store.expectations()?.into_iter().map(|state| state.queue)).collect())
}

/// Starts another worker after one has died, if it has left work that no worker serves. For processes that were running
/// when it died: opening a site whose worker died earlier starts nothing.
pub fn respawn_worker(store: &mut dyn Store, paths: &SitePaths) -> Result<Respawn, SiteError> {
    if paths.state.is_on_server() || !has_unserved_work(store)? {
        return Ok(Respawn::NotNeeded);
    }
    let history = RespawnHistory::open(paths)?;
    // Another process may have respawned it first.
    if history.is_worker_starting() || !has_unserved_work(store)? {
        return Ok(Respawn::NotNeeded);
    }
    if history.entries.len() >= MAX_RESPAWNS {
        return Ok(Respawn::LimitReached);
    }
    // Not waited for: this process may be a worker, for whose reservations the new one may have to wait.
    let worker = spawn_worker(paths)?;
    history.add(worker.pid, paths)?;
    Ok(Respawn::Spawned)
}

/// Whether a queue without a worker is being processed or has a requested job, unless these wait for approval, or has a
/// schedule.
fn has_unserved_work(store: &mut dyn Store) -> Result<bool, StoreError> {
    let workers = store.workers()?;
    let is_served = |queue: &QueueId| workers.iter().any(|worker| worker.serves(queue));
    let queues: Vec<_> = store.queues()?.into_iter().filter(|queue| !is_served(&queue.id)).collect();
    if kept_queues(store)?.iter().any(|queue| !is_served(queue)) {
        return Ok(true);
    }
    if queues.is_empty() {
        return Ok(false);
    }
    let state = store.load()?;
    let pending = queues.iter().filter_map(|queue| state.queue(&queue.id)).flat_map(|queue| &queue.pending);
    let will_start = |job: &Job| {
        job.definition.scheduling.runs_on.is_empty()
            && matches!(job.readiness(), Some(Readiness::Requested | Readiness::Scheduled { requested: true }))
    };
    // The new worker has no labels.
    let lacks_worker =
        queues.iter().any(|queue| state.lacks_worker(&queue.id) && state.has_job_for_any_worker(&queue.id));
    Ok(lacks_worker || pending.filter_map(|id| state.job(*id)).any(will_start))
}

/// Starts a worker.
fn spawn_worker(paths: &SitePaths) -> Result<SpawnedWorker, SiteError> {
    // Errors before the worker opens its log go there as well.
    let worker_log = paths.state.open_worker_log()?;
    let mut worker = Command::new(&paths.program);
    worker
        .arg("--file")
        .arg(&paths.file)
        .arg("--state")
        .arg(paths.state.path())
        .args(["worker", "--exit-when-idle", "--detached"])
        .current_dir(paths.site_dir());
    // This process may be a job or a service; the worker does not belong to it.
    for name in VARIABLES.into_iter().chain(["NOTIFY_SOCKET"]) {
        worker.env_remove(name);
    }
    let mut worker =
        worker.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(worker_log).spawn().map_err(SiteError::Spawn)?;
    let (pid, output) = (worker.id(), worker.stdout.take());
    let (sender, report) = channel();
    thread::spawn(move || {
        let mut line = String::new();
        // An unreadable line counts as none.
        let _ = output.map(|output| BufReader::new(output).read_line(&mut line));
        // Fails if the receiver has given up.
        let _ = sender.send(line);
        // Collects its exit status, so that it does not stay a zombie.
        worker.wait()
    });
    Ok(SpawnedWorker { pid, report })
}

impl SpawnedWorker {
    /// Waits until the worker has joined. The error says why it can't, or that it has not yet.
    fn wait_until_joined(self, paths: &SitePaths) -> Result<(), SiteError> {
        let log = paths.state.worker_log();
        match self.report.recv_timeout(JOIN_TIMEOUT) {
            Ok(line) if line.trim_end() == WORKER_JOINED => Ok(()),
            Err(RecvTimeoutError::Timeout) => {
                Err(SiteError::WorkerNotReady { pid: self.pid, waited: JOIN_TIMEOUT, log })
            }
            Ok(line) if !line.trim().is_empty() => Err(SiteError::WorkerFailed { reason: line.trim().to_owned(), log }),
            Ok(_) | Err(RecvTimeoutError::Disconnected) => {
                Err(SiteError::WorkerFailed { reason: format!("process {} has exited", self.pid), log })
            }
        }
    }
}

impl RespawnHistory {
    /// Locks and reads the file.
    fn open(paths: &SitePaths) -> Result<Self, SiteError> {
        let mut file = paths.state.lock_respawn_file()?;
        let mut text = String::new();
        // An unreadable list counts as empty.
        let _ = file.read_to_string(&mut text);
        let entry = |line: &str| {
            let (millis, process) = line.split_once(' ')?;
            Some((Duration::from_millis(millis.parse().ok()?), process.parse().ok()?))
        };
        let is_recent =
            |(at, _): &(Duration, u32)| unix_time().checked_sub(*at).is_some_and(|age| age < RESPAWN_WINDOW);
        Ok(Self { file, entries: text.lines().filter_map(entry).filter(is_recent).collect() })
    }

    /// Whether the last respawned worker is alive and may not have joined yet.
    fn is_worker_starting(&self) -> bool {
        self.entries.last().is_some_and(|(at, pid)| {
            let is_alive = |pid| test_kill_process(pid).is_ok();
            unix_time().saturating_sub(*at) < JOIN_TIMEOUT && Pid::from_raw(pid.cast_signed()).is_some_and(is_alive)
        })
    }

    fn add(mut self, pid: u32, paths: &SitePaths) -> Result<(), SiteError> {
        self.entries.push((unix_time(), pid));
        let lines = self.entries.iter().map(|(at, pid)| format!("{} {pid}\n", at.as_millis()));
        let text: String = lines.collect();
        let result = self.file.set_len(0).and_then(|()| self.file.rewind());
        let result = result.and_then(|()| self.file.write_all(text.as_bytes()));
        Ok(result.map_err(|source| StoreError::io(paths.state.path(), source))?)
    }
}

/// The time since 1970, because the list outlives this process.
fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
