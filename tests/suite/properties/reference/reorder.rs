//! Moving jobs in the reference.

use setlist::model::{JobId, Phase, Placement, QueueId, SiteState, StateReader};

use super::{Reference, ReferenceJob, RefusalCode, refuse};

impl Reference {
    pub(super) fn move_jobs(&mut self, jobs: &[JobId], placement: Placement) -> Result<(), RefusalCode> {
        let anchor = self.pending(placement.job())?;
        for job in jobs {
            let ref_job = self.pending(*job)?;
            self.unreserved_job(*job)?;
            let alike = ref_job.queue == anchor.queue && priority(&ref_job) == priority(&anchor);
            if !alike || ref_job.id == anchor.id {
                return refuse("place");
            }
        }
        let alike =
            |id: &u64| self.jobs.iter().any(|ref_job| ref_job.id == *id && priority(ref_job) == priority(&anchor));
        let before: Vec<u64> = self.list(anchor.queue, Phase::Pending).into_iter().filter(alike).collect();
        let mut moving: Vec<u64> = Vec::new();
        for JobId(job) in jobs {
            if !moving.contains(job) {
                moving.push(*job);
            }
        }
        let mut order: Vec<u64> = before.into_iter().filter(|id| !moving.contains(id)).collect();
        let at = order.iter().position(|id| *id == anchor.id).unwrap();
        let at = if let Placement::After(_) = placement { at + 1 } else { at };
        order.splice(at..at, moving);
        // Jobs may have had the same position as a finished one; the site's positions are adopted afterwards.
        for (place, id) in (0..).zip(order) {
            self.at(id).place = place;
        }
        Ok(())
    }

    /// Moves jobs to the end of another queue.
    pub(super) fn transfer(&mut self, jobs: &[JobId], queue: &QueueId) -> Result<(), RefusalCode> {
        let queue = self.ref_queue(queue)?.name;
        let mut moved = Vec::new();
        for job in jobs {
            let ref_job = self.unreserved_job(*job)?;
            if ref_job.phase() == Phase::Running || ref_job.queue == queue || ref_job.definition.name.is_some() {
                return refuse("state");
            }
            if !moved.contains(&job.0) {
                moved.push(job.0);
            }
        }
        for id in moved {
            let places = self.jobs.iter().filter(|ref_job| ref_job.queue == queue).map(|ref_job| ref_job.place);
            let place = places.max().unwrap_or_default() + 1;
            let ref_job = self.at(id);
            (ref_job.queue, ref_job.place) = (queue, place);
        }
        Ok(())
    }

    /// Checks the order of the jobs against the site, then adopts its positions.
    pub(in super::super) fn adopt_moved_positions(&mut self, site: &SiteState) {
        for (queue, phase) in self.queues.iter().map(|ref_queue| (ref_queue.name, Phase::Pending)) {
            let there: Vec<u64> =
                StateReader::jobs_in_phase(site, &queue.into(), phase).unwrap().iter().map(|id| id.0).collect();
            assert_eq!(there, self.list(queue, phase), "the order in {queue}");
        }
        let places = self.places(site);
        self.jobs.iter_mut().zip(places).for_each(|(ref_job, place)| ref_job.place = place);
    }

    /// The position of each job of the site, including removed ones.
    pub(super) fn places(&self, site: &SiteState) -> Vec<i64> {
        let place = |ref_job: &ReferenceJob| {
            let removed = || StateReader::removed_job(site, JobId(ref_job.id)).unwrap_or_else(|never| match never {});
            site.job(JobId(ref_job.id)).cloned().or_else(removed).unwrap().position
        };
        self.jobs.iter().map(place).collect()
    }

    fn pending(&mut self, job: JobId) -> Result<ReferenceJob, RefusalCode> {
        let ref_job = self.ref_job(job)?;
        if ref_job.phase() == Phase::Pending { Ok(ref_job.clone()) } else { refuse("state") }
    }
}

fn priority(ref_job: &ReferenceJob) -> i32 {
    ref_job.definition.scheduling.priority
}
