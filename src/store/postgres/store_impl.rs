//! The [`Store`] operations of the `PostgreSQL` backend.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::connection::{Completeness, PostgresStore};
use super::output_upload::{ARTIFACTS_OFFSET, HOOK_RESULT_OFFSET, OutputUploader, extra_output_sql};
use super::site_copy::{SiteRow, events, news_sql, reaches};
use super::sql_text::{json, literal, nanos, number, parsed, required, text};
use super::{leases, listener, output_download};
use crate::model::{
    DueCounts, DuePage, DueRecord, EnvironmentId, EventRecord, ExpectationState, HookResult, Job, JobId, QueueId,
    QueueInfo, Run, RunId, RunPeriod, RunSpan, ScheduleState, ScheduleTarget, SiteState, StateReader, WorkerId,
    WorkerInfo, next_ready_job,
};
use crate::store::backend::{
    OutageListener, PruneReport, Store, TimedCommand, TransactionReport, WorkerLease, WorkerMachines, require_scripts,
};
use crate::store::error::StoreError;
use crate::store::job_folders::{RemoteArtifacts, list_artifacts};
use crate::store::log::{LogReader, LogWriter, record_own, save_hook_result};
use crate::store::notifier::{NotifyFn, Subscription};
use crate::store::reservation_lock::ReservationLock;
use crate::store::site_export::SiteExport;
use crate::store::store_clock::StoreClock;
use crate::store::terminal_input::TerminalInputPipes;

/// How many artifacts of a run other machines see the names of.
const MAX_ANNOUNCED_FILES: usize = 200;

impl Store for PostgresStore {
    fn clock(&self) -> StoreClock {
        self.session.clock().clone()
    }

    fn server_host(&self) -> Option<String> {
        Some(self.session.address().host())
    }

    fn tolerate_outages(&mut self, at_most: Duration, listener: OutageListener) {
        self.session.tolerate_outages(at_most, listener);
    }

    fn transact(&mut self, commands: &[TimedCommand<'_>]) -> Result<TransactionReport, StoreError> {
        require_scripts(commands)?;
        self.run_commands(commands)
    }

    fn reservation_lock(&self) -> Result<Option<ReservationLock>, StoreError> {
        Ok(None)
    }

    fn keep_lease(&self, worker: WorkerId, on_loss: NotifyFn) -> Result<Option<WorkerLease>, StoreError> {
        let clock = self.session.clock().clone();
        leases::keep(self.session.address(), clock, self.site, worker, on_loss).map(Some)
    }

    fn workers_without_lease(&mut self) -> Result<Vec<WorkerId>, StoreError> {
        leases::workers_without(&mut self.session, self.site)
    }

    fn lease_renewals(&mut self) -> Result<Vec<(WorkerId, DateTime<Utc>)>, StoreError> {
        leases::renewals(&mut self.session, self.site)
    }

    fn load(&mut self) -> Result<SiteState, StoreError> {
        self.read(SiteState::to_copy)
    }

    fn events_after(&mut self, seq: u64) -> Result<Option<Vec<EventRecord>>, StoreError> {
        let mut sets = self.session.run_again(&news_sql(self.site, seq))?;
        let failovers = self.session.failovers();
        if std::mem::replace(&mut self.followed_after, failovers) != failovers {
            // The follower may know changes that the server has lost.
            return Ok(None);
        }
        let last = SiteRow::read(&sets.take(0))?.counters.seq;
        let events = events(&sets.take(1))?;
        // A later number is that of another site, or of one that was restored.
        let is_known = seq <= last || !events.is_empty();
        Ok((is_known && reaches(&events, seq, last)).then_some(events))
    }

    fn import(&mut self, content: &SiteExport, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.write_content(content, now)
    }

    fn queues(&mut self) -> Result<Vec<QueueInfo>, StoreError> {
        self.read(|state| StateReader::queues(state).unwrap_or_else(|never| match never {}))
    }

    fn workers(&mut self) -> Result<Vec<WorkerInfo>, StoreError> {
        self.read(|state| state.workers().cloned().collect())
    }

    fn schedules(&mut self) -> Result<Vec<ScheduleState>, StoreError> {
        self.read(|state| state.active_schedules().cloned().collect())
    }

    fn due_records(&mut self, target: &ScheduleTarget, page: &DuePage) -> Result<Vec<DueRecord>, StoreError> {
        self.read(|state| state.due_page(target, page))
    }

    fn due_counts(
        &mut self,
        target: &ScheduleTarget,
        periods: &[Range<DateTime<Utc>>],
    ) -> Result<Vec<DueCounts>, StoreError> {
        self.read(|state| periods.iter().map(|period| state.due_counts(target, period)).collect())
    }

    fn recorded_targets(&mut self) -> Result<Vec<ScheduleTarget>, StoreError> {
        self.read(|state| state.recorded_targets().cloned().collect())
    }

    fn expectations(&mut self) -> Result<Vec<ExpectationState>, StoreError> {
        self.read(|state| state.expectations().cloned().collect())
    }

    fn jobs_run_by(&mut self, worker: WorkerId) -> Result<Vec<Job>, StoreError> {
        self.read(|state| StateReader::jobs_run_by(state, worker).unwrap_or_else(|never| match never {}))
    }

    fn file_version(&mut self) -> Result<Option<String>, StoreError> {
        self.read(|state| state.file_version().map(str::to_owned))
    }

    fn last_seq(&mut self) -> Result<u64, StoreError> {
        self.read(SiteState::seq)
    }

    fn next_ready_job(
        &mut self,
        worker: WorkerId,
        queues: Option<&[QueueId]>,
    ) -> Result<(u64, Option<JobId>), StoreError> {
        self.read(|state| {
            let next = next_ready_job(state, queues, worker).unwrap_or_else(|never| match never {});
            (state.seq(), next.map(|job| job.id))
        })
    }

    fn job(&mut self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.read(|state| state.job(id).or_else(|| Some(state.removed_with_reason(id)?.0)).cloned())
    }

    fn removed_jobs(&mut self) -> Result<Vec<Job>, StoreError> {
        self.read(SiteState::jobs_removed_by_users)
    }

    fn environments_in_use(&mut self) -> Result<BTreeSet<EnvironmentId>, StoreError> {
        self.read(SiteState::environments_in_use)
    }

    fn jobs_page(&mut self, queue: &QueueId, after: Option<&Job>, limit: usize) -> Result<Vec<Job>, StoreError> {
        self.read(|state| state.jobs_page(queue, after, limit))
    }

    fn runs(&mut self, job: JobId) -> Result<Vec<Run>, StoreError> {
        let sql =
            format!("SELECT body, value FROM setlist.runs WHERE site = {} AND job = {} ORDER BY id", self.site, job.0);
        self.read_with(&sql, |state, rows| {
            let run = |row| {
                let mut run: Run = required(row, 0)?;
                if let Some(end) = &mut run.end {
                    end.value = parsed(row, 1)?;
                }
                Ok(run)
            };
            let mut runs = rows.iter().map(run).collect::<Result<Vec<_>, StoreError>>()?;
            let job = state.job(job).or_else(|| Some(state.removed_with_reason(job)?.0));
            runs.extend(job.and_then(Job::last_run_with_value));
            Ok(runs)
        })
    }

    fn runs_in(&mut self, period: &RunPeriod) -> Result<Vec<RunSpan>, StoreError> {
        let (site, from) = (self.site, period.from.map_or(i64::MIN, nanos));
        let of_queue = period.queue.as_ref().map(|queue| format!("AND j.queue = {}", json(queue))).unwrap_or_default();
        let has_started = |until: DateTime<Utc>| {
            format!("AND (r.body::json->>'started')::timestamptz < {}", literal(&until.to_rfc3339()))
        };
        let before = period.until.map(has_started).unwrap_or_default();
        // A run that is not the last of its job has ended.
        let sql = format!(
            "SELECT r.job, r.body FROM setlist.runs r \
             JOIN setlist.jobs j ON j.site = r.site AND j.id = r.job AND j.removed IS NULL {of_queue} \
             WHERE r.site = {site} AND r.ended >= {from} {before} ORDER BY r.id DESC LIMIT {}",
            period.limit
        );
        self.read_with(&sql, |state, rows| {
            let span = |row| Ok(RunSpan::new(required(row, 0)?, &required(row, 1)?));
            let earlier = rows.iter().map(span).collect::<Result<Vec<_>, StoreError>>()?;
            let is_wanted = |job: &&Job| period.queue.as_ref().is_none_or(|queue| job.queue == *queue);
            let latest = state.jobs().filter(is_wanted).filter_map(RunSpan::latest);
            Ok(period.select(earlier.into_iter().chain(latest)))
        })
    }

    fn prune(&mut self, now: DateTime<Utc>) -> Result<PruneReport, StoreError> {
        self.prune_site(now)
    }

    fn new_connection(&self) -> Result<Box<dyn Store>, StoreError> {
        let clock = self.session.clock().clone();
        Ok(Box::new(Self::open_with_clock(self.session.address(), &self.local, clock, Completeness::Required)?))
    }

    fn log_reader(&self, run: RunId) -> LogReader {
        output_download::reader(self.session.address(), self.session.clock(), self.site, &self.local.logs(), run)
    }

    fn save_hook_result(&mut self, run: RunId, result: &HookResult) -> Result<(), StoreError> {
        save_hook_result(&self.local.logs(), run, result)?;
        let stored = extra_output_sql(self.site, run, HOOK_RESULT_OFFSET, result);
        self.session.run_again(&format!("{stored}; NOTIFY setlist_{}, '0 {}'", self.site, self.client)).map(drop)
    }

    fn worker_machines(&mut self, workers: &[WorkerId]) -> Result<WorkerMachines, StoreError> {
        if workers.is_empty() {
            return Ok(WorkerMachines::new());
        }
        let ids = workers.iter().map(|worker| worker.0.to_string()).collect::<Vec<_>>().join(", ");
        let sql =
            format!("SELECT id, machine FROM setlist.worker_machines WHERE site = {} AND id IN ({ids})", self.site);
        let rows = self.session.run_again(&sql)?.take(0);
        rows.iter().map(|row| Ok((WorkerId(number(row, 0)?), text(row, 1)?.unwrap_or_default().to_owned()))).collect()
    }

    fn announce_artifacts(&mut self, run: RunId, machine: &str) -> Result<(), StoreError> {
        let folder = self.local.artifacts_of(run);
        let mut list = list_artifacts(&folder);
        if list.count == 0 {
            return Ok(());
        }
        list.files.truncate(MAX_ANNOUNCED_FILES);
        for (path, _) in &mut list.files {
            *path = path.to_string_lossy().into_owned().into();
        }
        let folder = folder.to_string_lossy().into_owned();
        let announced = RemoteArtifacts { machine: machine.to_owned(), folder, list };
        self.session.run_again(&extra_output_sql(self.site, run, ARTIFACTS_OFFSET, &announced)).map(drop)
    }

    fn announced_artifacts(&mut self, runs: &[RunId]) -> Result<BTreeMap<RunId, RemoteArtifacts>, StoreError> {
        if runs.is_empty() {
            return Ok(BTreeMap::new());
        }
        let ids = runs.iter().map(|run| run.0.to_string()).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT run, convert_from(bytes, 'UTF8') FROM setlist.output \
             WHERE site = {} AND run IN ({ids}) AND at_offset = {ARTIFACTS_OFFSET}",
            self.site
        );
        let rows = self.session.run_again(&sql)?.take(0);
        rows.iter().map(|row| Ok((RunId(number(row, 0)?), required(row, 1)?))).collect()
    }

    fn log_writer(&self, run: RunId, limit: u64) -> LogWriter {
        let logs = self.local.logs();
        if let Err(error) = record_own(&logs, run) {
            // It would be fetched into its own log.
            tracing::warn!(%error, %run, "the output of a run is not sent to the server");
            return LogWriter::new(logs, run, limit);
        }
        let start = || OutputUploader::start(self.session.address(), self.session.clock().clone(), self.site);
        let uploader = self.uploader.get_or_init(|| {
            start().inspect_err(|error| tracing::warn!(%error, "output is not sent to the server")).ok()
        });
        let writer = LogWriter::new(logs.clone(), run, limit);
        match uploader {
            Some(uploader) => writer.with_progress(uploader.follow(run, LogReader::new(logs, run), limit)),
            None => writer,
        }
    }

    fn terminal_inputs(&self) -> TerminalInputPipes {
        TerminalInputPipes::new(self.local.terminal_inputs()).forwarded_by(self.terminals.callback())
    }

    fn subscribe(&self, notify: NotifyFn) -> Result<Subscription, StoreError> {
        listener::subscribe(self.session.address(), &format!("setlist_{}", self.site), &self.client, notify)
    }
}
