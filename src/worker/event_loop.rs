//! The event loop of a worker: wait for messages, record what has ended, claim what is ready, start it.

mod arrivals;
mod commit;
mod item_lists;
mod launch;
mod messages;
mod peers;
mod reserved_jobs;
mod setup;
mod site_events;
mod sleep;
mod snapshots;
mod start_checks;

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::io;
use std::mem;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use setup::{WorkerSetup, unregister};
use signal_hook::consts::SIGTSTP;
use signal_hook::low_level::emulate_default_handler;

use super::commit_latency::CommitLatency;
use super::commit_thread::{Batch, CommitOutcome, CommitThread};
use super::environment_cache::EnvironmentCache;
use super::error::{WorkerError, site_error_or};
use super::hooks::Hooks;
use super::message::{MessageSender, Shutdown, WorkerMessage};
use super::pending_start::PendingStart;
use super::pruner::Pruner;
use super::reload::Reload;
use super::reservations::Reservations;
use super::returned_items::ReturnedItems;
use super::run_folders::RunFolders;
use crate::crash;
use crate::model::{
    Command, Event, EventRecord, HookResult, Job, JobId, QueueId, RunId, SourceState, StopSignal, WorkerId,
    WorkerOptions,
};
use crate::runner::{FileHashes, Runner, with_sigchld_blocked};
use crate::site::{SitePaths, forget_unused_environments, hostname, reap_dead_workers, tag_prefix};
use crate::store::{
    LivenessWatch, MAX_OUTAGE, NotifyFn, Store, StoreClock, StoreError, Subscription, WorkerLease, WorkerLock,
};
use crate::text::count_noun;

/// Maximum sleep, in case a change notification is lost or a peer can't be monitored.
const MAX_SLEEP: Duration = Duration::from_secs(60);
/// How long to wait before using a store again that has failed, on a full disk for example.
const STORE_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How long a worker that is shut down tries to record how its last runs have ended.
const RECORD_TIMEOUT: Duration = Duration::from_secs(5);

/// How far the clock may fall behind before it counts as set back.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(2);

/// The state of a running worker. [`run`](EventLoop::run) owns the store and lends it to each step.
#[expect(clippy::struct_excessive_bools, reason = "independent flags, each set and read on its own")]
pub(super) struct EventLoop {
    paths: SitePaths,
    /// The prefix of the tags of its runs and hooks.
    tag_prefix: String,
    /// The queues that it serves; none for all.
    queues: Option<Vec<QueueId>>,
    /// Whether it waits for more jobs when there is nothing to do.
    stays_when_idle: bool,
    /// Whether it starts no more jobs, and leaves when nothing runs.
    is_draining: bool,
    /// Whether a user is asked for an approval: it does not leave before the answer.
    answer_awaited: Arc<AtomicBool>,
    id: WorkerId,
    runner: Runner,
    running: HashMap<RunId, ActiveRun>,
    hooks: Hooks,
    folders: RunFolders,
    environments: EnvironmentCache,
    file_hashes: Arc<FileHashes>,
    /// Results of hooks that have not been saved yet.
    hook_results: Vec<(RunId, HookResult)>,
    commit_latency: CommitLatency,
    reservations: Reservations,
    commit_thread: CommitThread,
    sender: MessageSender,
    messages: Receiver<WorkerMessage>,
    /// The last event of the site that has been handled.
    last_seq: u64,
    /// Commands for the next transaction, and when each happened.
    pending_commands: Vec<(Command, DateTime<Utc>)>,
    /// Jobs of files that have arrived, which may have to be requested.
    arrived: Vec<JobId>,
    /// Ends of runs that are recorded when the jobs of the items that they have returned can be made.
    returned_items: Vec<ReturnedItems>,
    /// The hash of the file that the next transaction puts in force, where a server has the site.
    planned_file: Option<String>,
    /// Runs to stop once the events at hand are handled.
    requested_stops: Vec<(RunId, StopSignal)>,
    /// The queue of each run that has ended and has not been replaced by another.
    freed_slots: Vec<QueueId>,
    /// Runs that could not be launched because the system had too few resources. They count as running.
    deferred: VecDeque<RunId>,
    /// When to launch them again.
    launch_retry_at: Option<Instant>,
    /// It was logged that runs are deferred.
    is_delay_logged: bool,
    /// It was logged that no more jobs can run at once.
    is_limit_logged: bool,
    /// When it last woke, by both clocks.
    woken_at: Instant,
    now: DateTime<Utc>,
    /// The clock that decides.
    clock: StoreClock,
    /// The clock was set back since the waits of jobs were last checked.
    clock_set_back: bool,
    shutdown: Option<Shutdown>,
    /// The site doesn't have this worker any more. Its jobs may be started by others.
    is_unregistered: bool,
    /// More jobs may be ready than there are freed slots.
    wants_jobs: bool,
    /// When the next scheduled job is due.
    next_due: Option<DateTime<Utc>>,
    /// The site may have events that have not been read.
    may_have_unread_events: bool,
    reload: Reload,
    pruner: Option<Pruner>,
    peer_check_due: Option<PeerCheck>,
    suspend_requested: bool,
    liveness_watch: LivenessWatch,
    lock: WorkerLock,
    /// Kept until the worker has left. None where the site is on this machine.
    lease: Option<WorkerLease>,
}

/// Why the other workers have to be checked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PeerCheck {
    /// One may have died unnoticed.
    Routine,
    /// One has died.
    PeerDied,
}

/// Called with every change of the site.
trait ChangeListener: FnMut(&mut dyn Store, &EventRecord, Option<&Job>) {}

impl<F: FnMut(&mut dyn Store, &EventRecord, Option<&Job>)> ChangeListener for F {}

/// What the event loop does after the steps.
enum NextStep {
    /// Wait for messages.
    Sleep,
    /// Commit this batch on the commit thread, and supervise the runs meanwhile.
    Commit(Batch),
    /// The worker has left the site.
    Exit,
}

/// A run of this worker, and its job as it was when the run started.
struct ActiveRun {
    job: Job,
    started: Instant,
    /// Its process has ended, and that has not been recorded yet.
    is_ended: bool,
    /// It has stalled before, so that its hook has run.
    has_stalled: bool,
    /// Its checks, until its job starts.
    pending_start: Option<PendingStart>,
    /// What the sources of its job were before it started.
    sources: Option<Box<SourceState>>,
}

impl ActiveRun {
    /// A run that starts now.
    fn new(job: Job) -> Self {
        Self { job, started: Instant::now(), is_ended: false, has_stalled: false, pending_start: None, sources: None }
    }
}

impl EventLoop {
    /// Registers a worker.
    pub(super) fn join(
        store: &mut dyn Store,
        paths: SitePaths,
        queues: Option<Vec<QueueId>>,
        options: WorkerOptions,
        stays_when_idle: bool,
    ) -> Result<Self, WorkerError> {
        reap_dead_workers(store, &paths)?;
        let registration_lock = paths.state.lock_registration()?;
        let clock = store.clock();
        let last_seq = store.last_seq()?;
        let join = Command::Join { host: hostname(), pid: std::process::id(), queues: queues.clone(), options };
        let answers = store.execute(&[join], clock.now())?;
        let id = answers.into_iter().flatten().flatten().find_map(|event| match event {
            Event::WorkerJoined { worker } => Some(worker.id),
            _ => None,
        });
        let id = id.unwrap_or_default();
        crash::point("joined");
        let environments = EnvironmentCache::new(&paths.state);
        let file_hashes = Arc::new(FileHashes::new(paths.state.file_hashes()));
        let folders = RunFolders::new(paths.state.clone());
        let setup = WorkerSetup::of_worker(store, &paths, id, registration_lock);
        // Otherwise it would be considered a dead worker.
        let setup = setup.inspect_err(|_| unregister(store, id))?;
        let WorkerSetup { lock, lease, reservation_lock, runner, sender, messages, liveness_watch } = setup;
        Ok(Self {
            tag_prefix: tag_prefix(&paths),
            paths,
            queues,
            stays_when_idle,
            is_draining: false,
            answer_awaited: Arc::default(),
            id,
            runner,
            running: HashMap::new(),
            hooks: Hooks::new(id),
            folders,
            environments,
            file_hashes,
            hook_results: Vec::new(),
            commit_latency: CommitLatency::default(),
            reservations: Reservations::new(reservation_lock),
            commit_thread: CommitThread::new(sender.waker.clone()),
            sender,
            messages,
            last_seq,
            arrived: Vec::new(),
            returned_items: Vec::new(),
            planned_file: None,
            requested_stops: Vec::new(),
            pending_commands: Vec::new(),
            freed_slots: Vec::new(),
            deferred: VecDeque::new(),
            launch_retry_at: None,
            is_delay_logged: false,
            is_limit_logged: false,
            now: clock.now(),
            clock,
            woken_at: Instant::now(),
            clock_set_back: false,
            shutdown: None,
            is_unregistered: false,
            wants_jobs: true,
            next_due: None,
            may_have_unread_events: true,
            reload: Reload::default(),
            pruner: None,
            // A peer may have died before the watch began.
            peer_check_due: Some(PeerCheck::Routine),
            suspend_requested: false,
            liveness_watch,
            lock,
            lease,
        })
    }

    /// Limits how many jobs of each of its queues run at once, over all workers, until this worker leaves.
    pub(super) fn limit_parallel(&self, store: &mut dyn Store, parallel: NonZero<u32>) -> Result<(), StoreError> {
        let queues = self.queues.iter().flatten();
        let limit = |queue: &QueueId| Command::OverrideParallel { worker: self.id, queue: queue.clone(), parallel };
        let limited = store.execute(&queues.map(limit).collect::<Vec<_>>(), store.clock().now());
        limited.map(drop).inspect_err(|_| unregister(store, self.id))
    }

    /// The id of this worker.
    pub(super) fn id(&self) -> WorkerId {
        self.id
    }

    /// A sender of messages to this worker.
    pub(super) fn sender(&self) -> MessageSender {
        self.sender.clone()
    }

    pub(super) fn keep_running_while(&mut self, answer_awaited: Arc<AtomicBool>) {
        self.answer_awaited = answer_awaited;
    }

    /// Takes the steps, and sleeps when there is nothing to do, until the worker has left the site.
    pub(super) fn run(
        mut self,
        mut store: Box<dyn Store>,
        mut on_change: impl FnMut(&mut dyn Store, &EventRecord, Option<&Job>),
    ) -> Result<(), WorkerError> {
        let subscription = self.subscribe(store.as_mut());
        let _subscription = subscription.inspect_err(|_| unregister(store.as_mut(), self.id))?;
        let mut failing_since = None;
        // Until when a shutdown waits for a store that fails.
        let mut gives_up_at = None;
        let mut outcome = None;
        let mut unreachable = None;
        // It may have been shut down while it joined.
        self.wait_for_messages(Duration::ZERO);
        while !self.is_unregistered {
            let step = match unreachable.take() {
                Some(error) => Err(error),
                None => self.step(store.as_mut(), outcome.take(), &mut on_change),
            };
            match step {
                // The step has found that the worker was unregistered; the loop ends.
                Ok(_) if self.is_unregistered => {}
                Ok(NextStep::Exit) => return Ok(()),
                Ok(NextStep::Sleep) => {
                    if failing_since.take().is_some() {
                        tracing::warn!("the store works again");
                    }
                    gives_up_at = None;
                    self.sleep(store.as_mut());
                }
                Ok(NextStep::Commit(batch)) => {
                    let committed = self.commit_and_supervise(store, batch);
                    (store, outcome) = (committed.0, Some(committed.1));
                }
                Err(error) if error.is_permanent() => {
                    self.stop_all_runs(&error, Shutdown::Graceful);
                    return Err(error.into());
                }
                Err(error) if self.can_exit_on(&error, failing_since) => return Err(error.into()),
                Err(error) => {
                    if failing_since.is_none() {
                        let then = if error.is_process_limit() { "then this worker exits" } else { "retrying" };
                        tracing::error!(%error, "the store failed; running jobs continue, {then}");
                        failing_since = Some(Instant::now());
                    }
                    self.may_have_unread_events = true;
                    if (self.shutdown.is_some() || error.is_process_limit()) && self.all_runs_ended() {
                        let now = Instant::now();
                        if now >= *gives_up_at.get_or_insert(now + RECORD_TIMEOUT) {
                            self.report_unrecorded_runs();
                            return Err(error.into());
                        }
                    }
                    self.wait_for_messages(STORE_RETRY_INTERVAL);
                    if self.lease.is_some() {
                        // Connecting again may take long.
                        let tried = self.commit_and_supervise(store, Batch::default());
                        (store, unreachable) = (tried.0, tried.1.result.err());
                    }
                }
            }
        }
        self.stop_all_runs(&WorkerError::Unregistered, Shutdown::Immediate);
        Err(WorkerError::Unregistered)
    }

    /// Subscribes to changes of the file and of the site, and starts pruning.
    fn subscribe(&mut self, store: &mut dyn Store) -> Result<Subscription, StoreError> {
        let (site_sender, file_sender) = (self.sender.clone(), self.sender.clone());
        let changed: NotifyFn = Arc::new(move || site_sender.send(WorkerMessage::SiteChanged));
        let on_read = move |read| file_sender.send(WorkerMessage::FileRead(read));
        let watching = with_sigchld_blocked(|| self.reload.watch(store, &self.paths, on_read));
        watching.map_err(|error| site_error_or(store, error))?;
        let sender = self.sender.clone();
        let on_arrival = move || sender.send(WorkerMessage::ItemsChanged);
        let watching = self.reload.watch_arrivals(store, &self.paths, on_arrival);
        watching.map_err(|error| site_error_or(store, error))?;
        self.find_arrived(store).map_err(|error| site_error_or(store, error))?;
        if crash::fails("subscribe") {
            return Err(StoreError::io(self.paths.state.path(), io::Error::other("a test requested an error")));
        }
        let started = with_sigchld_blocked(|| Ok((store.subscribe(changed)?, Pruner::start(store, &self.paths)?)));
        let (subscription, pruner) = started.map_err(|error| site_error_or(store, error))?;
        self.pruner = Some(pruner);
        Ok(subscription)
    }

    /// Stops the running jobs because the site is gone or has lost this worker, so that they don't keep running
    /// unsupervised. Their ends can't be recorded.
    fn stop_all_runs(&mut self, error: &impl Error, shutdown: Shutdown) {
        if !self.running.is_empty() {
            tracing::error!(%error, running = self.running.len(), "stopping all running jobs: their ends can't be recorded");
        }
        self.shut_down(shutdown);
        while !self.all_runs_ended() {
            self.wait_for_messages(STORE_RETRY_INTERVAL);
        }
    }

    /// Says what a worker leaves that was shut down while its store fails.
    fn report_unrecorded_runs(&self) {
        if !self.running.is_empty() {
            let jobs = count_noun(self.running.len(), "job");
            tracing::error!("exiting without a record of how {jobs} ended; the next worker records an interruption");
        }
    }

    /// Whether the worker may exit because the store fails: nothing would be lost, or it has to shut down at once. Runs
    /// whose end was not recorded are found interrupted later. A server that is away is waited for.
    fn can_exit_on(&self, error: &StoreError, failing_since: Option<Instant>) -> bool {
        if self.lease.is_some() && self.stays_when_idle && self.shutdown.is_none() {
            return false;
        }
        let is_all_recorded = self.pending_commands.is_empty() && self.returned_items.is_empty();
        let waits_for_server = error.is_outage()
            && self.shutdown.is_none()
            && (self.stays_when_idle || failing_since.is_none_or(|since| since.elapsed() < MAX_OUTAGE));
        self.all_runs_ended() && !waits_for_server && (is_all_recorded || self.shutdown == Some(Shutdown::Immediate))
    }

    fn all_runs_ended(&self) -> bool {
        self.running.values().all(|run| run.is_ended)
    }

    /// Does what there is to do, in order. `outcome` is that of a batch that was committed on the commit thread.
    fn step(
        &mut self,
        store: &mut dyn Store,
        outcome: Option<CommitOutcome>,
        on_change: &mut impl ChangeListener,
    ) -> Result<NextStep, StoreError> {
        if let Some(outcome) = outcome {
            self.apply_commit(store, outcome, on_change)?;
        }
        if self.reservations.is_empty() {
            if self.next_due.is_some_and(|due| due <= self.now) {
                self.reload.read_items(store, &self.paths)?;
            }
            self.reload.read_changed_items(store, &self.paths)?;
            self.may_have_unread_events |= self.reload.apply_pending(store, &self.paths)?;
            self.expand_returned_items(store)?;
            self.run_arrived(store)?;
            self.check_peers(store);
            self.shorten_waits(store)?;
        }
        self.retry_deferred_launches(store);
        if let Some(batch) = self.record_and_claim(store, on_change)? {
            return Ok(NextStep::Commit(batch));
        }
        self.save_hook_results(store);
        self.start_hooks();
        self.suspend_if_requested();
        self.leave_if_done(store)
    }

    /// Records what has ended, claims and starts jobs, and reads events, until no more jobs are wanted. Returns a batch
    /// that should be committed on the commit thread, because reserved jobs may start meanwhile, or because a server may
    /// be slow to answer.
    fn record_and_claim(
        &mut self,
        store: &mut dyn Store,
        on_change: &mut impl ChangeListener,
    ) -> Result<Option<Batch>, StoreError> {
        loop {
            if let Some(batch) = self.next_batch() {
                if batch.commands.iter().any(|(command, _)| matches!(command.requested(), Command::EndRun { .. })) {
                    crash::point("finished");
                }
                // Set again when the commit shows that other events came before it.
                self.may_have_unread_events = false;
                if self.reservations.has_startable() || self.lease.is_some() {
                    return Ok(Some(batch));
                }
                let outcome = batch.commit(store);
                self.apply_commit(store, outcome, on_change)?;
            }
            if mem::take(&mut self.may_have_unread_events) {
                self.read_site_events(store, on_change)?;
            }
            let wants_jobs =
                self.wants_jobs && self.shutdown.is_none() && !self.is_draining && self.room_for_runs(1) > 0;
            if !wants_jobs && self.pending_commands.is_empty() {
                return Ok(None);
            }
            self.read_clock();
        }
    }

    /// Notes the time. The clock may have been set since the last time.
    fn read_clock(&mut self) {
        let (now, instant) = (self.clock.now(), Instant::now());
        let expected =
            TimeDelta::from_std(instant - self.woken_at).ok().and_then(|passed| self.now.checked_add_signed(passed));
        self.clock_set_back |= expected.is_some_and(|expected| expected - now > CLOCK_TOLERANCE);
        (self.now, self.woken_at) = (now, instant);
    }

    /// Keeps relative waits relative after the clock was set back: no job waits longer than its delay.
    fn shorten_waits(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        if mem::take(&mut self.clock_set_back) {
            tracing::warn!("the clock was set back");
            // Refused if no wait is too long.
            store.execute(&[Command::ShortenWaits], self.now)?;
            self.may_have_unread_events = true;
        }
        Ok(())
    }

    fn save_hook_results(&mut self, store: &mut dyn Store) {
        for (run, result) in mem::take(&mut self.hook_results) {
            if let Err(error) = store.save_hook_result(run, &result) {
                tracing::warn!("can't save the result of on_finish: {error}");
            }
        }
    }

    /// Suspends the process and its running jobs, unless that would keep other workers from reserved jobs or from the store.
    fn suspend_if_requested(&mut self) {
        if self.reservations.is_empty() && mem::take(&mut self.suspend_requested) {
            let _pruning_paused = self.pruner.as_ref().map(Pruner::pause);
            if !self.running.is_empty() {
                let jobs = count_noun(self.running.len(), "running job");
                tracing::warn!("suspended with {jobs}; their timeouts are suspended too");
            }
            self.runner.suspend_with_runs(|| {
                if let Err(error) = emulate_default_handler(SIGTSTP) {
                    tracing::error!(%error, "can't suspend");
                }
            });
        }
    }

    /// Leaves the site if nothing runs and it has to shut down or there is nothing to do.
    fn leave_if_done(&mut self, store: &mut dyn Store) -> Result<NextStep, StoreError> {
        if !self.running.is_empty() || !self.hooks.is_idle() || !self.reservations.is_empty() {
            return Ok(NextStep::Sleep);
        }
        if self.environments.unload() {
            self.forget_environments(store);
        }
        if self.shutdown.is_some() {
            // As if it had died; no run is left to end.
            store.execute(
                &[Command::ReapWorker { worker: self.id, started_runs: Vec::new(), unreachable_host: None }],
                self.clock.now(),
            )?;
            self.forget_environments(store);
            return Ok(NextStep::Exit);
        }
        if !self.is_draining && (self.stays_when_idle || self.answer_awaited.load(Ordering::Relaxed)) {
            return Ok(NextStep::Sleep);
        }
        let leave = Command::Leave { worker: self.id, queues: self.queues.clone() };
        let has_left = store.execute(&[leave], self.clock.now())?.iter().all(Result::is_ok);
        if has_left {
            self.forget_environments(store);
        }
        Ok(if has_left { NextStep::Exit } else { NextStep::Sleep })
    }

    /// Removes the stored environments that are no longer needed.
    fn forget_environments(&self, store: &mut dyn Store) {
        if let Err(error) = forget_unused_environments(store, &self.paths.state) {
            tracing::warn!("can't remove the environments of ended requests: {error}");
        }
    }

    /// How long to sleep if no message comes.
    fn sleep_limit(&self) -> Duration {
        let is_step_due = self.clock_set_back
            || self.peer_check_due.is_some()
            || self.suspend_requested
            || self.reload.is_pending()
            || !self.returned_items.is_empty()
            || !self.arrived.is_empty();
        if is_step_due && self.reservations.is_empty() {
            return Duration::ZERO;
        }
        let due = self.next_due.map(|due| (due - self.clock.now()).to_std().unwrap_or_default());
        let launch_retry = self.launch_retry_at.map(|at| at.saturating_duration_since(Instant::now()));
        [due, launch_retry, self.reservations.time_left()].into_iter().flatten().fold(MAX_SLEEP, Duration::min)
    }
}
