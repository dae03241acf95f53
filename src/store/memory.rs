//! The in-memory backend: for tests, and for workers without a database.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use chrono::{DateTime, Utc};

use super::backend::{CommandResult, MIN_RETAINED_EVENTS, PruneReport, Store, TimedCommand, TransactionReport};
use super::error::StoreError;
use super::log::{LogReader, LogWriter, save_hook_result};
use super::notifier::{NotifyFn, Subscription};
use super::reservation_lock::ReservationLock;
use super::store_clock::StoreClock;
use super::terminal_input::TerminalInputPipes;
use super::worker_lease::{LEASE_GRACE, LEASE_TERM, WorkerLease};
use crate::model::{
    Command, DueCounts, DuePage, DueRecord, EnvironmentId, Event, EventRecord, ExpectationState, HookResult, Job,
    JobId, QueueId, QueueInfo, RemovalReason, Retention, Run, RunId, RunPeriod, RunSpan, ScheduleState, ScheduleTarget,
    Site, SiteState, Snapshot, StateReader, WorkerId, WorkerInfo, next_ready_job,
};

/// A connection to a site in memory. Clones are connections to the same site.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Mutex<MemorySite>>,
    logs: PathBuf,
    clock: StoreClock,
    has_leases: bool,
}

#[derive(Default)]
struct MemorySite {
    leases: BTreeMap<WorkerId, MemoryLease>,
    site: Site,
    events: VecDeque<EventRecord>,
    runs: BTreeMap<JobId, Vec<Run>>,
    listeners: Vec<Weak<SyncSender<()>>>,
}

/// When a worker has renewed its lease, and since when that is known to be too long ago.
#[derive(Clone, Copy)]
struct MemoryLease {
    renewed: DateTime<Utc>,
    overdue: Option<DateTime<Utc>>,
}

impl MemoryStore {
    /// An empty site. The output of its runs is written to files in `logs`.
    pub fn new(logs: impl Into<PathBuf>) -> Self {
        Self { shared: Arc::default(), logs: logs.into(), clock: StoreClock::system(), has_leases: false }
    }

    /// Like [`new`](Self::new), with leases by this clock instead of locks: a model of a site that machines share.
    pub fn with_leases(logs: impl Into<PathBuf>, clock: StoreClock) -> Self {
        Self { clock, has_leases: true, ..Self::new(logs) }
    }

    /// Renews the lease of a worker. Returns whether the worker is registered.
    fn renew_lease(&self, worker: WorkerId) -> bool {
        let now = self.clock.now();
        let mut site = self.lock();
        let is_registered = site.site.read(|state| state.workers().any(|known| known.id == worker));
        if is_registered {
            site.leases.insert(worker, MemoryLease { renewed: now, overdue: None });
        }
        is_registered
    }

    // A panic while the lock was held can't have left a partial change: the site applies each one as a whole.
    fn lock(&self) -> MutexGuard<'_, MemorySite> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn transact(&mut self, commands: &[TimedCommand<'_>]) -> Result<TransactionReport, StoreError> {
        let mut site = self.lock();
        let before = site.seq();
        let results: Vec<_> = commands.iter().map(|(command, at)| site.perform(command, *at)).collect();
        if site.seq() != before {
            site.notify();
        }
        for event in results.iter().flatten().flatten() {
            if let Event::WorkerJoined { worker } = event {
                site.leases.insert(worker.id, MemoryLease { renewed: self.clock.now(), overdue: None });
            }
        }
        let claimed = results.iter().flatten().flatten().flat_map(|event| match event {
            Event::Started { job, .. } => vec![*job],
            Event::Reserved { jobs, .. } => jobs.iter().map(|reservation| reservation.job).collect(),
            _ => Vec::new(),
        });
        let claimed = claimed.filter_map(|job| site.site.read(|site_state| site_state.job(job).cloned())).collect();
        Ok(TransactionReport { seq_before: before, results, claimed })
    }

    fn reservation_lock(&self) -> Result<Option<ReservationLock>, StoreError> {
        Ok(None)
    }

    fn clock(&self) -> StoreClock {
        self.clock.clone()
    }

    fn keep_lease(&self, worker: WorkerId, on_loss: NotifyFn) -> Result<Option<WorkerLease>, StoreError> {
        if self.has_leases && !self.renew_lease(worker) {
            on_loss();
        }
        // A lease lasts while the clock stands still; it is renewed by keeping it again.
        Ok(self.has_leases.then(|| WorkerLease::keeping(())))
    }

    fn workers_without_lease(&mut self) -> Result<Vec<WorkerId>, StoreError> {
        let now = self.clock.now();
        let mut site = self.lock();
        if !self.has_leases {
            return Ok(Vec::new());
        }
        let registered: Vec<WorkerId> = site.site.read(|state| state.workers().map(|worker| worker.id).collect());
        site.leases.retain(|worker, _| registered.contains(worker));
        let mut without = Vec::new();
        for worker in registered {
            let lease = site.leases.entry(worker).or_insert(MemoryLease { renewed: now, overdue: None });
            let has_passed = |since: DateTime<Utc>, limit| (now - since).to_std().is_ok_and(|passed| passed > limit);
            if has_passed(lease.renewed, LEASE_TERM) {
                let since = *lease.overdue.get_or_insert(now);
                without.extend(has_passed(since, LEASE_GRACE).then_some(worker));
            }
        }
        Ok(without)
    }

    fn load(&mut self) -> Result<SiteState, StoreError> {
        Ok(self.lock().site.read(SiteState::to_copy))
    }

    fn events_after(&mut self, seq: u64) -> Result<Option<Vec<EventRecord>>, StoreError> {
        let site = self.lock();
        let retained = site.events.front().map_or(1, |event| event.seq)..=site.seq() + 1;
        let events = site.events.iter().skip_while(|event| event.seq <= seq).cloned();
        Ok(retained.contains(&(seq + 1)).then(|| events.collect()))
    }

    fn queues(&mut self) -> Result<Vec<QueueInfo>, StoreError> {
        Ok(self.lock().site.read(|site_state| StateReader::queues(site_state).unwrap_or_else(|never| match never {})))
    }

    fn workers(&mut self) -> Result<Vec<WorkerInfo>, StoreError> {
        Ok(self.lock().site.read(|site_state| site_state.workers().cloned().collect()))
    }

    fn schedules(&mut self) -> Result<Vec<ScheduleState>, StoreError> {
        Ok(self.lock().site.read(|site_state| site_state.active_schedules().cloned().collect()))
    }

    fn due_records(&mut self, target: &ScheduleTarget, page: &DuePage) -> Result<Vec<DueRecord>, StoreError> {
        Ok(self.lock().site.read(|site_state| site_state.due_page(target, page)))
    }

    fn due_counts(
        &mut self,
        target: &ScheduleTarget,
        periods: &[Range<DateTime<Utc>>],
    ) -> Result<Vec<DueCounts>, StoreError> {
        let counts =
            |site_state: &SiteState| periods.iter().map(|period| site_state.due_counts(target, period)).collect();
        Ok(self.lock().site.read(counts))
    }

    fn recorded_targets(&mut self) -> Result<Vec<ScheduleTarget>, StoreError> {
        Ok(self.lock().site.read(|site_state| site_state.recorded_targets().cloned().collect()))
    }

    fn expectations(&mut self) -> Result<Vec<ExpectationState>, StoreError> {
        Ok(self.lock().site.read(|site_state| site_state.expectations().cloned().collect()))
    }

    fn jobs_run_by(&mut self, worker: WorkerId) -> Result<Vec<Job>, StoreError> {
        Ok(self
            .lock()
            .site
            .read(|site_state| StateReader::jobs_run_by(site_state, worker).unwrap_or_else(|never| match never {})))
    }

    fn file_version(&mut self) -> Result<Option<String>, StoreError> {
        Ok(self.lock().site.read(|site_state| site_state.file_version().map(str::to_owned)))
    }

    fn last_seq(&mut self) -> Result<u64, StoreError> {
        Ok(self.lock().seq())
    }

    fn next_ready_job(
        &mut self,
        worker: WorkerId,
        queues: Option<&[QueueId]>,
    ) -> Result<(u64, Option<JobId>), StoreError> {
        let site = self.lock();
        let next = site
            .site
            .read(|site_state| next_ready_job(site_state, queues, worker).unwrap_or_else(|never| match never {}));
        Ok((site.seq(), next.map(|job| job.id)))
    }

    fn job(&mut self, id: JobId) -> Result<Option<Job>, StoreError> {
        let find = |site_state: &SiteState| match site_state.job(id) {
            Some(job) => Some(job.clone()),
            None => site_state.removed_job(id).unwrap_or_else(|never| match never {}),
        };
        Ok(self.lock().site.read(find))
    }

    fn removal_reason(&mut self, id: JobId) -> Result<Option<RemovalReason>, StoreError> {
        Ok(self.lock().site.read(|site_state| site_state.removal_reason(id)))
    }

    fn removed_jobs(&mut self) -> Result<Vec<Job>, StoreError> {
        Ok(self.lock().site.read(SiteState::jobs_removed_by_users))
    }

    fn environments_in_use(&mut self) -> Result<BTreeSet<EnvironmentId>, StoreError> {
        Ok(self.lock().site.read(SiteState::environments_in_use))
    }

    fn snapshots_in_use(&mut self) -> Result<Vec<Snapshot>, StoreError> {
        let site = self.lock();
        let of_jobs = |state: &SiteState| {
            let of_queues =
                state.queues().into_iter().filter_map(|(_, queue)| queue.inputs.as_deref()?.snapshot.as_deref());
            of_queues.chain(state.jobs().flat_map(Job::recorded_snapshots)).cloned().collect::<Vec<_>>()
        };
        let mut snapshots = site.site.read(of_jobs);
        snapshots.extend(site.runs.values().flatten().filter_map(Run::snapshot).cloned());
        Ok(snapshots)
    }

    fn jobs_page(&mut self, queue: &QueueId, after: Option<&Job>, limit: usize) -> Result<Vec<Job>, StoreError> {
        Ok(self.lock().site.read(|site_state| site_state.jobs_page(queue, after, limit)))
    }

    fn runs(&mut self, job: JobId) -> Result<Vec<Run>, StoreError> {
        Ok(self.lock().runs.get(&job).cloned().unwrap_or_default())
    }

    fn runs_in(&mut self, period: &RunPeriod) -> Result<Vec<RunSpan>, StoreError> {
        let site = self.lock();
        let is_wanted = |job: &JobId| {
            let queue = site.site.read(|state| state.job(*job).map(|job| job.queue.clone()));
            queue.is_some_and(|queue| period.queue.as_ref().is_none_or(|wanted| *wanted == queue))
        };
        let runs = site.runs.iter().filter(|(job, _)| is_wanted(job));
        Ok(period.select(runs.flat_map(|(job, runs)| runs.iter().map(|run| RunSpan::new(*job, run)))))
    }

    fn prune(&mut self, now: DateTime<Utc>) -> Result<PruneReport, StoreError> {
        // Refused when there is nothing to remove.
        let removed = self.execute(&[Command::PruneFinished], now)?.remove(0);
        let mut report = PruneReport { jobs: removed.map_or(0, |events| events.len()), ..PruneReport::default() };
        let mut site = self.lock();
        let retention_by_job: BTreeMap<JobId, Retention> = site.site.read(|site_state| {
            let retention = |job: &Job| Some((job.id, site_state.queue(&job.queue)?.settings.retention));
            site_state.jobs().filter_map(retention).collect()
        });
        for (job, runs) in &mut site.runs {
            let Some(retention) = retention_by_job.get(job) else { continue };
            let count = runs.len();
            let max_runs = retention
                .max_runs
                .map_or(usize::MAX, |max_runs| usize::try_from(max_runs).unwrap_or(usize::MAX))
                .max(1);
            let before = retention.cutoff(now);
            let mut nth = count;
            runs.retain(|run| {
                let rank = nth;
                nth -= 1;
                let ended = run.end.as_ref().map(|ending| ending.at);
                let is_outdated = rank > 1 && before.zip(ended).is_some_and(|(before, ended)| ended < before);
                ended.is_none() || (rank <= max_runs && !is_outdated)
            });
            report.runs += count - runs.len();
        }
        Ok(report)
    }

    fn new_connection(&self) -> Result<Box<dyn Store>, StoreError> {
        Ok(Box::new(self.clone()))
    }

    fn log_reader(&self, run: RunId) -> LogReader {
        LogReader::new(self.logs.clone(), run)
    }

    fn save_hook_result(&mut self, run: RunId, end: &HookResult) -> Result<(), StoreError> {
        save_hook_result(&self.logs, run, end)?;
        self.lock().notify();
        Ok(())
    }

    fn log_writer(&self, run: RunId, limit: u64) -> LogWriter {
        LogWriter::new(self.logs.clone(), run, limit)
    }

    fn terminal_inputs(&self) -> TerminalInputPipes {
        TerminalInputPipes::new(self.logs.join("lines"))
    }

    fn subscribe(&self, notify: NotifyFn) -> Result<Subscription, StoreError> {
        // One pending notification is enough: the subscriber then sees all earlier changes.
        let (sender, receiver) = sync_channel(1);
        let sender = Arc::new(sender);
        self.lock().listeners.push(Arc::downgrade(&sender));
        thread::spawn(move || receiver.iter().for_each(|()| notify()));
        Ok(Subscription::keeping(sender))
    }
}

impl MemorySite {
    fn seq(&self) -> u64 {
        self.site.read(SiteState::seq)
    }

    fn perform(&mut self, command: &Command, now: DateTime<Utc>) -> CommandResult {
        let first = self.seq() + 1;
        let events = self.site.submit(command, now)?;
        for (seq, event) in (first..).zip(&events) {
            self.record_run(event);
            self.events.push_back(EventRecord { seq, at: now, event: event.clone() });
        }
        let last = self.seq();
        while self.events.front().is_some_and(|event| event.seq + MIN_RETAINED_EVENTS <= last) {
            self.events.pop_front();
        }
        Ok(events)
    }

    /// Records a run as it was when it was its job's latest.
    fn record_run(&mut self, event: &Event) {
        let (Event::Started { job, .. }
        | Event::StallChanged { job, .. }
        | Event::SnapshotTaken { job, .. }
        | Event::Ended { job, .. }) = event
        else {
            return;
        };
        let Some(run) = self.site.read(|site_state| site_state.job(*job)?.last_run_with_value()) else { return };
        let runs = self.runs.entry(*job).or_default();
        match runs.last_mut().filter(|last| last.id == run.id) {
            Some(last) => *last = run,
            None => runs.push(run),
        }
    }

    fn notify(&mut self) {
        self.listeners.retain(|listener| match listener.upgrade() {
            Some(sender) => {
                // If the channel is full, a notification is pending.
                let _ = sender.try_send(());
                true
            }
            None => false,
        });
    }
}
