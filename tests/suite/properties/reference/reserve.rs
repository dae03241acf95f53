//! What the reference makes of jobs that are set aside for a worker.

use chrono::{DateTime, Utc};
use setlist::model::{JobId, Mode, Phase, QueueId, RunId, WorkerId};

use super::{Card, Reference, Refused, Reserved, name, refuse};

impl Reference {
    pub(super) fn reserve(&mut self, worker: WorkerId, queues: &[(QueueId, usize)]) -> Result<(), Refused> {
        self.is_present(worker)?;
        for (queue, wanted) in queues {
            let Ok(line) = self.line(queue).cloned() else { continue };
            let of_queue = |reserved: &&Reserved| self.by_id(reserved.job).queue == name(queue);
            let has = self.reserved_for(worker).iter().filter(of_queue).count();
            let pending = self.list(line.name, Phase::Pending).into_iter();
            let ready: Vec<u64> =
                pending.filter(|id| self.is_ready(self.by_id(*id)) && !self.is_reserved(*id)).collect();
            let asked = ready.iter().any(|id| self.by_id(*id).asked());
            if line.mode != Mode::Processing || line.stop || asked {
                continue;
            }
            // Each can take the place of any other, and waits for nobody.
            let plain = |card: &Card| card.definition.terms.weight == 1 && card.needs.is_empty();
            for id in ready.into_iter().take(wanted.saturating_sub(has)) {
                if !plain(self.by_id(id)) {
                    break;
                }
                self.runs += 1;
                self.reserved.push(Reserved { worker: worker.0, job: id, run: self.runs });
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
    ) -> Result<(), Refused> {
        self.is_present(worker)?;
        let wanted = Reserved { worker: worker.0, job: job.0, run: run.0 };
        let Some(at) = self.reserved.iter().position(|reserved| *reserved == wanted) else { return refuse("stale") };
        self.reserved.remove(at);
        self.start_as(job.0, worker, run.0, now);
        Ok(())
    }

    pub(super) fn release(&mut self, worker: WorkerId) -> Result<(), Refused> {
        self.is_present(worker)?;
        self.reserved.retain(|reserved| reserved.worker != worker.0);
        Ok(())
    }

    pub(super) fn is_reserved(&self, job: u64) -> bool {
        self.reserved.iter().any(|reserved| reserved.job == job)
    }

    pub(super) fn reserved_for(&self, worker: WorkerId) -> Vec<Reserved> {
        self.reserved.iter().filter(|reserved| reserved.worker == worker.0).copied().collect()
    }

    /// The job, unless it may have started by now.
    pub(super) fn free_card(&mut self, job: JobId) -> Result<&mut Card, Refused> {
        let reserved = self.is_reserved(job.0);
        let card = self.card(job)?;
        if reserved { refuse("state") } else { Ok(card) }
    }

    fn is_present(&self, worker: WorkerId) -> Result<(), Refused> {
        if self.present.contains(&worker.0) { Ok(()) } else { refuse("worker") }
    }

    fn by_id(&self, id: u64) -> &Card {
        &self.jobs[usize::try_from(id).unwrap() - 1]
    }
}
