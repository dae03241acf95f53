//! Moving jobs in the reference.

use setlist::model::{Placement, JobId, SiteState, Phase, QueueId, StateReader};

use super::{ReferenceJob, Reference, RefusalCode, refuse};

impl Reference {
    pub(super) fn move_jobs(&mut self, jobs: &[JobId], placement: Placement) -> Result<(), RefusalCode> {
        let anchor = self.pending(placement.job())?;
        for job in jobs {
            let card = self.pending(*job)?;
            self.unreserved_job(*job)?;
            let alike = card.queue == anchor.queue && priority(&card) == priority(&anchor);
            if !alike || card.id == anchor.id {
                return refuse("place");
            }
        }
        let alike = |id: &u64| self.jobs.iter().any(|card| card.id == *id && priority(card) == priority(&anchor));
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
        let queue = self.line(queue)?.name;
        let mut moved = Vec::new();
        for job in jobs {
            let card = self.unreserved_job(*job)?;
            if card.phase() == Phase::Running || card.queue == queue || card.definition.name.is_some() {
                return refuse("state");
            }
            if !moved.contains(&job.0) {
                moved.push(job.0);
            }
        }
        for id in moved {
            let places = self.jobs.iter().filter(|card| card.queue == queue).map(|card| card.place);
            let place = places.max().unwrap_or_default() + 1;
            let card = self.at(id);
            (card.queue, card.place) = (queue, place);
        }
        Ok(())
    }

    /// Checks the order of the jobs against the site, then adopts its positions.
    pub(in super::super) fn adopt_moved_positions(&mut self, site: &SiteState) {
        for (queue, phase) in self.queues.iter().map(|line| (line.name, Phase::Pending)) {
            let there: Vec<u64> = StateReader::jobs_in_phase(site, &queue.into(), phase).unwrap().iter().map(|id| id.0).collect();
            assert_eq!(there, self.list(queue, phase), "the order in {queue}");
        }
        let places = self.places(site);
        self.jobs.iter_mut().zip(places).for_each(|(card, place)| card.place = place);
    }

    /// The position of each job of the site, including removed ones.
    pub(super) fn places(&self, site: &SiteState) -> Vec<i64> {
        let place = |card: &ReferenceJob| {
            let removed = || StateReader::removed_job(site, JobId(card.id)).unwrap_or_else(|never| match never {});
            site.job(JobId(card.id)).cloned().or_else(removed).unwrap().position
        };
        self.jobs.iter().map(place).collect()
    }

    fn pending(&mut self, job: JobId) -> Result<ReferenceJob, RefusalCode> {
        let card = self.card(job)?;
        if card.phase() == Phase::Pending { Ok(card.clone()) } else { refuse("state") }
    }
}

fn priority(card: &ReferenceJob) -> i32 {
    card.definition.scheduling.priority
}
