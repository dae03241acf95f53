//! The [`Store`] operations of the `PostgreSQL` backend.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::connection::{Completeness, PostgresStore};
use super::output_upload::{ARTIFACTS_OFFSET, HOOK_RESULT_OFFSET, OutputSpool, OutputUploader, extra_output_sql};
use super::site_frame::{SiteHead, column, events, events_sql, head_sql, reaches};
use super::sql_text::{json, literal, nanos, number, parsed, required, text};
use super::{leases, listener, output_download};
use crate::model::{
    DueCounts, DuePage, DueRecord, EnvironmentId, EventRecord, ExpectationState, HookResult, Job, JobId, QueueId,
    QueueInfo, RemovalReason, Run, RunId, RunPeriod, RunSpan, ScheduleState, ScheduleTarget, SiteState, Snapshot,
    StateReader, WorkerId, WorkerInfo, next_ready_job,
};
use crate::store::backend::{
    JobListPage, JobName, ListPosition, OutageListener, PruneReport, SiteOverview, Store, TimedCommand,
    TransactionReport, WorkerMachines, require_scripts,
};
use crate::store::error::StoreError;
use crate::store::job_folders::{RemoteArtifacts, list_artifacts};
use crate::store::log::{LogReader, LogWriter, record_own, save_hook_result};
use crate::store::notifier::{NotifyFn, Subscription};
use crate::store::reservation_lock::ReservationLock;
use crate::store::site_export::SiteExport;
use crate::store::store_clock::StoreClock;
use crate::store::terminal_input::TerminalInputPipes;
use crate::store::worker_lease::WorkerLease;

/// How many jobs are read at once by what looks at all of some kind.
const JOBS_AT_ONCE: usize = 5_000;

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
        self.load_all()
    }

    fn load_part(&mut self, wanted: &[JobName<'_>]) -> Result<SiteState, StoreError> {
        self.part(wanted)
    }

    fn job_names(&mut self) -> Result<Vec<(QueueId, String, String)>, StoreError> {
        let sql = format!(
            "SELECT body FROM setlist.jobs WHERE site = {} AND name IS NOT NULL AND removed IS NULL",
            self.site
        );
        let jobs: Vec<Job> = column(&self.session.run_again(&sql)?.take(0))?;
        let named = |job: Job| Some((job.queue.clone(), job.name()?.to_owned(), job.title().to_owned()));
        Ok(jobs.into_iter().filter_map(named).collect())
    }

    fn load_overview(&mut self) -> Result<SiteOverview, StoreError> {
        self.overview()
    }

    fn list_page(&mut self, queues: &[QueueId], from: &ListPosition, limit: usize) -> Result<JobListPage, StoreError> {
        self.page(queues, from, limit)
    }

    fn load_first_rows(&mut self, queue: Option<&QueueId>, min_jobs: usize) -> Result<Option<SiteState>, StoreError> {
        self.first_rows(queue, min_jobs)
    }

    fn job_tags(&mut self) -> Result<BTreeSet<String>, StoreError> {
        let (mut tags, mut last) = (BTreeSet::new(), JobId::default());
        loop {
            // The server can't read all JSON that is stored in it.
            let sql = format!(
                "SELECT body FROM setlist.jobs WHERE site = {} AND id > {} AND flags & 128 != 0 AND removed IS NULL \
                 ORDER BY id LIMIT {JOBS_AT_ONCE}",
                self.site, last.0
            );
            let jobs: Vec<Job> = column(&self.session.run_again(&sql)?.take(0))?;
            let Some(job) = jobs.last() else { return Ok(tags) };
            last = job.id;
            tags.extend(jobs.into_iter().flat_map(|job| job.definition.tags.clone()));
        }
    }

    fn events_after(&mut self, seq: u64) -> Result<Option<Vec<EventRecord>>, StoreError> {
        // In this order: events that are added in between are not missed.
        let sql = format!("{}; {}", head_sql(self.site), events_sql(self.site, seq));
        let mut sets = self.session.run_again(&sql)?;
        let failovers = self.session.failovers();
        if std::mem::replace(&mut self.followed_after, failovers) != failovers {
            // The follower may know changes that the server has lost.
            return Ok(None);
        }
        let head = SiteHead::read(&sets.take(0))?;
        self.session.clock().set(head.now);
        let last = head.counters.seq;
        let events = events(&sets.take(1))?;
        // A later number is that of another site, or of one that was restored.
        let is_known = seq <= last || !events.is_empty();
        Ok((is_known && reaches(&events, seq, last)).then_some(events))
    }

    fn import(&mut self, content: &SiteExport, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.write_content(content, now)
    }

    fn queues(&mut self) -> Result<Vec<QueueInfo>, StoreError> {
        self.read(&[], |site| StateReader::queues(site))
    }

    fn workers(&mut self) -> Result<Vec<WorkerInfo>, StoreError> {
        self.read(&[], |site| StateReader::workers(site))
    }

    fn schedules(&mut self) -> Result<Vec<ScheduleState>, StoreError> {
        self.read(&[], |site| StateReader::schedules(site))
    }

    fn due_records(&mut self, target: &ScheduleTarget, page: &DuePage) -> Result<Vec<DueRecord>, StoreError> {
        let since = page.since.map(|since| format!("AND due >= {}", nanos(since))).unwrap_or_default();
        let before = page.before.map(|before| format!("AND due < {}", nanos(before))).unwrap_or_default();
        let order = if page.oldest_first { "" } else { "DESC" };
        let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT body FROM setlist.due_times WHERE site = {} AND target = {} {since} {before} \
             ORDER BY due {order} LIMIT {limit}",
            self.site,
            json(target)
        );
        column(&self.session.run_again(&sql)?.take(0))
    }

    fn due_counts(
        &mut self,
        target: &ScheduleTarget,
        periods: &[Range<DateTime<Utc>>],
    ) -> Result<Vec<DueCounts>, StoreError> {
        let (Some(from), Some(to)) =
            (periods.iter().map(|period| period.start).min(), periods.iter().map(|period| period.end).max())
        else {
            return Ok(Vec::new());
        };
        // At most so many as are kept of each schedule.
        let sql = format!(
            "SELECT body FROM setlist.due_times WHERE site = {} AND target = {} AND due >= {} AND due < {} ORDER BY due",
            self.site,
            json(target),
            nanos(from),
            nanos(to)
        );
        let records: Vec<DueRecord> = column(&self.session.run_again(&sql)?.take(0))?;
        let mut state = SiteState::default();
        state.add_due_records(target, records);
        Ok(periods.iter().map(|period| state.due_counts(target, period)).collect())
    }

    fn recorded_targets(&mut self) -> Result<Vec<ScheduleTarget>, StoreError> {
        let sql = format!("SELECT DISTINCT target FROM setlist.due_times WHERE site = {}", self.site);
        let mut targets: Vec<ScheduleTarget> = column(&self.session.run_again(&sql)?.take(0))?;
        targets.sort();
        Ok(targets)
    }

    fn expectations(&mut self) -> Result<Vec<ExpectationState>, StoreError> {
        self.read(&[], |site| StateReader::expectations(site))
    }

    fn jobs_run_by(&mut self, worker: WorkerId) -> Result<Vec<Job>, StoreError> {
        self.read(&[], |site| StateReader::jobs_run_by(site, worker))
    }

    fn file_version(&mut self) -> Result<Option<String>, StoreError> {
        Ok(self.head()?.file.0)
    }

    fn last_seq(&mut self) -> Result<u64, StoreError> {
        Ok(self.head()?.counters.seq)
    }

    fn next_ready_job(
        &mut self,
        worker: WorkerId,
        queues: Option<&[QueueId]>,
    ) -> Result<(u64, Option<JobId>), StoreError> {
        self.read(&[], |site| Ok((site.seq_before, next_ready_job(site, queues, worker)?.map(|job| job.id))))
    }

    fn job(&mut self, id: JobId) -> Result<Option<Job>, StoreError> {
        let sql = format!("SELECT body FROM setlist.jobs WHERE site = {} AND id = {}", self.site, id.0);
        self.session.run_again(&sql)?.take(0).first().map(|row| required(row, 0)).transpose()
    }

    fn removal_reason(&mut self, id: JobId) -> Result<Option<RemovalReason>, StoreError> {
        let sql = format!("SELECT removed FROM setlist.jobs WHERE site = {} AND id = {}", self.site, id.0);
        Ok(self.session.run_again(&sql)?.take(0).first().map(|row| parsed(row, 0)).transpose()?.flatten())
    }

    fn removed_jobs(&mut self) -> Result<Vec<Job>, StoreError> {
        let sql = format!(
            "SELECT body FROM setlist.jobs WHERE site = {} AND removed IS NOT NULL AND removed = {} ORDER BY id",
            self.site,
            json(&RemovalReason::User)
        );
        column(&self.session.run_again(&sql)?.take(0))
    }

    fn environments_in_use(&mut self) -> Result<BTreeSet<EnvironmentId>, StoreError> {
        let site = self.site;
        let sql = format!(
            "SELECT DISTINCT environment FROM setlist.jobs WHERE site = {site} AND environment IS NOT NULL AND state > 0 \
             UNION SELECT environment FROM setlist.queues WHERE site = {site} AND environment IS NOT NULL"
        );
        Ok(column(&self.session.run_again(&sql)?.take(0))?.into_iter().collect())
    }

    fn snapshots_in_use(&mut self) -> Result<Vec<Snapshot>, StoreError> {
        let site = self.site;
        let names_any = r#"(body LIKE '%"$snapshot":{%' OR body LIKE '%"snapshot":{%')"#;
        let sql = format!(
            "SELECT body FROM setlist.jobs WHERE site = {site} AND {names_any}; \
             SELECT body FROM setlist.runs WHERE site = {site} AND {names_any}"
        );
        let mut answer = self.session.run_again(&sql)?;
        let (jobs, runs): (Vec<Job>, Vec<Run>) = (column(&answer.take(0))?, column(&answer.take(1))?);
        let of_queues = self.queues()?.into_iter().filter_map(|queue| queue.inputs?.snapshot.as_deref().cloned());
        let of_jobs = jobs.iter().flat_map(Job::recorded_snapshots);
        Ok(of_jobs.chain(runs.iter().filter_map(Run::snapshot)).cloned().chain(of_queues).collect())
    }

    fn jobs_page(&mut self, queue: &QueueId, after: Option<&Job>, limit: usize) -> Result<Vec<Job>, StoreError> {
        let after =
            after.map(|job| format!("AND (position, id) > ({}, {})", job.position, job.id.0)).unwrap_or_default();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT body FROM setlist.jobs WHERE site = {} AND queue = {} AND removed IS NULL {after} \
             ORDER BY position, id LIMIT {limit}",
            self.site,
            json(queue)
        );
        column(&self.session.run_again(&sql)?.take(0))
    }

    fn runs(&mut self, job: JobId) -> Result<Vec<Run>, StoreError> {
        let (site, id) = (self.site, job.0);
        let earlier = format!("SELECT body, value FROM setlist.runs WHERE site = {site} AND job = {id} ORDER BY id");
        let last = format!("SELECT body FROM setlist.jobs WHERE site = {site} AND id = {id}");
        let rows = self.rows(&[earlier, last])?;
        let run = |row| {
            let mut run: Run = required(row, 0)?;
            if let Some(end) = &mut run.end {
                end.value = parsed(row, 1)?;
            }
            Ok(run)
        };
        let mut runs = rows[0].iter().map(run).collect::<Result<Vec<_>, StoreError>>()?;
        let job: Option<Job> = rows[1].first().map(|row| required(row, 0)).transpose()?;
        runs.extend(job.as_ref().and_then(Job::last_run_with_value));
        Ok(runs)
    }

    fn runs_in(&mut self, period: &RunPeriod) -> Result<Vec<RunSpan>, StoreError> {
        let (site, from) = (self.site, period.from.map_or(i64::MIN, nanos));
        let of_queue = period.queue.as_ref().map(|queue| format!("AND j.queue = {}", json(queue))).unwrap_or_default();
        let has_started = |until: DateTime<Utc>| {
            format!("AND (r.body::json->>'started')::timestamptz < {}", literal(&until.to_rfc3339()))
        };
        let before = period.until.map(has_started).unwrap_or_default();
        // A run that is not the last of its job has ended.
        let earlier = format!(
            "SELECT r.job, r.body FROM setlist.runs r \
             JOIN setlist.jobs j ON j.site = r.site AND j.id = r.job AND j.removed IS NULL {of_queue} \
             WHERE r.site = {site} AND r.ended >= {from} {before} ORDER BY r.id DESC LIMIT {}",
            period.limit
        );
        // A job that is not running has settled when its last run ended, or later.
        let before = period.until.map(|until| format!("AND j.started < {}", nanos(until))).unwrap_or_default();
        let last = format!(
            "SELECT j.body FROM setlist.jobs j WHERE j.site = {site} {of_queue} AND j.run > 0 AND j.removed IS NULL {before} \
             AND (j.ended IS NULL OR j.ended >= {from}) ORDER BY j.run DESC LIMIT {}",
            period.limit
        );
        let rows = self.rows(&[earlier, last])?;
        let span = |row| Ok(RunSpan::new(required(row, 0)?, &required(row, 1)?));
        let earlier = rows[0].iter().map(span).collect::<Result<Vec<_>, StoreError>>()?;
        let last: Vec<Job> = column(&rows[1])?;
        Ok(period.select(earlier.into_iter().chain(last.iter().filter_map(RunSpan::latest))))
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
        let spool = || OutputSpool { logs: logs.clone(), lost_notes: self.lost_notes.clone() };
        let start = || OutputUploader::start(self.session.address(), self.session.clock().clone(), self.site, spool());
        let uploader = self.uploader.get_or_init(|| {
            start().inspect_err(|error| tracing::warn!(%error, "output is not sent to the server")).ok()
        });
        let writer = LogWriter::new(logs.clone(), run, limit).noting_losses(self.lost_notes.clone());
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
