//! The [`Store`] operations of the `SQLite` backend.

use std::collections::BTreeSet;
use std::ops::Range;

use chrono::{DateTime, Utc};

use super::connection::SqliteStore;
use super::tx_state::TxState;
use super::{list_page, load, open, queries, run_spans, schedule_rows};
use crate::model::{
    DueCounts, DuePage, DueRecord, EnvironmentId, EventRecord, ExpectationState, HookResult, Job, JobId, QueueId,
    QueueInfo, RemovalReason, Run, RunId, RunPeriod, RunSpan, ScheduleState, ScheduleTarget, SiteState, Snapshot,
    WorkerId, WorkerInfo, next_ready_job,
};
use crate::store::backend::{
    JobListPage, JobName, ListPosition, PruneReport, SiteOverview, Store, TimedCommand, TransactionReport,
    require_scripts,
};
use crate::store::error::StoreError;
use crate::store::log::{LogReader, LogWriter, save_hook_result};
use crate::store::notifier::{NotifyFn, Subscription};
use crate::store::reservation_lock::ReservationLock;
use crate::store::site_export::SiteExport;
use crate::store::terminal_input::TerminalInputPipes;

impl Store for SqliteStore {
    fn transact(&mut self, commands: &[TimedCommand<'_>]) -> Result<TransactionReport, StoreError> {
        require_scripts(commands)?;
        let reservation_lock = self.reservation_lock.take();
        let needs_exclusive = commands.iter().any(|(command, _)| !command.keeps_reservations());
        let guard =
            reservation_lock.as_ref().filter(|_| needs_exclusive).map(ReservationLock::wait_exclusive).transpose();
        let report = guard.and_then(|_guard| self.run_commands(commands));
        self.reservation_lock = reservation_lock;
        report
    }

    fn reservation_lock(&self) -> Result<Option<ReservationLock>, StoreError> {
        self.reservation_lock.is_some().then(|| ReservationLock::open(&self.dir)).transpose()
    }

    fn load(&mut self) -> Result<SiteState, StoreError> {
        self.check_in_place()?;
        self.read(|snapshot| load::site_state(snapshot))
    }

    fn load_part(&mut self, wanted: &[JobName<'_>]) -> Result<SiteState, StoreError> {
        self.check_in_place()?;
        self.read(|snapshot| load::site_part(snapshot, wanted))
    }

    fn job_names(&mut self) -> Result<Vec<(QueueId, String, String)>, StoreError> {
        self.read(|snapshot| queries::job_names(snapshot))
    }

    fn load_overview(&mut self) -> Result<SiteOverview, StoreError> {
        self.check_in_place()?;
        self.read(|snapshot| load::overview(snapshot))
    }

    fn list_page(&mut self, queues: &[QueueId], from: &ListPosition, limit: usize) -> Result<JobListPage, StoreError> {
        self.check_in_place()?;
        self.read(|snapshot| list_page::list_page(snapshot, queues, from, limit))
    }

    fn load_first_rows(&mut self, queue: Option<&QueueId>, min_jobs: usize) -> Result<Option<SiteState>, StoreError> {
        self.check_in_place()?;
        self.read(|snapshot| list_page::first_rows(snapshot, queue, min_jobs))
    }

    fn job_tags(&mut self) -> Result<BTreeSet<String>, StoreError> {
        Ok(self.read(|snapshot| list_page::job_tags(snapshot))?.into_iter().collect())
    }

    fn events_after(&mut self, seq: u64) -> Result<Option<Vec<EventRecord>>, StoreError> {
        self.check_in_place()?;
        self.read(|snapshot| load::events_after(snapshot, seq))
    }

    fn import(&mut self, content: &SiteExport, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.write_content(content, now)
    }

    fn queues(&mut self) -> Result<Vec<QueueInfo>, StoreError> {
        self.read(|snapshot| queries::queues(snapshot))
    }

    fn workers(&mut self) -> Result<Vec<WorkerInfo>, StoreError> {
        self.check_in_place()?;
        self.read(|snapshot| queries::workers(snapshot))
    }

    fn schedules(&mut self) -> Result<Vec<ScheduleState>, StoreError> {
        self.read(|snapshot| schedule_rows::schedules(snapshot))
    }

    fn due_records(&mut self, target: &ScheduleTarget, page: &DuePage) -> Result<Vec<DueRecord>, StoreError> {
        self.read(|snapshot| schedule_rows::due_records(snapshot, target, page))
    }

    fn due_counts(
        &mut self,
        target: &ScheduleTarget,
        periods: &[Range<DateTime<Utc>>],
    ) -> Result<Vec<DueCounts>, StoreError> {
        self.read(|snapshot| {
            let counts = |period: &Range<_>| schedule_rows::due_counts(snapshot, target, period.start, period.end);
            periods.iter().map(counts).collect()
        })
    }

    fn recorded_targets(&mut self) -> Result<Vec<ScheduleTarget>, StoreError> {
        self.read(|snapshot| schedule_rows::recorded_targets(snapshot))
    }

    fn expectations(&mut self) -> Result<Vec<ExpectationState>, StoreError> {
        self.read(|snapshot| schedule_rows::expectations(snapshot))
    }

    fn jobs_run_by(&mut self, worker: WorkerId) -> Result<Vec<Job>, StoreError> {
        self.read(|snapshot| queries::jobs_run_by(snapshot, worker))
    }

    fn file_version(&mut self) -> Result<Option<String>, StoreError> {
        self.read(|snapshot| queries::file_version(snapshot))
    }

    fn last_seq(&mut self) -> Result<u64, StoreError> {
        Ok(self.read(|snapshot| queries::counters(snapshot))?.seq)
    }

    fn next_ready_job(
        &mut self,
        worker: WorkerId,
        queues: Option<&[QueueId]>,
    ) -> Result<(u64, Option<JobId>), StoreError> {
        self.read(|snapshot| {
            let state = TxState::new(snapshot, None)?;
            Ok((state.seq_before, next_ready_job(&state, queues, worker)?.map(|job| job.id)))
        })
    }

    fn job(&mut self, id: JobId) -> Result<Option<Job>, StoreError> {
        Ok(self.read(|snapshot| queries::find_job(snapshot, id))?.map(|(job, _)| job))
    }

    fn removal_reason(&mut self, id: JobId) -> Result<Option<RemovalReason>, StoreError> {
        Ok(self.read(|snapshot| queries::find_job(snapshot, id))?.and_then(|(_, removed)| removed))
    }

    fn removed_jobs(&mut self) -> Result<Vec<Job>, StoreError> {
        self.read(|snapshot| queries::removed_jobs(snapshot))
    }

    fn environments_in_use(&mut self) -> Result<BTreeSet<EnvironmentId>, StoreError> {
        self.read(|snapshot| queries::environments_in_use(snapshot))
    }

    fn snapshots_in_use(&mut self) -> Result<Vec<Snapshot>, StoreError> {
        self.read(|snapshot| queries::snapshots_in_use(snapshot))
    }

    fn jobs_page(&mut self, queue: &QueueId, after: Option<&Job>, limit: usize) -> Result<Vec<Job>, StoreError> {
        self.check_in_place()?;
        self.read(|snapshot| queries::jobs_page(snapshot, queue, after, limit))
    }

    fn runs(&mut self, job: JobId) -> Result<Vec<Run>, StoreError> {
        self.read(|snapshot| load::runs(snapshot, job))
    }

    fn runs_in(&mut self, period: &RunPeriod) -> Result<Vec<RunSpan>, StoreError> {
        self.read(|snapshot| run_spans::runs_in(snapshot, period))
    }

    fn prune(&mut self, now: DateTime<Utc>) -> Result<PruneReport, StoreError> {
        self.prune_site(now)
    }

    fn new_connection(&self) -> Result<Box<dyn Store>, StoreError> {
        let connection = open::reopen(&self.dir).map_err(|error| self.check_in_place().err().unwrap_or(error))?;
        // Another site may have been created at the same path.
        if connection.identity == self.identity { Ok(Box::new(connection)) } else { Err(self.identity.removed_error()) }
    }

    fn log_reader(&self, run: RunId) -> LogReader {
        LogReader::new(self.dir.logs(), run).stored_in(self.outputs.clone())
    }

    fn save_hook_result(&mut self, run: RunId, result: &HookResult) -> Result<(), StoreError> {
        save_hook_result(&self.dir.logs(), run, result)?;
        self.notifier.notify_others();
        Ok(())
    }

    fn log_writer(&self, run: RunId, limit: u64) -> LogWriter {
        LogWriter::new(self.dir.logs(), run, limit).noting_losses(self.lost_notes.clone())
    }

    fn terminal_inputs(&self) -> TerminalInputPipes {
        TerminalInputPipes::new(self.dir.terminal_inputs())
    }

    fn subscribe(&self, notify: NotifyFn) -> Result<Subscription, StoreError> {
        // Removing a directory removes its files one by one, so the database may still be there.
        let check_removed = |error| if self.dir.listeners().exists() { error } else { self.identity.removed_error() };
        self.notifier.subscribe(notify).map_err(check_removed)
    }
}
