//! The queries of decisions, answered from what a transaction knows, and from the database.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use postgres::SimpleQueryRow;

use super::fetch::{NextKind, SiteFetch, id_list, in_file, in_phase, run_by};
use super::job_columns::{has_phase, readiness_code, settled};
use super::known_part::{KnownUntil, pending_key};
use super::partial_site::PartialSite;
use super::sql_text::{json, nanos, number, required};
use crate::model::{
    Dependent, DueOutcome, ExpectationState, FileJob, FinishedJob, Job, JobId, JobRef, JobState, LabelSet, NeedCounts,
    NeededJob, Outcome, Phase, PoolSizes, QueueId, QueueInfo, Readiness, RunId, ScheduleState, ScheduleTarget,
    SiteState, StateReader, WorkerId, WorkerInfo,
};
use crate::store::error::StoreError;

/// How many jobs of a list of needs are read at once.
const NEEDS_AT_ONCE: usize = 500;
/// How many next jobs of a queue are read at least.
const MIN_NEXT_JOBS: usize = 8;

/// What jobs are ordered by: two numbers, then their own.
type OrderKey = (i64, i64, JobId);

/// What the known part answers.
fn known<T>(result: Result<T, std::convert::Infallible>) -> T {
    result.unwrap_or_else(|never| match never {})
}

impl PartialSite<'_> {
    /// Asks the known part, in which nothing is missing.
    #[expect(clippy::unnecessary_wraps, reason = "it is the answer of a query")]
    fn ask<T>(&self, ask: impl FnOnce(&SiteState) -> Result<T, std::convert::Infallible>) -> Result<T, StoreError> {
        Ok(known(ask(&self.known().state)))
    }

    /// The rows that a statement finds by two numbers and the id, without those of known jobs.
    fn unknown_keys(&self, columns: &str, condition: &str) -> Result<Vec<OrderKey>, StoreError> {
        let sql = format!("SELECT {columns}, j.id FROM setlist.jobs j WHERE j.site = {} AND {condition}", self.site);
        let rows = self.rows(&sql)?;
        let known = self.known();
        let keys = rows.iter().map(|row| Ok((number(row, 0)?, number(row, 1)?, JobId(number(row, 2)?))));
        keys.filter(|key| key.as_ref().map_or(true, |(.., id)| !known.is_stored(*id))).collect()
    }

    /// The condition that leaves out known jobs, if there are any.
    fn except_known(&self) -> String {
        let known = id_list(self.known().stored_ids());
        if known.is_empty() { known } else { format!("AND id NOT IN ({known})") }
    }

    /// The ids of these jobs together with those of known jobs, in order.
    fn merged(&self, mut unknown: Vec<OrderKey>, add: impl FnOnce(&SiteState, &mut Vec<OrderKey>)) -> Vec<JobId> {
        add(&self.known().state, &mut unknown);
        unknown.sort_unstable();
        unknown.into_iter().map(|(.., id)| id).collect()
    }

    fn next_within(
        &self,
        kind: &NextKind,
        readiness: Readiness,
        most: usize,
        excluded: &[LabelSet],
    ) -> Result<Vec<Job>, KnownOnly> {
        let known_part = self.known();
        let until = known_part.next_until(kind, readiness);
        let Some(until) = until else { return Err(KnownOnly::Nothing) };
        let mut jobs = known(StateReader::next_jobs(&known_part.state, &kind.queue, readiness, most, excluded));
        match until {
            KnownUntil::End => Ok(jobs),
            KnownUntil::Key(key) => {
                let within = jobs.iter().take_while(|job| pending_key(job) <= key).count();
                jobs.truncate(within);
                if within == most { Ok(jobs) } else { Err(KnownOnly::Until(key)) }
            }
        }
    }
}

/// How far next jobs are known, which is not enough.
enum KnownOnly {
    Nothing,
    Until(OrderKey),
}

impl StateReader for PartialSite<'_> {
    type Error = StoreError;

    fn file_version(&self) -> Result<Option<String>, StoreError> {
        self.ask(StateReader::file_version)
    }

    fn queues(&self) -> Result<Vec<QueueInfo>, StoreError> {
        self.ask(StateReader::queues)
    }

    fn queue(&self, id: &QueueId) -> Result<Option<QueueInfo>, StoreError> {
        self.ask(|state| StateReader::queue(state, id))
    }

    fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.ensure_jobs([id])?;
        let job = self.ask(|state| StateReader::job(state, id))?;
        self.note_needs(job.as_ref());
        Ok(job)
    }

    fn removed_job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.ensure_jobs([id])?;
        self.ask(|state| StateReader::removed_job(state, id))
    }

    fn file_jobs(&self, queue: &QueueId) -> Result<Vec<FileJob>, StoreError> {
        self.ensure_matching(in_file(queue))?;
        self.ask(|state| StateReader::file_jobs(state, queue))
    }

    fn jobs_in_phase(&self, queue: &QueueId, phase: Phase) -> Result<Vec<JobId>, StoreError> {
        if self.known().rest(queue).in_phase(phase) == 0 {
            return self.ask(|state| StateReader::jobs_in_phase(state, queue, phase));
        }
        let columns = match phase {
            Phase::Pending => "j.rank, j.position",
            Phase::Running => "j.started, j.run",
            Phase::Finished => "j.settled, j.run",
        };
        let unknown = self.unknown_keys(columns, &format!("j.queue = {} AND {}", json(queue), in_phase(phase)))?;
        let run = |job: &Job| job.last_run.as_ref().map_or((0, 0), |run| (nanos(run.started), run.id.0.cast_signed()));
        Ok(self.merged(unknown, |state, keys| {
            let ids = state.queue(queue).into_iter().flat_map(|queue| queue.jobs_in(phase));
            keys.extend(ids.filter_map(|id| state.job(*id)).map(|job| match phase {
                Phase::Pending => pending_key(job),
                Phase::Running => (run(job).0, run(job).1, job.id),
                Phase::Finished => (settled(job), run(job).1, job.id),
            }));
        }))
    }

    fn pending_positions(&self, queue: &QueueId, priority: i32) -> Result<Vec<(i64, JobId)>, StoreError> {
        let rank = -i64::from(priority);
        let condition = format!("j.queue = {} AND j.rank = {rank} AND {}", json(queue), in_phase(Phase::Pending));
        let mut positions: Vec<(i64, JobId)> = self
            .unknown_keys("j.position, 0", &condition)?
            .into_iter()
            .map(|(position, _, id)| (position, id))
            .collect();
        positions.extend(self.ask(|state| StateReader::pending_positions(state, queue, priority))?);
        positions.sort_unstable();
        Ok(positions)
    }

    fn adjacent_position(
        &self,
        job: &Job,
        is_before: bool,
        skipped: &BTreeSet<JobId>,
    ) -> Result<Option<i64>, StoreError> {
        let among_known = self.ask(|state| StateReader::adjacent_position(state, job, is_before, skipped))?;
        let mut unknown = Vec::new();
        if self.known().rest(&job.queue).in_phase(Phase::Pending) > 0 {
            // Skipped jobs are known.
            let limit = self.known().stored_ids().count().saturating_add(1);
            let (order, direction) = if is_before { ("<", "DESC") } else { (">", "ASC") };
            let condition = format!(
                "j.queue = {} AND j.rank = {} AND {} AND (j.position, j.id) {order} ({}, {}) \
                 ORDER BY j.position {direction}, j.id {direction} LIMIT {limit}",
                json(&job.queue),
                -i64::from(job.definition.scheduling.priority),
                in_phase(Phase::Pending),
                job.position,
                job.id.0,
            );
            unknown = self.unknown_keys("j.position, 0", &condition)?;
        }
        let among_unknown = unknown.first().map(|(position, ..)| *position);
        let both = among_known.into_iter().chain(among_unknown);
        Ok(if is_before { both.max() } else { both.min() })
    }

    fn resolve(&self, target: &JobRef) -> Result<Option<JobId>, StoreError> {
        match target {
            JobRef::Number(id) => self.ensure_jobs([*id])?,
            JobRef::Named(queue, name) => {
                let name = (queue.clone(), name.to_string());
                if !self.known().has_name(&name) && !self.known().has_condition(&in_file(queue)) {
                    self.fetch(&[SiteFetch::Names(vec![name])])?;
                }
            }
        }
        self.ask(|state| StateReader::resolve(state, target))
    }

    fn needed_job(&self, id: JobId) -> Result<Option<NeededJob>, StoreError> {
        if !self.known().knows(id) {
            let needs = self.known().last_needs.clone();
            let from = needs.iter().position(|need| *need == id);
            let chunk = from.map(|from| needs.iter().copied().skip(from).take(NEEDS_AT_ONCE)).into_iter().flatten();
            self.ensure_jobs(chunk.chain([id]))?;
        }
        self.ask(|state| StateReader::needed_job(state, id))
    }

    fn need_counts(&self, job: JobId) -> Result<NeedCounts, StoreError> {
        if self.known().counts(job).is_none() {
            self.ensure_jobs([job])?;
        }
        Ok(self.known().counts(job).unwrap_or_default())
    }

    fn dependents(&self, job: JobId) -> Result<Vec<Dependent>, StoreError> {
        self.ensure_dependents([job])?;
        self.ensure_changing(job)?;
        Ok(self.known().dependents_of(job))
    }

    fn next_jobs(
        &self,
        queue: &QueueId,
        readiness: Readiness,
        most: usize,
        excluded: &[LabelSet],
    ) -> Result<Vec<Job>, StoreError> {
        let plain = NextKind { queue: queue.clone(), code: readiness_code(readiness), excluded: Vec::new() };
        if let Ok(jobs) = self.next_within(&plain, readiness, most, excluded) {
            self.note_needs(jobs.first());
            return Ok(jobs);
        }
        let kind = NextKind { excluded: excluded.to_vec(), ..plain };
        let mut limit = MIN_NEXT_JOBS.max(most.saturating_mul(2).min(10_000));
        loop {
            let after = match self.next_within(&kind, readiness, most, excluded) {
                Ok(jobs) => {
                    self.note_needs(jobs.first());
                    return Ok(jobs);
                }
                Err(KnownOnly::Nothing) => None,
                Err(KnownOnly::Until(key)) => Some(key),
            };
            self.fetch(&[SiteFetch::Next { kind: kind.clone(), after, limit }])?;
            limit = limit.saturating_mul(2).min(10_000);
        }
    }

    fn blocked_jobs(&self, queue: &QueueId, most: usize) -> Result<Vec<JobId>, StoreError> {
        let mut unknown = Vec::new();
        if self.known().rest(queue).with(Readiness::Blocked) > 0 {
            let known = self.known().stored_ids().count();
            let limit = i64::try_from(most.saturating_add(known)).unwrap_or(i64::MAX);
            let condition = format!(
                "j.queue = {} AND j.state = 8 AND j.state >= 4 AND j.removed IS NULL \
                 ORDER BY j.rank, j.position, j.id LIMIT {limit}",
                json(queue)
            );
            unknown = self.unknown_keys("j.rank, j.position", &condition)?;
        }
        let mut ids = self.merged(unknown, |state, keys| {
            let blocked = known(StateReader::blocked_jobs(state, queue, usize::MAX));
            keys.extend(blocked.iter().filter_map(|id| state.job(*id)).map(pending_key));
        });
        ids.truncate(most);
        Ok(ids)
    }

    fn blocked_by_failure(&self, queue: &QueueId) -> Result<Vec<JobId>, StoreError> {
        let mut unknown = Vec::new();
        if self.known().rest(queue).with(Readiness::Blocked) > 0 {
            // Those of which the counts have changed are read.
            let changed: Vec<JobId> = self.known().count_changes().map(|(id, _)| id).collect();
            self.ensure_jobs(changed)?;
            let condition =
                format!("j.queue = {} AND j.state = 8 AND j.removed IS NULL AND j.failed_needs > 0", json(queue));
            unknown = self.unknown_keys("j.rank, j.position", &condition)?;
        }
        Ok(self.merged(unknown, |state, keys| {
            let known_part = self.known();
            let has_failed = |id: &JobId| known_part.counts(*id).is_some_and(|counts| counts.failed > 0);
            let blocked = known(StateReader::blocked_jobs(state, queue, usize::MAX));
            keys.extend(blocked.iter().filter(|id| has_failed(id)).filter_map(|id| state.job(*id)).map(pending_key));
        }))
    }

    fn used_slots(&self, queue: &QueueId) -> Result<u32, StoreError> {
        let rest = u32::try_from(self.known().rest(queue).used.max(0)).unwrap_or(u32::MAX);
        Ok(rest.saturating_add(self.ask(|state| StateReader::used_slots(state, queue))?))
    }

    fn has_unblocked_jobs(&self, queue: &QueueId) -> Result<bool, StoreError> {
        let is_elsewhere = self.known().rest(queue).has_unblocked();
        Ok(is_elsewhere || self.ask(|state| StateReader::has_unblocked_jobs(state, queue))?)
    }

    fn due_jobs(&self, now: DateTime<Utc>) -> Result<Vec<JobId>, StoreError> {
        let mut unknown = Vec::new();
        if self.known().any_scheduled() {
            let condition = format!("j.state IN (6, 7) AND j.removed IS NULL AND j.until <= {}", nanos(now));
            unknown = self.unknown_keys("j.until, 0", &condition)?;
        }
        Ok(self.merged(unknown, |state, keys| {
            let due = known(StateReader::due_jobs(state, now));
            keys.extend(due.iter().filter_map(|id| Some((until(state.job(*id)?)?, 0, *id))));
        }))
    }

    fn next_due_time(&self, queue: &QueueId, requested_only: bool) -> Result<Option<DateTime<Utc>>, StoreError> {
        let mut due = self.ask(|state| StateReader::next_due_time(state, queue, requested_only))?;
        if self.known().rest(queue).scheduled > 0 {
            let codes = if requested_only { "6" } else { "6, 7" };
            let unknown = self.except_known();
            let sql = format!(
                "SELECT min(until) FROM setlist.jobs WHERE site = {} AND queue = {} AND state IN ({codes}) AND state >= 4 \
                 AND removed IS NULL {unknown}",
                self.site,
                json(queue)
            );
            due = due.into_iter().chain(self.one_number(&sql)?.map(DateTime::from_timestamp_nanos)).min();
        }
        Ok(due)
    }

    fn finished_not_in_file_before(&self, queue: &QueueId, before: DateTime<Utc>) -> Result<Vec<JobId>, StoreError> {
        let condition = format!(
            "j.queue = {} AND j.settled < {} AND j.flags & 16 = 0 AND {}",
            json(queue),
            nanos(before),
            in_phase(Phase::Finished)
        );
        let unknown = self.unknown_keys("j.settled, j.run", &condition)?;
        Ok(self.merged(unknown, |state, keys| {
            let finished = known(StateReader::finished_not_in_file_before(state, queue, before));
            let run = |job: &Job| job.last_run.as_ref().map_or(0, |run| run.id.0.cast_signed());
            keys.extend(finished.iter().filter_map(|id| state.job(*id)).map(|job| (settled(job), run(job), job.id)));
        }))
    }

    fn last_position(&self, queue: &QueueId) -> Result<i64, StoreError> {
        if let Some(last) = self.known().last_position(queue) {
            return Ok(last);
        }
        if self.seq_before > 0 {
            self.fetch(&[SiteFetch::LastOf(queue.clone())])?;
        }
        if let Some(last) = self.known().last_position(queue) {
            return Ok(last);
        }
        // The last one has moved.
        let unknown = self.except_known();
        let sql = format!(
            "SELECT max(position) FROM setlist.jobs WHERE site = {} AND queue = {} {unknown}",
            self.site,
            json(queue)
        );
        let elsewhere = self.one_number(&sql)?;
        Ok(elsewhere.max(self.known().state.highest_position(queue)).unwrap_or(0))
    }

    fn next_job_id(&self) -> Result<JobId, StoreError> {
        self.ask(StateReader::next_job_id)
    }

    fn next_run_id(&self) -> Result<RunId, StoreError> {
        self.ask(StateReader::next_run_id)
    }

    fn next_worker_id(&self) -> Result<WorkerId, StoreError> {
        self.ask(StateReader::next_worker_id)
    }

    fn worker(&self, id: WorkerId) -> Result<Option<WorkerInfo>, StoreError> {
        self.ask(|state| StateReader::worker(state, id))
    }

    fn workers(&self) -> Result<Vec<WorkerInfo>, StoreError> {
        self.ask(StateReader::workers)
    }

    fn reserved_jobs(&self) -> Result<Vec<JobId>, StoreError> {
        self.ask(StateReader::reserved_jobs)
    }

    fn pools(&self) -> Result<PoolSizes, StoreError> {
        self.ask(StateReader::pools)
    }

    fn pool_holders(&self) -> Result<Vec<Job>, StoreError> {
        self.ensure_matching("j.flags & 64 != 0 AND j.removed IS NULL".to_owned())?;
        self.ask(StateReader::pool_holders)
    }

    fn unfinished_with_key(&self, key: &str) -> Result<Option<JobId>, StoreError> {
        if !self.known().has_key(key) {
            self.fetch(&[SiteFetch::UniqueKeys(vec![key.to_owned()])])?;
        }
        self.ask(|state| StateReader::unfinished_with_key(state, key))
    }

    fn schedules(&self) -> Result<Vec<ScheduleState>, StoreError> {
        self.ask(StateReader::schedules)
    }

    fn schedule(&self, target: &ScheduleTarget) -> Result<Option<ScheduleState>, StoreError> {
        self.ask(|state| StateReader::schedule(state, target))
    }

    fn schedules_with_run(&self) -> Result<Vec<ScheduleState>, StoreError> {
        self.ask(StateReader::schedules_with_run)
    }

    fn unsuccessful_since(
        &self,
        queue: &QueueId,
        since: DateTime<Utc>,
    ) -> Result<Vec<(JobId, DueOutcome)>, StoreError> {
        self.ensure_matching(format!(
            "j.queue = {} AND j.settled >= {} AND j.outcome != {} AND {}",
            json(queue),
            nanos(since),
            json(&Outcome::Succeeded),
            in_phase(Phase::Finished)
        ))?;
        self.ask(|state| StateReader::unsuccessful_since(state, queue, since))
    }

    fn expectations(&self) -> Result<Vec<ExpectationState>, StoreError> {
        self.ask(StateReader::expectations)
    }

    fn finished_jobs(&self, queue: &QueueId) -> Result<Vec<FinishedJob>, StoreError> {
        let sql = format!(
            "SELECT id, outcome, settled, run FROM setlist.jobs WHERE site = {} AND queue = {} AND {} AND removed IS NULL",
            self.site,
            json(queue),
            has_phase(Phase::Finished)
        );
        let rows = self.rows(&sql)?;
        let known_part = self.known();
        let is_unknown = |row: &&SimpleQueryRow| number(row, 0).is_ok_and(|id| !known_part.is_stored(JobId(id)));
        let read = |row: &SimpleQueryRow| {
            let at = DateTime::from_timestamp_nanos(number(row, 2)?);
            Ok((number::<i64>(row, 3)?, (JobId(number(row, 0)?), required(row, 1)?, at)))
        };
        let mut finished =
            rows.iter().filter(is_unknown).map(read).collect::<Result<Vec<(i64, FinishedJob)>, StoreError>>()?;
        let run = |id: JobId| {
            let job = known_part.state.job(id);
            job.and_then(|job| job.last_run.as_ref()).map_or(0, |run| run.id.0.cast_signed())
        };
        let changed = known(StateReader::finished_jobs(&known_part.state, queue));
        finished.extend(changed.into_iter().map(|job| (run(job.0), job)));
        finished.sort_by_key(|(run, (id, _, at))| (*at, *run, *id));
        Ok(finished.into_iter().map(|(_, job)| job).collect())
    }

    fn last_due_record(
        &self,
        target: &ScheduleTarget,
        until: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let changed = self.ask(|state| StateReader::last_due_record(state, target, until))?;
        let known_after = self.known().due_known_after(target);
        if known_after.is_some_and(|after| changed.is_some_and(|changed| changed > after)) {
            return Ok(changed);
        }
        let until = known_after.map_or(until, |after| until.min(after));
        let sql = format!(
            "SELECT max(due) FROM setlist.due_times WHERE site = {} AND target = {} AND due <= {}",
            self.site,
            json(target),
            nanos(until)
        );
        let stored = self.one_number(&sql)?.map(DateTime::from_timestamp_nanos);
        Ok(changed.max(stored))
    }

    fn due_times_run_after(
        &self,
        target: &ScheduleTarget,
        after: DateTime<Utc>,
    ) -> Result<Vec<DateTime<Utc>>, StoreError> {
        if self.known().due_known_after(target).is_none_or(|known| known > after) {
            self.fetch(&[SiteFetch::DueAfter(target.clone(), after)])?;
        }
        self.ask(|state| StateReader::due_times_run_after(state, target, after))
    }

    fn jobs_run_by(&self, worker: WorkerId) -> Result<Vec<Job>, StoreError> {
        let all = in_phase(Phase::Running);
        let from = self.first_runs.get(&worker).copied().unwrap_or_default();
        let own = run_by(worker, from);
        let is_known = self.known().has_condition(&all) || self.known().has_condition(&own);
        if !is_known {
            // After that of one worker, those of all others are asked for as well.
            let is_first = self.known().asked_workers.is_empty();
            self.ensure_matching(if is_first { own } else { all })?;
        }
        self.note_worker(worker);
        self.ask(|state| StateReader::jobs_run_by(state, worker))
    }
}

/// Until when a job waits, in nanoseconds.
fn until(job: &Job) -> Option<i64> {
    match &job.state {
        JobState::Pending { wait, .. } => wait.until.map(nanos),
        _ => None,
    }
}
