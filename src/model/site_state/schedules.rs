//! The schedules of a site in memory, and the records of their due times.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use chrono::{DateTime, Utc};

use super::SiteState;
use crate::model::{
    DueCounts, DuePage, DueRecord, DueResult, Event, Job, JobId, MAX_DUE_RECORDS, QueueId, ScheduleState,
    ScheduleTarget, WorkerInfo,
};

impl SiteState {
    /// The schedules that have due times.
    pub fn active_schedules(&self) -> impl Iterator<Item = &ScheduleState> {
        self.schedules.values()
    }

    /// The schedule of a queue or a job.
    pub fn schedule(&self, target: &ScheduleTarget) -> Option<&ScheduleState> {
        self.schedules.get(target)
    }

    /// The schedule that makes a job pending: its own, or else that of its queue.
    pub fn schedule_of_job(&self, job: &Job) -> Option<&ScheduleState> {
        let own = self.schedules.get(&ScheduleTarget::Job(job.id));
        own.or_else(|| self.schedules.get(&ScheduleTarget::Queue(job.queue.clone())))
    }

    /// The next due time of a queue, by its own schedule or that of one of its jobs.
    pub fn next_due_in(&self, queue: &QueueId, now: DateTime<Utc>) -> Option<(DateTime<Utc>, &ScheduleState)> {
        let targets = self.scheduled_queues.get(queue).into_iter().flatten();
        let schedules = targets.filter_map(|target| self.schedules.get(target));
        schedules.filter_map(|state| Some((state.upcoming(now)?, state))).min_by_key(|(due, _)| *due)
    }

    /// Whether there are schedules or expectations that no registered worker serves.
    pub fn lacks_schedule_worker(&self) -> bool {
        let is_served = |queue: &QueueId| self.workers.values().any(|worker: &WorkerInfo| worker.serves(queue));
        self.scheduled_queues.keys().any(|queue| !is_served(queue))
            || self.expectations.values().any(|state| !is_served(&state.queue))
    }

    /// The recorded due times of a schedule, oldest first; none in a copy of a stored site.
    pub fn due_records(&self, target: &ScheduleTarget) -> impl DoubleEndedIterator<Item = &DueRecord> {
        self.due_records.get(target).into_iter().flat_map(|records| records.values())
    }

    /// Some of the recorded due times of a schedule; none in a copy of a stored site.
    pub fn due_page(&self, target: &ScheduleTarget, page: &DuePage) -> Vec<DueRecord> {
        let is_wanted = |record: &&DueRecord| {
            page.since.is_none_or(|since| record.due >= since) && page.before.is_none_or(|before| record.due < before)
        };
        let records = self.due_records(target).filter(is_wanted);
        if page.oldest_first {
            records.take(page.limit).cloned().collect()
        } else {
            records.rev().take(page.limit).cloned().collect()
        }
    }

    /// How many recorded due times of a schedule came to which end, from a time until before another.
    pub fn due_counts(&self, target: &ScheduleTarget, period: &Range<DateTime<Utc>>) -> DueCounts {
        let mut counts = DueCounts::default();
        for record in self.due_records(target).filter(|record| period.contains(&record.due)) {
            counts.add(&record.result, record.outcome, record.is_late(), 1);
            counts.missed += record.earlier;
        }
        counts
    }

    /// All queues and jobs of which due times are recorded, also those without a schedule now; none in a copy.
    pub fn recorded_targets(&self) -> impl Iterator<Item = &ScheduleTarget> {
        self.due_records.keys()
    }

    /// The queue of a target, and its job if it is one.
    pub fn target_path(&self, target: &ScheduleTarget) -> String {
        match target {
            ScheduleTarget::Queue(queue) => queue.to_string(),
            ScheduleTarget::Job(id) => self.path_of(*id),
        }
    }

    fn path_of(&self, id: JobId) -> String {
        let removed = || self.removed.get(&id).map(|(job, _)| job.path());
        self.job(id).map(Job::path).or_else(removed).unwrap_or_else(|| id.to_string())
    }

    /// Sets the schedules, while a copy of a site is loaded. It has no records of due times: they may be very many.
    pub fn set_schedules(&mut self, schedules: impl IntoIterator<Item = ScheduleState>) {
        self.schedules.clear();
        self.scheduled_queues.clear();
        for state in schedules {
            self.set_schedule(state);
        }
        self.is_copy = true;
    }

    /// A copy of a site that is stored in memory, without the records of due times.
    #[must_use]
    pub fn to_copy(&self) -> Self {
        Self { due_records: BTreeMap::new(), is_copy: true, ..self.clone() }
    }

    fn set_schedule(&mut self, state: ScheduleState) {
        self.remove_schedule(&state.target);
        self.scheduled_queues.entry(state.queue.clone()).or_default().insert(state.target.clone());
        self.schedules.insert(state.target.clone(), state);
    }

    fn remove_schedule(&mut self, target: &ScheduleTarget) {
        let Some(state) = self.schedules.remove(target) else { return };
        if let Some(targets) = self.scheduled_queues.get_mut(&state.queue) {
            targets.remove(target);
            if targets.is_empty() {
                self.scheduled_queues.remove(&state.queue);
            }
        }
    }

    /// Applies an event about a schedule.
    pub(super) fn apply_to_schedules(&mut self, event: &Event) {
        match event {
            Event::ScheduleChanged { state } => {
                self.set_schedule((**state).clone());
            }
            Event::ScheduleEnded { target } => self.remove_schedule(target),
            Event::DueRecorded { .. } | Event::DueWithdrawn { .. } if self.is_copy => {}
            Event::DueRecorded { target, records } => {
                let known = self.due_records.entry(target.clone()).or_default();
                known.extend(records.iter().map(|record| (record.due, record.clone())));
                while known.len() > MAX_DUE_RECORDS {
                    known.pop_first();
                }
            }
            Event::DueWithdrawn { target, after } => {
                let Some(known) = self.due_records.get_mut(target) else { return };
                let later = known.range((Bound::Excluded(*after), Bound::Unbounded));
                let withdrawn = later.filter(|(_, record)| record.result != DueResult::Ran);
                for due in withdrawn.map(|(due, _)| *due).collect::<Vec<_>>() {
                    known.remove(&due);
                }
                if known.is_empty() {
                    self.due_records.remove(target);
                }
            }
            _ => {}
        }
    }
}
