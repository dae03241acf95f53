//! All that a store has of a site, as it is copied into another store.

use std::collections::BTreeMap;

use crate::model::{
    Counters, DueRecord, Event, ExpectationState, Job, JobId, PoolSizes, QueueInfo, QueueMode, RemovalReason, Run,
    RunId, ScheduleState, ScheduleTarget,
};

/// All that a store has of a site, except for output, the file that is in force and recent events.
#[derive(Clone, Debug, Default)]
pub struct SiteExport {
    pub(super) queues: Vec<QueueInfo>,
    pub(super) pools: PoolSizes,
    /// All jobs by number, with the reason if they were removed.
    pub(super) jobs: Vec<(Job, Option<RemovalReason>)>,
    /// All runs of a job except its last.
    pub(super) earlier_runs: Vec<(JobId, Run)>,
    pub(super) schedules: Vec<ScheduleState>,
    pub(super) due_records: Vec<(ScheduleTarget, Vec<DueRecord>)>,
    pub(super) expectations: Vec<ExpectationState>,
    pub(super) counters: Counters,
}

impl SiteExport {
    /// The events that make an empty site the same.
    pub(super) fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for QueueInfo { id, settings, mode, environment, inputs } in &self.queues {
            events.push(Event::QueueDefined { queue: id.clone(), settings: settings.clone() });
            if *mode != QueueMode::default() {
                events.push(Event::ModeChanged { queue: id.clone(), mode: *mode });
            }
            events.extend(environment.map(|environment| Event::QueueRequested {
                queue: id.clone(),
                environment,
                inputs: inputs.clone(),
            }));
        }
        if !self.pools.is_empty() {
            events.push(Event::PoolsDefined { pools: self.pools.clone() });
        }
        events.extend(self.jobs.iter().map(|(job, _)| Event::Added { job: Box::new(job.clone()) }));
        let removed = self.jobs.iter().filter_map(|(job, reason)| Some((job.id, (*reason)?)));
        events.extend(removed.map(|(job, reason)| Event::Removed { job, reason }));
        events.extend(self.schedules.iter().map(|state| Event::ScheduleChanged { state: Box::new(state.clone()) }));
        let due = self.due_records.iter().map(|(target, records)| (target.clone(), records.clone()));
        events.extend(due.map(|(target, records)| Event::DueRecorded { target, records }));
        let expectations = self.expectations.iter().cloned();
        events.extend(expectations.map(|state| Event::ExpectationChanged { state: Box::new(state) }));
        events
    }

    /// All runs that have started, by number.
    pub(super) fn runs(&self) -> impl Iterator<Item = RunId> {
        let last = self.jobs.iter().filter_map(|(job, _)| job.last_run.as_deref());
        self.earlier_runs.iter().map(|(_, run)| run).chain(last).map(|run| run.id)
    }

    /// The parts of the content as text, by name, for a comparison.
    pub(super) fn parts(&self) -> BTreeMap<String, String> {
        let mut parts = BTreeMap::new();
        let mut add = |name: String, value: serde_json::Result<String>| {
            // Only maps with keys that are not strings fail; the model has none.
            parts.insert(name, value.unwrap_or_default());
        };
        for QueueInfo { id, settings, mode, environment, inputs } in &self.queues {
            add(format!("queue {id}"), serde_json::to_string(&(settings, mode, environment, inputs)));
        }
        for (job, reason) in &self.jobs {
            add(format!("job {}", job.id), serde_json::to_string(&(job, reason)));
        }
        for (job, run) in &self.earlier_runs {
            let value = run.end.as_ref().and_then(|end| end.value.as_ref());
            add(format!("run {} of {job}", run.id), serde_json::to_string(&(run, value)));
        }
        for state in &self.schedules {
            add(format!("schedule {:?}", state.target), serde_json::to_string(state));
        }
        for (target, records) in &self.due_records {
            add(format!("due times {target:?}"), serde_json::to_string(records));
        }
        for state in &self.expectations {
            add(format!("expectation {:?}", state.target), serde_json::to_string(state));
        }
        add("pools".to_owned(), serde_json::to_string(&self.pools));
        let Counters { job, run, worker, .. } = self.counters;
        add("counters".to_owned(), serde_json::to_string(&(job, run, worker)));
        parts
    }
}
