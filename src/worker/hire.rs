//! Makes sure that somebody runs the jobs.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, test_kill_process};

use super::{Office, WorkerError, bury_the_dead, environment};
use crate::model::{Mode, QueueId, State};
use crate::store::{Store, StoreError};

/// What came of the work of a worker that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Succession {
    /// There is none, or somebody does it.
    Settled,
    /// Another worker goes on with it.
    Hired,
    /// So many have died of late that nobody was hired any more: the work waits until somebody asks for it.
    Hopeless,
}

/// The workers that were hired in place of others lately.
struct Replacements {
    file: File,
    /// When, and in which process.
    list: Vec<(Duration, u32)>,
}

/// How many workers may replace others within [`LATELY`]: a job that takes every worker with it must not have them
/// hired for ever.
const REPLACEMENTS: usize = 3;
const LATELY: Duration = Duration::from_secs(60);
/// How long a worker that was hired may take to join.
const BIRTH: Duration = Duration::from_secs(5);

/// Starts a detached worker, `program worker --detached`, unless one that serves every queue is alive on this machine.
///
/// Call it after the command that asks for work is durable: a worker that was about to leave then either sees the
/// work or is no longer on the list.
pub fn hire(store: &mut dyn Store, office: &Office) -> Result<(), WorkerError> {
    bury_the_dead(store, office)?;
    let at_work = store.workers()?.iter().any(|worker| office.has(worker) && worker.queues.is_none());
    if !at_work {
        start(office)?;
    }
    Ok(())
}

/// After a worker has died: hires another one if it has left work that nobody does. For those who were there when it
/// happened and go on: opening a site on which that happened before starts nothing.
pub fn replace(store: &mut dyn Store, office: &Office) -> Result<Succession, WorkerError> {
    if !is_unattended(store)? {
        return Ok(Succession::Settled);
    }
    let replacements = Replacements::open(office)?;
    // Whoever else has noticed may have been quicker.
    if replacements.is_on_its_way() || !is_unattended(store)? {
        return Ok(Succession::Settled);
    }
    if replacements.list.len() >= REPLACEMENTS {
        return Ok(Succession::Hopeless);
    }
    let process = start(office)?;
    replacements.add(process, office)?;
    Ok(Succession::Hired)
}

/// Whether there is a queue that is processed, or in which somebody has asked for a job, and no worker serves it.
fn is_unattended(store: &mut dyn Store) -> Result<bool, StoreError> {
    let workers = store.workers()?;
    let is_served = |queue: &QueueId| workers.iter().any(|worker| worker.serves(queue));
    let queues: Vec<_> = store.queues()?.into_iter().filter(|queue| !is_served(&queue.id)).collect();
    if queues.iter().any(|queue| queue.mode == Mode::Processing) {
        return Ok(true);
    }
    let open: Vec<_> = queues.iter().filter(|queue| queue.mode != Mode::Paused).map(|queue| &queue.id).collect();
    if open.is_empty() {
        return Ok(false);
    }
    let ledger = store.load()?;
    let pending = open.iter().filter_map(|id| ledger.queue(id)).flat_map(|queue| &queue.pending);
    let asked = |id| ledger.job(id).is_some_and(|job| matches!(job.state, State::Pending { asked: true, .. }));
    Ok(pending.copied().any(asked))
}

/// Starts a worker; tells its process.
fn start(office: &Office) -> Result<u32, WorkerError> {
    // Should it fail before it can keep its diary itself, the reason stands there all the same.
    let diary = office.state.open_diary()?;
    let mut worker = Command::new(&office.program);
    worker
        .arg("--file")
        .arg(&office.file)
        .arg("--state")
        .arg(office.state.path())
        .args(["worker", "--exit-when-idle", "--detached"])
        .current_dir(office.home());
    // It may be a job or a service that hires: the worker is no part of it.
    for name in environment::NAMES.into_iter().chain(["NOTIFY_SOCKET"]) {
        worker.env_remove(name);
    }
    let mut worker =
        worker.stdin(Stdio::null()).stdout(Stdio::null()).stderr(diary).spawn().map_err(WorkerError::Hire)?;
    let process = worker.id();
    // Somebody has to collect its exit status if it ends before we do.
    thread::spawn(move || worker.wait());
    Ok(process)
}

impl Replacements {
    /// Reads the list, and keeps it from everybody else.
    fn open(office: &Office) -> Result<Self, WorkerError> {
        let mut file = office.state.open_replacements()?;
        let mut text = String::new();
        // What can't be read is a list that nobody has written.
        let _ = file.read_to_string(&mut text);
        let entry = |line: &str| {
            let (millis, process) = line.split_once(' ')?;
            Some((Duration::from_millis(millis.parse().ok()?), process.parse().ok()?))
        };
        let lately = |(at, _): &(Duration, u32)| now().checked_sub(*at).is_some_and(|age| age < LATELY);
        Ok(Self { file, list: text.lines().filter_map(entry).filter(lately).collect() })
    }

    /// Whether one was hired that may not have joined yet.
    fn is_on_its_way(&self) -> bool {
        self.list.last().is_some_and(|(at, process)| {
            let alive = |pid| test_kill_process(pid).is_ok();
            now().saturating_sub(*at) < BIRTH && Pid::from_raw(process.cast_signed()).is_some_and(alive)
        })
    }

    fn add(mut self, process: u32, office: &Office) -> Result<(), WorkerError> {
        self.list.push((now(), process));
        let lines = self.list.iter().map(|(at, process)| format!("{} {process}\n", at.as_millis()));
        let text: String = lines.collect();
        let written = self.file.set_len(0).and_then(|()| self.file.rewind());
        let written = written.and_then(|()| self.file.write_all(text.as_bytes()));
        Ok(written.map_err(|source| StoreError::io(office.state.path(), source))?)
    }
}

/// The time since 1970: the list outlives a process, so its times have to as well.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
