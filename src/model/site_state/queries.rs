//! Answers the queries of `decide` from the state in memory.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{QueueState, SiteState, index_in_list};
use crate::model::needs::is_skipped_by_failure;
use crate::model::{
    Dependent, DueOutcome, DueResult, EnvironmentId, ExpectationState, FileJob, FinishedJob, Job, JobId, JobRef,
    JobState, LabelSet, NeedCounts, NeededJob, Outcome, Phase, PoolSizes, QueueId, QueueInfo, Readiness, RemovalReason,
    RunId, ScheduleState, ScheduleTarget, StateReader, WaitConditions, WorkerId, WorkerInfo,
};

impl SiteState {
    /// The environments that pending or running jobs, or queues that are being processed, will run with.
    pub fn environments_in_use(&self) -> BTreeSet<EnvironmentId> {
        let removed = self.removed.values().map(|(job, _)| job);
        let unfinished = self.jobs().chain(removed).filter(|job| job.phase() != Phase::Finished);
        let queues = self.queues.values().filter_map(|queue| queue.environment);
        unfinished.filter_map(|job| job.environment).chain(queues).collect()
    }

    /// The next jobs of a queue in its order: at most `limit` of those behind `after`, or else from the first.
    pub fn jobs_page(&self, queue: &QueueId, after: Option<&Job>, limit: usize) -> Vec<Job> {
        let key = |job: &&Job| (job.position, job.id);
        let Some(queue) = self.queues.get(queue) else { return Vec::new() };
        let ids = [&queue.finished, &queue.running, &queue.pending].into_iter().flatten();
        let is_next = |job: &&Job| after.is_none_or(|after| key(job) > key(&after));
        let mut jobs: Vec<&Job> = ids.filter_map(|id| self.job(*id)).filter(is_next).collect();
        if limit < jobs.len() {
            jobs.select_nth_unstable_by_key(limit, key);
            jobs.truncate(limit);
        }
        jobs.sort_unstable_by_key(key);
        jobs.into_iter().cloned().collect()
    }

    /// Why a job was removed from its queue, if that was since the state was loaded.
    pub fn removal_reason(&self, id: JobId) -> Option<RemovalReason> {
        self.removed.get(&id).map(|(_, reason)| *reason)
    }

    /// The jobs that users have removed from their queues, by number. Only those removed since the state was loaded.
    pub fn jobs_removed_by_users(&self) -> Vec<Job> {
        let by_user = self.removed.values().filter(|(_, reason)| *reason == RemovalReason::User);
        let mut jobs: Vec<Job> = by_user.map(|(job, _)| job.clone()).collect();
        jobs.sort_by_key(|job| job.id);
        jobs
    }

    /// Whether the outcome of a job is a failure for a command that waits for it: it did not succeed, and was not skipped only
    /// because a failure that it needs didn't happen.
    pub fn counts_as_failure(&self, job: &Job) -> bool {
        match job.outcome() {
            Some(outcome) if outcome.is_success() => false,
            Some(Outcome::Skipped { .. }) => is_skipped_by_failure(self, job).unwrap_or_else(|never| match never {}),
            _ => true,
        }
    }

    fn dependent(&self, job: &Job) -> Dependent {
        let (is_requested, wait) = match job.state {
            JobState::Pending { requested, wait } => (requested, wait),
            _ => (false, WaitConditions::default()),
        };
        Dependent {
            job: job.id,
            queue: job.queue.clone(),
            phase: job.phase(),
            is_requested,
            is_forced: wait.forced,
            waits_for_needs: wait.needs,
            counts: self.needs.counts_of(job.id),
        }
    }
}

impl StateReader for SiteState {
    type Error = Infallible;

    fn file_version(&self) -> Result<Option<String>, Infallible> {
        Ok(self.file_version.clone())
    }

    fn queues(&self) -> Result<Vec<QueueInfo>, Infallible> {
        let info = |(id, queue): (&QueueId, &QueueState)| QueueInfo {
            id: id.clone(),
            settings: queue.settings.clone(),
            mode: queue.mode,
            environment: queue.environment,
            inputs: queue.inputs.clone(),
        };
        Ok(self.queues().into_iter().map(info).collect())
    }

    fn queue(&self, id: &QueueId) -> Result<Option<QueueInfo>, Infallible> {
        Ok(self.queues.get(id).map(|queue| QueueInfo {
            id: id.clone(),
            settings: queue.settings.clone(),
            mode: queue.mode,
            environment: queue.environment,
            inputs: queue.inputs.clone(),
        }))
    }

    fn job(&self, id: JobId) -> Result<Option<Job>, Infallible> {
        Ok(self.job(id).cloned())
    }

    fn removed_job(&self, id: JobId) -> Result<Option<Job>, Infallible> {
        Ok(self.removed.get(&id).map(|(job, _)| job.clone()))
    }

    fn file_jobs(&self, queue: &QueueId) -> Result<Vec<FileJob>, Infallible> {
        let file_job = |(job, removed): (&Job, Option<RemovalReason>)| FileJob {
            id: job.id,
            definition: Arc::clone(&job.definition),
            position: job.position,
            phase: job.phase(),
            removed,
        };
        Ok(self.all_jobs_of(queue).filter(|(job, _)| job.definition.digest.is_some()).map(file_job).collect())
    }

    fn jobs_in_phase(&self, queue: &QueueId, phase: Phase) -> Result<Vec<JobId>, Infallible> {
        Ok(self.queues.get(queue).map(|queue| queue.jobs_in(phase).iter().copied().collect()).unwrap_or_default())
    }

    fn pending_positions(&self, queue: &QueueId, priority: i32) -> Result<Vec<(i64, JobId)>, Infallible> {
        let pending = self.queues.get(queue).map(|queue| &queue.pending).into_iter().flatten();
        let same_priority = |job: &&Job| job.definition.scheduling.priority == priority;
        let jobs = pending.filter_map(|id| self.job(*id)).filter(same_priority);
        Ok(jobs.map(|job| (job.position, job.id)).collect())
    }

    fn adjacent_position(
        &self,
        job: &Job,
        is_before: bool,
        skipped: &BTreeSet<JobId>,
    ) -> Result<Option<i64>, Infallible> {
        let Some(queue) = self.queues.get(&job.queue) else { return Ok(None) };
        let at = index_in_list(&queue.pending, job, &self.jobs);
        let is_wanted = |id: &&JobId| !skipped.contains(id) && **id != job.id;
        let nearest = if is_before {
            queue.pending.range(..at).rev().find(is_wanted)
        } else {
            queue.pending.range(at..).find(is_wanted)
        };
        // The list is sorted by priority first.
        let adjacent = nearest
            .and_then(|id| self.job(*id))
            .filter(|adjacent| adjacent.definition.scheduling.priority == job.definition.scheduling.priority);
        Ok(adjacent.map(|adjacent| adjacent.position))
    }

    fn resolve(&self, target: &JobRef) -> Result<Option<JobId>, Infallible> {
        Ok(match target {
            JobRef::Number(id) => (self.jobs.contains(*id) || self.removed.contains_key(id)).then_some(*id),
            JobRef::Named(queue, name) => {
                self.all_jobs_of(queue).find(|(job, _)| job.name() == Some(name)).map(|(job, _)| job.id)
            }
        })
    }

    fn needed_job(&self, id: JobId) -> Result<Option<NeededJob>, Infallible> {
        let present = self.job(id).map(|job| (job, false));
        let found = present.or_else(|| self.removed.get(&id).map(|(job, _)| (job, true)));
        Ok(found.map(|(job, is_removed)| NeededJob { job: job.clone(), is_removed }))
    }

    fn need_counts(&self, job: JobId) -> Result<NeedCounts, Infallible> {
        Ok(self.needs.counts_of(job))
    }

    fn dependents(&self, job: JobId) -> Result<Vec<Dependent>, Infallible> {
        Ok(self.dependents_of(job).map(|job| self.dependent(job)).collect())
    }

    fn next_jobs(
        &self,
        queue: &QueueId,
        readiness: Readiness,
        most: usize,
        excluded: &[LabelSet],
    ) -> Result<Vec<Job>, Infallible> {
        let reserved = |id: &JobId| self.workers.values().any(|worker| worker.has_reserved(*id));
        let is_excluded = |id: &JobId| {
            !excluded.is_empty()
                && self.job(*id).is_some_and(|job| excluded.contains(&job.definition.scheduling.runs_on))
        };
        let is_left_out = |id: &JobId| reserved(id) || is_excluded(id);
        let first: Vec<JobId> = match readiness {
            Readiness::Requested => {
                let requested = self.indexes.get(queue).map(|index| &index.requested).into_iter().flatten();
                requested.map(|(_, id)| *id).filter(|id| !is_left_out(id)).take(most).collect()
            }
            // Not indexed: scanning the pending jobs costs less than the memory of another index.
            _ => self.pending_with(queue, readiness).filter(|id| !is_left_out(id)).take(most).collect(),
        };
        Ok(first.into_iter().filter_map(|id| self.job(id)).cloned().collect())
    }

    fn blocked_jobs(&self, queue: &QueueId, most: usize) -> Result<Vec<JobId>, Infallible> {
        Ok(self.pending_with(queue, Readiness::Blocked).take(most).collect())
    }

    fn blocked_by_failure(&self, queue: &QueueId) -> Result<Vec<JobId>, Infallible> {
        let has_failed = |id: &JobId| self.needs.counts_of(*id).failed > 0;
        Ok(self.pending_with(queue, Readiness::Blocked).filter(has_failed).collect())
    }

    fn used_slots(&self, queue: &QueueId) -> Result<u32, Infallible> {
        let running = self.queues.get(queue).map(|queue| &queue.running).into_iter().flatten();
        let weights = running.filter_map(|id| self.jobs.get(*id)).map(|job| job.definition.scheduling.weight);
        Ok(weights.fold(0, u32::saturating_add))
    }

    fn has_unblocked_jobs(&self, queue: &QueueId) -> Result<bool, Infallible> {
        let Some(queue) = self.queues.get(queue) else { return Ok(false) };
        let is_blocked = |id: &JobId| self.jobs.get(*id).is_none_or(|job| job.readiness() == Some(Readiness::Blocked));
        Ok(!queue.running.is_empty() || queue.pending.iter().any(|id| !is_blocked(id)))
    }

    fn due_jobs(&self, now: DateTime<Utc>) -> Result<Vec<JobId>, Infallible> {
        let mut due: Vec<(DateTime<Utc>, JobId)> = self
            .indexes
            .values()
            .flat_map(|index| index.scheduled.iter().take_while(|(until, _)| *until <= now))
            .copied()
            .collect();
        due.sort_unstable();
        Ok(due.into_iter().map(|(_, id)| id).collect())
    }

    fn next_due_time(&self, queue: &QueueId, requested_only: bool) -> Result<Option<DateTime<Utc>>, Infallible> {
        let scheduled = self.indexes.get(queue).map(|index| &index.scheduled).into_iter().flatten();
        let is_wanted = |id: &JobId| {
            let readiness = self.job(*id).and_then(Job::readiness);
            !requested_only || readiness == Some(Readiness::Scheduled { requested: true })
        };
        Ok(scheduled.filter(|(_, id)| is_wanted(id)).map(|(until, _)| *until).next())
    }

    fn finished_not_in_file_before(&self, queue: &QueueId, before: DateTime<Utc>) -> Result<Vec<JobId>, Infallible> {
        let finished = self.queues.get(queue).map(|queue| &queue.finished).into_iter().flatten();
        let finished = finished.filter_map(|id| self.job(*id));
        let is_old = |job: &&Job| matches!(job.state, JobState::Finished { at, .. } if at < before);
        let not_in_file = finished.take_while(is_old).filter(|job| job.definition.digest.is_none());
        Ok(not_in_file.map(|job| job.id).collect())
    }

    fn last_position(&self, queue: &QueueId) -> Result<i64, Infallible> {
        Ok(self.highest_position(queue).unwrap_or(0))
    }

    fn next_job_id(&self) -> Result<JobId, Infallible> {
        Ok(JobId(self.counters.job + 1))
    }

    fn next_run_id(&self) -> Result<RunId, Infallible> {
        Ok(RunId(self.counters.run + 1))
    }

    fn next_worker_id(&self) -> Result<WorkerId, Infallible> {
        Ok(WorkerId(self.counters.worker + 1))
    }

    fn worker(&self, id: WorkerId) -> Result<Option<WorkerInfo>, Infallible> {
        Ok(self.workers.get(&id).cloned())
    }

    fn workers(&self) -> Result<Vec<WorkerInfo>, Infallible> {
        Ok(self.workers.values().cloned().collect())
    }

    fn reserved_jobs(&self) -> Result<Vec<JobId>, Infallible> {
        let reserved = self.workers.values().flat_map(|worker| &worker.reserved);
        Ok(reserved.map(|reservation| reservation.job).collect())
    }

    fn pools(&self) -> Result<PoolSizes, Infallible> {
        Ok(self.pools.clone())
    }

    fn pool_holders(&self) -> Result<Vec<Job>, Infallible> {
        Ok(self.runs_with_pools().cloned().collect())
    }

    fn unfinished_with_key(&self, key: &str) -> Result<Option<JobId>, Infallible> {
        let unfinished = self.queues.values().flat_map(|queue| queue.running.iter().chain(&queue.pending));
        let has_key = |id: &&JobId| {
            let job = self.jobs.get(**id);
            job.is_some_and(|job| job.definition.scheduling.unique.as_deref() == Some(key))
        };
        Ok(unfinished.copied().filter(|id| has_key(&id)).min())
    }

    fn schedules(&self) -> Result<Vec<ScheduleState>, Infallible> {
        Ok(self.schedules.values().cloned().collect())
    }

    fn schedule(&self, target: &ScheduleTarget) -> Result<Option<ScheduleState>, Infallible> {
        Ok(self.schedules.get(target).cloned())
    }

    fn schedules_with_run(&self) -> Result<Vec<ScheduleState>, Infallible> {
        Ok(self.schedules.values().filter(|state| state.running.is_some()).cloned().collect())
    }

    fn unsuccessful_since(
        &self,
        queue: &QueueId,
        since: DateTime<Utc>,
    ) -> Result<Vec<(JobId, DueOutcome)>, Infallible> {
        let finished = self.queues.get(queue).map(|queue| &queue.finished).into_iter().flatten();
        let latest_first = finished.rev().filter_map(|id| self.job(*id));
        let recent = latest_first.map_while(|job| match &job.state {
            JobState::Finished { outcome, at } if *at >= since => Some((job.id, DueOutcome::from(outcome))),
            _ => None,
        });
        Ok(recent.filter(|(_, outcome)| outcome.is_failure()).collect())
    }

    fn expectations(&self) -> Result<Vec<ExpectationState>, Infallible> {
        Ok(self.expectations.values().cloned().collect())
    }

    fn finished_jobs(&self, queue: &QueueId) -> Result<Vec<FinishedJob>, Infallible> {
        let finished = self.queues.get(queue).map(|queue| &queue.finished).into_iter().flatten();
        let finished = finished.filter_map(|id| match &self.job(*id)?.state {
            JobState::Finished { outcome, at } => Some((*id, outcome.clone(), *at)),
            _ => None,
        });
        Ok(finished.collect())
    }

    fn last_due_record(
        &self,
        target: &ScheduleTarget,
        until: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, Infallible> {
        let records = self.due_records.get(target);
        Ok(records.and_then(|records| records.range(..=until).next_back()).map(|(due, _)| *due))
    }

    fn due_times_run_after(
        &self,
        target: &ScheduleTarget,
        after: DateTime<Utc>,
    ) -> Result<Vec<DateTime<Utc>>, Infallible> {
        let records = self.due_records.get(target).into_iter().flatten();
        let ran = records.filter(|(due, record)| **due > after && record.result == DueResult::Ran);
        Ok(ran.map(|(due, _)| *due).collect())
    }

    fn jobs_run_by(&self, worker: WorkerId) -> Result<Vec<Job>, Infallible> {
        let running = self.queues.values().flat_map(|queue| &queue.running);
        let jobs = running.filter_map(|id| self.job(*id));
        Ok(jobs.filter(|job| job.last_run.as_ref().is_some_and(|run| run.worker == worker)).cloned().collect())
    }
}
