//! Commands in the reference.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use setlist::model::{
    JobId, OnFailure, Outcome, Phase, QueueId, RemovalReason, RunId, RunReport, StopSignal, WorkerId,
};

use super::{Reference, ReferenceJob, ReferenceQueue, ReferenceReservation, ReferenceState, RefusalCode, name, refuse};

impl Reference {
    pub(super) fn run(&mut self, job: JobId, force: bool, now: DateTime<Utc>) -> Result<(), RefusalCode> {
        let ref_job = self.unreserved_job(job)?.clone();
        let confirm = match ref_job.stage {
            ReferenceState::Running { .. } => return refuse("state"),
            ReferenceState::Pending { requested: true, until: None, confirm: false, .. }
                if !self.has_unmet_needs(&ref_job) =>
            {
                return refuse("state");
            }
            ReferenceState::Pending { confirm, .. } => confirm,
            ReferenceState::Finished { .. } => ref_job.definition.scheduling.confirm.is_some(),
        };
        // Only a forced request overrides needs and approval.
        if !force && self.failed_need(&ref_job).is_some() {
            return refuse("failed need");
        }
        let stage = ReferenceState::Pending { requested: true, until: None, confirm: confirm && !force, forced: force };
        self.at(job.0).make_pending(stage, now);
        Ok(())
    }

    pub(super) fn cancel(&mut self, job: JobId, stop: StopSignal, now: DateTime<Utc>) -> Result<(), RefusalCode> {
        let ref_job = self.unreserved_job(job)?;
        ref_job.stage = match ref_job.stage {
            ReferenceState::Pending { .. } => ReferenceState::Finished { outcome: Outcome::Cancelled, at: now },
            ReferenceState::Running { requested, forced, stop: None } => {
                ReferenceState::Running { requested, forced, stop: Some(stop) }
            }
            ReferenceState::Running { requested, forced, stop: Some(StopSignal::Terminate) }
                if stop == StopSignal::Kill =>
            {
                ReferenceState::Running { requested, forced, stop: Some(StopSignal::Kill) }
            }
            _ => return refuse("state"),
        };
        Ok(())
    }

    pub(super) fn remove(&mut self, jobs: &[JobId]) -> Result<(), RefusalCode> {
        // The refusal is about the first job that can't be removed.
        for job in jobs.iter().collect::<BTreeSet<_>>() {
            if self.unreserved_job(*job)?.phase() == Phase::Running {
                return refuse("state");
            }
        }
        for job in jobs {
            self.at(job.0).removed = Some(RemovalReason::User);
        }
        Ok(())
    }

    pub(super) fn clear(&mut self, queue: &QueueId, phase: Phase) -> Result<(), RefusalCode> {
        self.ref_queue(queue)?;
        let listed = self.list(name(queue), phase);
        match phase {
            _ if listed.is_empty() => return refuse("nothing"),
            Phase::Running => return refuse("state"),
            _ if listed.iter().any(|id| self.is_reserved(*id)) => return refuse("state"),
            _ => listed.into_iter().for_each(|id| self.at(id).removed = Some(RemovalReason::User)),
        }
        Ok(())
    }

    pub(super) fn restore(&mut self, jobs: &[JobId]) -> Result<(), RefusalCode> {
        let is_back = |ref_job: &&mut ReferenceJob| ref_job.removed.is_some() && jobs.contains(&JobId(ref_job.id));
        let back = self.jobs.iter_mut().filter(is_back).map(|ref_job| ref_job.removed = None).count();
        if back == 0 {
            return refuse("nothing");
        }
        Ok(())
    }

    pub(super) fn promote_due(&mut self, now: DateTime<Utc>) -> Result<(), RefusalCode> {
        let ripe = |ref_job: &&ReferenceJob| self.scheduled_time(ref_job).is_some_and(|until| until <= now);
        let ripe: Vec<u64> = self.jobs.iter().filter(ripe).map(|ref_job| ref_job.id).collect();
        if ripe.is_empty() {
            return refuse("nothing");
        }
        for id in ripe {
            if let ReferenceState::Pending { until, .. } = &mut self.at(id).stage {
                *until = None;
            }
        }
        Ok(())
    }

    pub(super) fn prune_finished(&mut self, now: DateTime<Utc>) -> Result<(), RefusalCode> {
        let keep =
            |ref_job: &ReferenceJob| self.queues.iter().find(|ref_queue| ref_queue.name == ref_job.queue).unwrap().keep;
        let old = |ref_job: &&ReferenceJob| match ref_job.stage {
            ReferenceState::Finished { at, .. } => at + Duration::from_secs(keep(ref_job)) < now,
            _ => false,
        };
        let filed = |ref_job: &&ReferenceJob| ref_job.definition.digest.is_some() || ref_job.removed.is_some();
        let old = self.jobs.iter().filter(|ref_job| old(ref_job) && !filed(ref_job));
        let old: Vec<u64> = old.map(|ref_job| ref_job.id).collect();
        if old.is_empty() {
            return refuse("nothing");
        }
        for id in old {
            self.at(id).removed = Some(RemovalReason::Expired);
        }
        Ok(())
    }

    pub(super) fn end_run(
        &mut self,
        job: JobId,
        run: RunId,
        report: &RunReport,
        on_failure: Option<OnFailure>,
        now: DateTime<Utc>,
    ) -> Result<(), RefusalCode> {
        let ref_job = self.ref_job(job)?;
        if ref_job.phase() != Phase::Running || ref_job.run != Some(run.0) {
            return refuse("stale");
        }
        self.end(job.0, report, on_failure, now);
        Ok(())
    }

    pub(super) fn reap_worker(
        &mut self,
        worker: WorkerId,
        started_runs: &[RunId],
        now: DateTime<Utc>,
    ) -> Result<(), RefusalCode> {
        if !self.present.contains(&worker.0) {
            return refuse("worker");
        }
        let report = RunReport::new(Outcome::Interrupted);
        for id in self.run_by(worker) {
            self.end(id, &report, None, now);
        }
        for ReferenceReservation { job, run, .. } in self.reserved_for(worker) {
            if started_runs.contains(&RunId(run)) {
                self.begin(worker, JobId(job), RunId(run), now)?;
                self.end(job, &report, None, now);
            }
        }
        self.release(worker)?;
        self.remove_worker(worker);
        Ok(())
    }

    pub(super) fn leave(&mut self, worker: WorkerId, queues: Option<&[QueueId]>) -> Result<(), RefusalCode> {
        if !self.present.contains(&worker.0) {
            return refuse("worker");
        }
        let served = |ref_queue: &&ReferenceQueue| queues.is_none_or(|queues| queues.contains(&ref_queue.name.into()));
        let active = self.active_queues(false);
        let processing = self.queues.iter().filter(served).any(|ref_queue| active.contains(ref_queue.name));
        let (next, time) = (self.next(queues), self.next_time(queues));
        let reserved = !self.reserved_for(worker).is_empty();
        if processing || reserved || next.is_some() || time.is_some() || !self.run_by(worker).is_empty() {
            return refuse("busy");
        }
        self.remove_worker(worker);
        Ok(())
    }

    fn remove_worker(&mut self, worker: WorkerId) {
        self.present.remove(&worker.0);
        for ref_queue in &mut self.queues {
            ref_queue.limit.take_if(|(set_for, _)| *set_for == worker.0);
        }
    }
}
