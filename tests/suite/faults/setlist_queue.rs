//! Setlist as the queue under faults: a site on a server, and machines that reach it through a proxy.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use setlist::model::{Job, JobState, Outcome, Run};
use setlist::store::{PostgresStore, ServerAddress, StateDir, Store};

use super::effects::Effects;
use super::proxy::Proxy;
use super::queue::{FaultyQueue, JobRecord, RecordedState, RunEnd};
use crate::postgres_server;
use crate::temp_site::{TempSite, wait_for};
use crate::two_machines::Machine;

const JOBS: &str = "queues: {build: {parallel: 4}}";

/// How many milliseconds workers wait for an answer of the server in these tests.
pub(super) const ANSWER_TIMEOUT: &str = "1500";

pub(super) struct SetlistQueue {
    /// Where jobs are added, and reports come from: past the proxy.
    pub(super) direct: Machine,
    /// Where workers run.
    pub(super) machines: Vec<Machine>,
    pub(super) proxy: Proxy,
    effects: Effects,
}

/// A worker process, which is killed at the end of the test.
pub(super) struct WorkerProcess {
    child: Child,
    log: PathBuf,
}

impl SetlistQueue {
    /// A site on the server that all tests share. `None` without a server.
    pub(super) fn on_shared_server(machines: usize) -> Option<Self> {
        let address = postgres_server::new_site()?;
        Some(Self::new(machines, address, postgres_server::socket().join(".s.PGSQL.5432")))
    }

    /// A site at this address, on a server with this socket.
    pub(super) fn new(machines: usize, address: ServerAddress, socket: PathBuf) -> Self {
        let proxy = Proxy::start(socket);
        let proxied = postgres_server::url(proxy.folder(), address.site()) + "&connect_timeout=1";
        let machine = |address| Machine { site: TempSite::with(JOBS), address };
        Self {
            direct: machine(address),
            machines: (0..machines).map(|_| machine(ServerAddress::parse(&proxied).unwrap())).collect(),
            proxy,
            effects: Effects::new(),
        }
    }

    /// Starts a worker on a machine, and waits until it has joined.
    pub(super) fn start_worker(&self, machine: usize) -> WorkerProcess {
        self.start_worker_with(machine, |_| {})
    }

    /// Like [`start_worker`](Self::start_worker), with a changed command.
    pub(super) fn start_worker_with(&self, machine: usize, change: impl FnOnce(&mut Command)) -> WorkerProcess {
        let machine = &self.machines[machine];
        let mut command = machine.command(&["worker"]);
        command.env("SETLIST_ANSWER_TIMEOUT", ANSWER_TIMEOUT).arg("-v");
        change(&mut command);
        let log = machine.site.join("worker.err");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let before = text_of(&log);
        let child = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        let worker = WorkerProcess { child, log };
        worker.wait_for_log(&before, "ready");
        worker
    }

    /// Adds a job that has its effect, and ends when it may.
    pub(super) fn add_long(&self) -> u64 {
        self.add_with(&self.effects.long_command()).unwrap()
    }

    fn add_with(&self, command: &str) -> Option<u64> {
        let output = self.direct.run(&["run", "-q", "build", "--", "sh", "-c", command]);
        (output.code == Some(0)).then(|| output.stdout.trim().trim_start_matches('#').parse().unwrap())
    }

    pub(super) fn store(&self) -> PostgresStore {
        PostgresStore::open(&self.direct.address, &StateDir::new(self.direct.site.path())).unwrap()
    }
}

impl FaultyQueue for SetlistQueue {
    fn add(&self) -> Option<u64> {
        self.add_with(&self.effects.command())
    }

    fn records(&self) -> BTreeMap<u64, JobRecord> {
        let mut store = self.store();
        let jobs: Vec<Job> = store.load().unwrap().jobs().cloned().collect();
        let record = |job: &Job| {
            let runs = store.runs(job.id).unwrap();
            let runs = runs.iter().map(|run| (run.id.0, run_end(run))).collect();
            (job.id.0, JobRecord { state: state_of(job), runs })
        };
        jobs.iter().map(record).collect()
    }

    fn retry(&self, job: u64) {
        // Refused if it is not interrupted any more.
        self.direct.run(&["retry", &format!("#{job}")]);
    }

    fn effects(&self) -> &Effects {
        &self.effects
    }

    fn diagnostics(&self) -> String {
        self.machines.iter().map(|machine| text_of(&machine.site.join("worker.err"))).collect::<Vec<_>>().join("---\n")
    }
}

fn state_of(job: &Job) -> RecordedState {
    match &job.state {
        JobState::Pending { .. } | JobState::Running { .. } => RecordedState::Open,
        JobState::Finished { outcome: Outcome::Succeeded, .. } => RecordedState::Succeeded,
        JobState::Finished { outcome: Outcome::Interrupted | Outcome::Unreachable { .. }, .. } => {
            RecordedState::Interrupted
        }
        JobState::Finished { .. } => RecordedState::Other,
    }
}

fn run_end(run: &Run) -> RunEnd {
    match run.end.as_ref().map(|end| &end.outcome) {
        None => RunEnd::Open,
        Some(Outcome::Succeeded) => RunEnd::Succeeded,
        Some(Outcome::Interrupted | Outcome::Unreachable { .. }) => RunEnd::Interrupted,
        Some(_) => RunEnd::Other,
    }
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

impl WorkerProcess {
    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, but not what it runs.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether it still runs.
    pub(super) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it has logged so far.
    pub(super) fn log(&self) -> String {
        text_of(&self.log)
    }

    /// Waits until it logs something that is not in `before`.
    #[track_caller]
    pub(super) fn wait_for_log(&self, before: &str, text: &str) {
        wait_for(&format!("{text:?} in {}", self.log.display()), || {
            self.log()[before.len()..].contains(text).then_some(())
        });
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // It may have ended.
        let _ = (self.child.kill(), self.child.wait());
    }
}
