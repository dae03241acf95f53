//! The expectations of a site in memory.

use chrono::{DateTime, Utc};

use super::SiteState;
use crate::model::expected_times::ExpectedTimes;
use crate::model::{Event, ExpectationState, Job, Overdue, QueueId, ScheduleTarget};

impl SiteState {
    /// All expectations.
    pub fn expectations(&self) -> impl Iterator<Item = &ExpectationState> {
        self.expectations.values()
    }

    /// The expectation of a queue or a job.
    pub fn expectation(&self, target: &ScheduleTarget) -> Option<&ExpectationState> {
        self.expectations.get(target)
    }

    /// The queues and jobs that are overdue at `now`.
    pub fn overdue(&self, now: DateTime<Utc>) -> impl Iterator<Item = (&ExpectationState, Overdue)> {
        let states = self.expected.overdue_at(now).filter_map(|target| self.expectations.get(target));
        states.filter_map(move |state| Some((state, state.overdue_at(now)?)))
    }

    /// What is overdue at `now` in a queue: the queue itself, or jobs of it.
    pub fn overdue_in(
        &self,
        queue: &QueueId,
        now: DateTime<Utc>,
    ) -> impl Iterator<Item = (&ExpectationState, Overdue)> {
        self.overdue(now).filter(move |(state, _)| state.queue == *queue)
    }

    /// When an expected time comes next that has not been decided.
    pub fn next_expected(&self) -> Option<DateTime<Utc>> {
        self.expected.first()
    }

    /// The running jobs of a queue that are stalled, and since when they print nothing.
    pub fn stalled_in(&self, queue: &QueueId) -> impl Iterator<Item = (&Job, DateTime<Utc>)> {
        let running = self.queues.get(queue).into_iter().flat_map(|queue| &queue.running);
        running.filter_map(|id| self.job(*id)).filter_map(|job| Some((job, job.stalled_since()?)))
    }

    /// Whether a job is overdue at `now` by its own expectation.
    pub fn overdue_job(&self, job: &Job, now: DateTime<Utc>) -> Option<Overdue> {
        self.expectations.get(&ScheduleTarget::Job(job.id))?.overdue_at(now)
    }

    /// Sets the expectations, while a site is loaded.
    pub fn set_expectations(&mut self, states: impl IntoIterator<Item = ExpectationState>) {
        self.expectations.clear();
        self.expected = ExpectedTimes::default();
        states.into_iter().for_each(|state| self.set_expectation(state));
    }

    fn set_expectation(&mut self, state: ExpectationState) {
        if let Some(before) = self.expectations.remove(&state.target) {
            self.expected.remove(&before);
        }
        self.expected.add(&state);
        self.expectations.insert(state.target.clone(), state);
    }

    /// Applies an event about an expectation.
    pub(super) fn apply_to_expectations(&mut self, event: &Event) {
        match event {
            Event::ExpectationChanged { state } => {
                self.set_expectation((**state).clone());
            }
            Event::ExpectationEnded { target } => {
                if let Some(state) = self.expectations.remove(target) {
                    self.expected.remove(&state);
                }
            }
            // What is overdue is part of the state of the expectation.
            _ => {}
        }
    }
}
