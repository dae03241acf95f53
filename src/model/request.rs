//! Requests of users: the events of a command record the environment of the user who has given it, and the values that
//! were given for the inputs of its queue.

use std::sync::Arc;

use super::checks::{DecideError, existing_job, refuse};
use super::input::{InputValues, check_inputs};
use super::{
    Command, EnvironmentId, Event, InputDeclaration, Job, QueueId, QueueMode, Refusal, RequestInputs, SiteState,
    StateReader,
};

/// Gives the work that these events request the environment and the inputs of the user who has requested it.
pub(super) fn attach(events: &mut Vec<Event>, environment: EnvironmentId, inputs: Option<&Arc<RequestInputs>>) {
    let mut requests = Vec::new();
    for event in events.iter_mut() {
        match event {
            Event::Added { job } => {
                job.environment = Some(environment);
                job.inputs = inputs.cloned();
            }
            Event::Requeued { job, requested: true, .. } => {
                requests.push(Event::JobRequested { job: *job, environment, inputs: inputs.cloned() });
            }
            // Without a request it runs with its queue, but on the files of now.
            Event::Requeued { job, requested: false, .. } => {
                let snapshot = inputs.and_then(|inputs| inputs.snapshot.clone());
                requests.extend(snapshot.map(|snapshot| Event::SnapshotTaken { job: *job, snapshot }));
            }
            Event::ModeChanged { queue, mode: QueueMode::Processing } => {
                requests.push(Event::QueueRequested { queue: queue.clone(), environment, inputs: inputs.cloned() });
            }
            _ => {}
        }
    }
    events.append(&mut requests);
}

/// The values with which a command runs jobs, of the inputs that their queue has. Refused if these don't take them.
pub(super) fn inputs_of_request<R: StateReader>(
    reader: &R,
    command: &Command,
    given: Option<&Arc<RequestInputs>>,
) -> Result<Option<Arc<RequestInputs>>, DecideError<R::Error>> {
    let (queue, job) = match command {
        Command::Process { queue } => (queue.clone(), None),
        Command::Run { job, .. } | Command::RunFailed { job, .. } => {
            let job = existing_job(reader, *job)?;
            (job.queue.clone(), Some(job))
        }
        // What is added runs when it is processed or requested.
        _ => return Ok(given.cloned()),
    };
    let declared = reader.queue(&queue)?.map(|info| info.settings.inputs).unwrap_or_default();
    if declared.is_empty() && given.is_none() {
        return Ok(None);
    }
    let RequestInputs { values: given, snapshot } = given.map(|given| (**given).clone()).unwrap_or_default();
    let mut values = match &job {
        Some(job) => job.input_values(&declared, &given),
        None => given,
    };
    // Of several queues, others may have them.
    values.retain(|name, _| declared.iter().any(|input| input.name == *name));
    match check_inputs(&declared, &values) {
        Ok(()) => Ok(RequestInputs::of(values, snapshot)),
        Err(error) => refuse(Refusal::Inputs { queue, error }),
    }
}

impl Job {
    /// The given values and, for the other inputs, those of its last run, as far as they are still valid. Secrets are not
    /// kept.
    pub fn input_values(&self, declared: &[InputDeclaration], given: &InputValues) -> InputValues {
        let last = self.last_run.as_deref().and_then(|run| Some(&run.inputs.as_deref()?.inputs));
        with_kept_values(declared, given, last)
    }

    /// Gives a job that starts what it has no request of its own for: the environment and the inputs of the request for its
    /// queue. The secrets of that request are stored with its environment, so a job that gets secrets gets both.
    pub(crate) fn take_queue_request(
        &mut self,
        environment: Option<EnvironmentId>,
        shared: Option<&Arc<RequestInputs>>,
    ) {
        let is_secret = |inputs: &Arc<RequestInputs>| inputs.values.values().any(Option::is_none);
        let has_own_values = self.inputs.as_ref().is_some_and(|own| !own.values.is_empty());
        if !has_own_values && shared.is_some_and(is_secret) {
            self.environment = environment;
        }
        self.environment = self.environment.or(environment);
        self.inputs = RequestInputs::of_job_or_queue(self.inputs.as_ref(), shared);
    }
}

impl SiteState {
    /// The given values and, for the other inputs of a queue, those of the latest run of its jobs, as far as they are still
    /// valid. Secrets are not kept.
    pub fn input_values(&self, queue: &QueueId, given: &InputValues) -> InputValues {
        let Some(queue) = self.queue(queue).filter(|queue| !queue.settings.inputs.is_empty()) else {
            return given.clone();
        };
        let jobs = queue.finished.iter().chain(&queue.pending).chain(&queue.running).filter_map(|id| self.job(*id));
        let runs = jobs.filter_map(|job| job.last_run.as_deref()).filter(|run| run.inputs.is_some());
        let latest = runs.max_by_key(|run| run.started).and_then(|run| run.inputs.as_deref());
        with_kept_values(&queue.settings.inputs, given, latest.map(|latest| &latest.inputs))
    }
}

/// The given values and, for the other inputs, those of a run, as far as they are still valid. Secrets are not kept.
fn with_kept_values(declared: &[InputDeclaration], given: &InputValues, last: Option<&InputValues>) -> InputValues {
    let mut values = given.clone();
    for (name, value) in last.into_iter().flatten() {
        let is_valid = |input: &InputDeclaration| {
            input.name == *name && value.as_deref().is_some_and(|value| input.check(value).is_ok())
        };
        if !values.contains_key(name) && declared.iter().any(|input| !input.is_secret() && is_valid(input)) {
            values.insert(Arc::clone(name), value.clone());
        }
    }
    values
}
