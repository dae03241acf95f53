//! Reservations in the reference.

use chrono::{DateTime, Utc};
use setlist::model::{JobId, Phase, QueueId, QueueMode, RunId, WorkerId};

use super::{Reference, ReferenceJob, ReferenceReservation, RefusalCode, name, refuse};

impl Reference {
    pub(super) fn reserve(&mut self, worker: WorkerId, queues: &[(QueueId, usize)]) -> Result<(), RefusalCode> {
        self.is_present(worker)?;
        for (queue, wanted) in queues {
            let Ok(ref_queue) = self.ref_queue(queue).cloned() else { continue };
            let of_queue = |reserved: &&ReferenceReservation| self.by_id(reserved.job).queue == name(queue);
            let has = self.reserved_for(worker).iter().filter(of_queue).count();
            let pending = self.list(ref_queue.name, Phase::Pending).into_iter();
            let ready: Vec<u64> =
                pending.filter(|id| self.is_ready(self.by_id(*id)) && !self.is_reserved(*id)).collect();
            let requested = ready.iter().any(|id| self.by_id(*id).requested());
            if ref_queue.mode != QueueMode::Processing || ref_queue.stop || requested {
                continue;
            }
            // Reserved jobs have weight 1 and no needs.
            let plain = |ref_job: &ReferenceJob| ref_job.definition.scheduling.weight == 1 && ref_job.needs.is_empty();
            for id in ready.into_iter().take(wanted.saturating_sub(has)) {
                if !plain(self.by_id(id)) {
                    break;
                }
                self.runs += 1;
                self.reserved.push(ReferenceReservation { worker: worker.0, job: id, run: self.runs });
            }
        }
        Ok(())
    }

    pub(super) fn begin(
        &mut self,
        worker: WorkerId,
        job: JobId,
        run: RunId,
        now: DateTime<Utc>,
    ) -> Result<(), RefusalCode> {
        self.is_present(worker)?;
        let wanted = ReferenceReservation { worker: worker.0, job: job.0, run: run.0 };
        let Some(at) = self.reserved.iter().position(|reserved| *reserved == wanted) else { return refuse("stale") };
        self.reserved.remove(at);
        self.start_as(job.0, worker, run.0, now);
        Ok(())
    }

    pub(super) fn release(&mut self, worker: WorkerId) -> Result<(), RefusalCode> {
        self.is_present(worker)?;
        self.reserved.retain(|reserved| reserved.worker != worker.0);
        Ok(())
    }

    pub(super) fn is_reserved(&self, job: u64) -> bool {
        self.reserved.iter().any(|reserved| reserved.job == job)
    }

    pub(super) fn reserved_for(&self, worker: WorkerId) -> Vec<ReferenceReservation> {
        self.reserved.iter().filter(|reserved| reserved.worker == worker.0).copied().collect()
    }

    /// The job, which must not be reserved.
    pub(super) fn unreserved_job(&mut self, job: JobId) -> Result<&mut ReferenceJob, RefusalCode> {
        let reserved = self.is_reserved(job.0);
        let ref_job = self.ref_job(job)?;
        if reserved { refuse("state") } else { Ok(ref_job) }
    }

    fn is_present(&self, worker: WorkerId) -> Result<(), RefusalCode> {
        if self.present.contains(&worker.0) { Ok(()) } else { refuse("worker") }
    }

    fn by_id(&self, id: u64) -> &ReferenceJob {
        &self.jobs[usize::try_from(id).unwrap() - 1]
    }
}
