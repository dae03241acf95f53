//! The [`Store`] trait: what every backend implements.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::error::StoreError;
use super::job_folders::RemoteArtifacts;
use super::log::{LogReader, LogWriter};
use super::notifier::{NotifyFn, Subscription};
use super::reservation_lock::ReservationLock;
use super::site_export::SiteExport;
use super::store_clock::StoreClock;
use super::terminal_input::TerminalInputPipes;
use super::worker_lease::WorkerLease;
use crate::model::{
    Call, Command, Definition, DueCounts, DuePage, DueRecord, EnvironmentId, Event, EventRecord, ExpectationState,
    HookResult, Job, JobCounts, JobId, Phase, QueueId, QueueInfo, Refusal, RemovalReason, Run, RunId, RunPeriod,
    RunSpan, ScheduleState, ScheduleTarget, SiteState, Snapshot, WorkerId, WorkerInfo,
};

/// How many events a store retains at least for followers. A follower that is further behind loads the site again,
/// which is faster by then.
pub(super) const MIN_RETAINED_EVENTS: u64 = 10_000;

/// The phases in the order in which the jobs of a queue are listed.
pub(super) const LISTED_PHASES: [Phase; 3] = [Phase::Finished, Phase::Running, Phase::Pending];

/// How many jobs are loaded of each end of a list for the first frame of a screen: more than are visible.
pub(super) const FIRST_ROWS: usize = 256;

/// How long commands that follow a site wait for its server while that is away.
pub const MAX_OUTAGE: Duration = Duration::from_secs(600);

/// The result of one command: its events, or why it was refused. A refused command changes nothing.
pub type CommandResult = Result<Vec<Event>, Refusal>;

/// What pruning has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// How many finished jobs were removed from their queues.
    pub jobs: usize,
    /// How many runs were deleted.
    pub runs: usize,
    /// How many bytes of output were deleted.
    pub bytes: u64,
    /// How long other writers were kept waiting at most.
    pub longest_hold: Duration,
}

impl PruneReport {
    /// Whether nothing was removed.
    pub fn is_empty(&self) -> bool {
        self.jobs == 0 && self.runs == 0 && self.bytes == 0
    }
}

/// The results of a transaction.
#[derive(Clone, Debug, Default)]
pub struct TransactionReport {
    /// The sequence number of the last event before the transaction; those of the results follow without a gap.
    pub seq_before: u64,
    /// The result of each command.
    pub results: Vec<CommandResult>,
    /// The jobs that were started or reserved, in their new state.
    pub claimed: Vec<Job>,
}

/// How a user names a job of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobName<'n> {
    /// By its number.
    Number(JobId),
    /// By the name of its queue and its own.
    InQueue(&'n str, &'n str),
    /// By its name alone, which jobs of several queues may have.
    InAnyQueue(&'n str),
}

/// The name of the machine of each worker.
pub type WorkerMachines = BTreeMap<WorkerId, String>;

/// What happens to the server of a site, while a command waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the name of the server")]
pub enum OutageEvent {
    /// It can't be reached any more.
    Began { host: String },
    /// It can be reached again.
    Ended { host: String },
}

/// Is called when an outage begins and ends.
pub type OutageListener = Box<dyn Fn(&OutageEvent) + Send>;

/// What the status of queues depends on.
#[derive(Clone, Debug, Default)]
pub struct SiteOverview {
    /// All queues, with few of their jobs: the running ones, those that need approval, those that stopped their queue and
    /// those with a schedule or an expectation, and the next that only waits for its turn. The status of each queue, and
    /// what is overdue or stalled, is the same as in the whole site.
    pub state: SiteState,
    /// How many jobs the queues have. A queue without jobs may be missing.
    pub counts: BTreeMap<QueueId, JobCounts>,
}

/// A place in a list of the jobs of some queues.
#[derive(Clone, Debug, Default)]
pub struct ListPosition {
    /// The index of the queue.
    pub queue: usize,
    /// The last job before the place, if it is behind one of this queue.
    pub after: Option<Box<Job>>,
}

/// Some of the jobs of a list, in its order: by queue, first the finished jobs, then the running and the pending ones.
#[derive(Clone, Debug, Default)]
pub struct JobListPage {
    /// The part of the site with these jobs, in which they wait for the same as in the whole site; or the whole site.
    pub state: SiteState,
    /// The jobs of the page.
    pub jobs: Vec<JobId>,
    /// Where the next page begins; `None` behind the last.
    pub next: Option<ListPosition>,
}

/// A command, and the time at which it is decided.
pub type TimedCommand<'c> = (&'c Command, DateTime<Utc>);

/// One connection to a stored site. Every process and every thread opens its own.
pub trait Store: Send {
    /// The clock that decides, at whose time commands are executed: that of the server, where machines share a site.
    fn clock(&self) -> StoreClock {
        StoreClock::system()
    }

    /// The name of the server that has the site; none if it is in files or in memory.
    fn server_host(&self) -> Option<String> {
        None
    }

    /// From now on waits so long while the server is away, in place of failing at once. Without effect where there is no
    /// server.
    fn tolerate_outages(&mut self, at_most: Duration, listener: OutageListener) {
        let _ = (at_most, listener);
    }

    /// Executes commands in order and in one transaction; each sees the effects of those before it. When this returns,
    /// all accepted commands are durable; on an error none is.
    fn execute(&mut self, commands: &[Command], now: DateTime<Utc>) -> Result<Vec<CommandResult>, StoreError> {
        let commands: Vec<TimedCommand<'_>> = commands.iter().map(|command| (command, now)).collect();
        Ok(self.transact(&commands)?.results)
    }

    /// Like [`execute`](Self::execute), with a time for each command, and with the details that a worker would
    /// otherwise have to read back.
    fn transact(&mut self, commands: &[TimedCommand<'_>]) -> Result<TransactionReport, StoreError>;

    /// The lock that a worker holds while jobs are reserved for it. None if this backend can't make other writers wait;
    /// then no worker may reserve jobs.
    fn reservation_lock(&self) -> Result<Option<ReservationLock>, StoreError>;

    /// Keeps the lease of a worker until the result is dropped, and calls `on_loss` when it was lost. None for a backend
    /// of one machine, where locks tell which workers are alive.
    fn keep_lease(&self, _worker: WorkerId, _on_loss: NotifyFn) -> Result<Option<WorkerLease>, StoreError> {
        Ok(None)
    }

    /// The registered workers whose lease ran out at least [`LEASE_GRACE`](super::LEASE_GRACE) ago as far as it is known. The first call after
    /// that only notes it: a server that was down must not take all workers for dead. Empty for a backend without leases.
    fn workers_without_lease(&mut self) -> Result<Vec<WorkerId>, StoreError> {
        Ok(Vec::new())
    }

    /// When each worker has last renewed its lease. Empty for a backend without leases.
    fn lease_renewals(&mut self) -> Result<Vec<(WorkerId, DateTime<Utc>)>, StoreError> {
        Ok(Vec::new())
    }

    /// Loads the whole site. Follow it from [`SiteState::seq`] on.
    fn load(&mut self) -> Result<SiteState, StoreError>;

    /// Loads part of the site: all queues without their jobs, and of the jobs only the named ones with those that they
    /// need. What is known of these jobs and queues is the same as in the whole site, which is also an answer.
    fn load_part(&mut self, wanted: &[JobName<'_>]) -> Result<SiteState, StoreError> {
        let _ = wanted;
        self.load()
    }

    /// The queue, name and title of all jobs that have a name, in no particular order.
    fn job_names(&mut self) -> Result<Vec<(QueueId, String, String)>, StoreError> {
        let named = |job: &Job| Some((job.queue.clone(), job.name()?.to_owned(), job.title().to_owned()));
        Ok(self.load()?.jobs().filter_map(named).collect())
    }

    /// Loads what the status of queues depends on. The whole site is an answer, too.
    fn load_overview(&mut self) -> Result<SiteOverview, StoreError> {
        let state = self.load()?;
        let counts = state.all_job_counts();
        Ok(SiteOverview { state, counts })
    }

    /// The jobs of queues from a place on, about `limit` of them, or all. A job that changes between two pages may be on both
    /// or on none.
    fn list_page(&mut self, queues: &[QueueId], from: &ListPosition, limit: usize) -> Result<JobListPage, StoreError> {
        let _ = (from, limit);
        let state = self.load()?;
        let queues = queues.iter().filter_map(|id| state.queue(id));
        let jobs = queues.flat_map(|queue| LISTED_PHASES.into_iter().flat_map(|phase| queue.jobs_in(phase)));
        Ok(JobListPage { jobs: jobs.copied().collect(), state, next: None })
    }

    /// What a screen shows first of a site with at least `min_jobs` jobs: the whole lists of all queues, but of the jobs only
    /// those that are visible: at the ends of the lists of one queue (by default the first), with what they and the status of
    /// queues depend on. `None` if the site has fewer jobs, or if the whole site is loaded as fast.
    fn load_first_rows(&mut self, queue: Option<&QueueId>, min_jobs: usize) -> Result<Option<SiteState>, StoreError> {
        let _ = (queue, min_jobs);
        Ok(None)
    }

    /// The tags of all jobs.
    fn job_tags(&mut self) -> Result<BTreeSet<String>, StoreError> {
        Ok(self.load()?.jobs().flat_map(|job| job.definition.tags.iter().cloned()).collect())
    }

    /// The events after `seq`, in order and without gaps. `None` if some of them were deleted; then the follower has to
    /// [`load`](Self::load) again.
    fn events_after(&mut self, seq: u64) -> Result<Option<Vec<EventRecord>>, StoreError>;

    /// All queues in order, without their jobs.
    fn queues(&mut self) -> Result<Vec<QueueInfo>, StoreError>;

    /// The registered workers.
    fn workers(&mut self) -> Result<Vec<WorkerInfo>, StoreError>;

    /// All schedules.
    fn schedules(&mut self) -> Result<Vec<ScheduleState>, StoreError>;

    /// Some of the recorded due times of a schedule.
    fn due_records(&mut self, target: &ScheduleTarget, page: &DuePage) -> Result<Vec<DueRecord>, StoreError>;

    /// How many due times of a schedule came to which end, in each of these periods: from a time until before another.
    fn due_counts(
        &mut self,
        target: &ScheduleTarget,
        periods: &[Range<DateTime<Utc>>],
    ) -> Result<Vec<DueCounts>, StoreError>;

    /// All queues and jobs of which due times are recorded, also those without a schedule now.
    fn recorded_targets(&mut self) -> Result<Vec<ScheduleTarget>, StoreError>;

    /// All expectations.
    fn expectations(&mut self) -> Result<Vec<ExpectationState>, StoreError>;

    /// The jobs that this worker is running.
    fn jobs_run_by(&mut self, worker: WorkerId) -> Result<Vec<Job>, StoreError>;

    /// The version of `jobs.yaml` in effect.
    fn file_version(&mut self) -> Result<Option<String>, StoreError>;

    /// The sequence number of the last event.
    fn last_seq(&mut self) -> Result<u64, StoreError>;

    /// The next job of these queues, or of all, that this worker could start, and the sequence number of the last event
    /// before that was decided. Starts nothing.
    fn next_ready_job(
        &mut self,
        worker: WorkerId,
        queues: Option<&[QueueId]>,
    ) -> Result<(u64, Option<JobId>), StoreError>;

    /// One job, including one that was removed from its queue.
    fn job(&mut self, id: JobId) -> Result<Option<Job>, StoreError>;

    /// Why a job was removed from its queue; none if it was not, or doesn't exist.
    fn removal_reason(&mut self, id: JobId) -> Result<Option<RemovalReason>, StoreError>;

    /// The jobs that users have removed from their queues, which can be restored, by number.
    fn removed_jobs(&mut self) -> Result<Vec<Job>, StoreError>;

    /// The environments that pending or running jobs, or queues that are being processed, refer to.
    fn environments_in_use(&mut self) -> Result<BTreeSet<EnvironmentId>, StoreError>;

    /// The snapshots that jobs and runs of the record name, also those of removed jobs.
    fn snapshots_in_use(&mut self) -> Result<Vec<Snapshot>, StoreError>;

    /// The next jobs of a queue in its order, whatever their phase: at most `limit` of those behind `after`, or else from
    /// the first. For commands that look at all jobs of a large site one after another.
    fn jobs_page(&mut self, queue: &QueueId, after: Option<&Job>, limit: usize) -> Result<Vec<Job>, StoreError>;

    /// All runs of a job, oldest first.
    fn runs(&mut self, job: JobId) -> Result<Vec<Run>, StoreError>;

    /// The latest runs of the jobs in a queue, or in all, that were in progress in a period; latest first.
    fn runs_in(&mut self, period: &RunPeriod) -> Result<Vec<RunSpan>, StoreError>;

    /// Deletes finished jobs, runs and output beyond the retention settings of their queues. Output that is being
    /// written or read is kept until the next time.
    fn prune(&mut self, now: DateTime<Utc>) -> Result<PruneReport, StoreError>;

    /// Fills an empty site with the content of another store. Memory is not copied into.
    fn import(&mut self, _content: &SiteExport, _now: DateTime<Utc>) -> Result<(), StoreError> {
        Err(StoreError::NotEmpty { store: "the site in memory".to_owned() })
    }

    /// Opens another connection to the same site.
    fn new_connection(&self) -> Result<Box<dyn Store>, StoreError>;

    /// A reader for the output of a run.
    fn log_reader(&self, run: RunId) -> LogReader;

    /// Saves the result of the hook that was run after a run, and notifies subscribers.
    fn save_hook_result(&mut self, run: RunId, end: &HookResult) -> Result<(), StoreError>;

    /// The machines of workers, as far as they are known: where a server has the site, also of workers that have left.
    fn worker_machines(&mut self, workers: &[WorkerId]) -> Result<WorkerMachines, StoreError> {
        let known = self.workers()?.into_iter().filter(|worker| workers.contains(&worker.id));
        Ok(known.map(|worker| (worker.id, worker.host)).collect())
    }

    /// Lets other machines know what a run has left in its folder for artifacts on this one.
    fn announce_artifacts(&mut self, _run: RunId, _machine: &str) -> Result<(), StoreError> {
        Ok(())
    }

    /// What each of these runs has left, as its machine has announced it. Empty where there is one machine.
    fn announced_artifacts(&mut self, _runs: &[RunId]) -> Result<BTreeMap<RunId, RemoteArtifacts>, StoreError> {
        Ok(BTreeMap::new())
    }

    /// A writer for the output of a run, which keeps at most `limit` bytes.
    fn log_writer(&self, run: RunId, limit: u64) -> LogWriter;

    /// The pipes through which screens send input to runs in pseudo-terminals.
    fn terminal_inputs(&self) -> TerminalInputPipes;

    /// Calls `notify` after every change by another connection, from a thread of its own, until the subscription is
    /// dropped. Several changes may share one call; a change after `notify` has returned causes another. Changes by
    /// this connection may not cause one.
    fn subscribe(&self, notify: NotifyFn) -> Result<Subscription, StoreError>;
}

/// Refuses jobs that call a function of this process: they can't be stored.
pub(super) fn require_scripts(commands: &[TimedCommand<'_>]) -> Result<(), StoreError> {
    let check = |definition: &Definition| match definition.call {
        Call::Script(_) => Ok(()),
        Call::Function(_) => Err(StoreError::NotAScript { title: definition.title.to_string() }),
    };
    commands.iter().try_for_each(|(command, _)| match command.requested() {
        Command::Add { jobs, .. } => jobs.iter().try_for_each(|job| check(job)),
        Command::Reconcile(plan) | Command::ReplaceFile { plan, .. } => {
            plan.queues.iter().flat_map(|queue| &queue.jobs).try_for_each(|job| check(job))
        }
        _ => Ok(()),
    })
}
