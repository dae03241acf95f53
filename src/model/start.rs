//! Starting a run: what it gets besides the definition of its job.

use std::sync::Arc;

use super::input::values_of_run;
use super::pool_turns::assign_units;
use super::value_placeholders::{
    FullResult, command_line, fill, has_value_placeholders, resolve_input_placeholders, resolve_placeholders,
};
use super::{Job, Outcome, Phase, RequestInputs, RunInputs, ScaledLimits, StateReader};

/// The results of so many needed jobs are recorded with a run, and of others that placeholders name.
const MAX_RESULTS: usize = 100;

/// How many bytes of values are recorded with a run.
const MAX_RECORDED_BYTES: usize = 256 * 1024;

/// What a run of a job gets if it starts now; `None` if pools have too few free units.
pub(super) fn run_inputs<R: StateReader>(reader: &R, job: &Job) -> Result<Option<RunInputs>, R::Error> {
    let Some(pools) = assign_units(reader, job)? else { return Ok(None) };
    let scaled = scaled_limits(job);
    let mut inputs = RunInputs { pools, scaled, ..next_values(reader, job)? };
    if !inputs.filled.is_empty() && inputs.problem.is_none() {
        inputs.command = command_line(&fill(&job.definition, &inputs.filled));
    }
    Ok(Some(inputs))
}

/// The limits of the next attempt at a job that have grown. None of the first attempt after a request.
fn scaled_limits(job: &Job) -> ScaledLimits {
    let scale = &job.definition.scheduling.retry.scale;
    let (Some(run), Some(script)) = (job.last_run.as_deref(), job.script()) else { return ScaledLimits::default() };
    if scale.is_none() || job.current_attempt() == 0 {
        return ScaledLimits::default();
    }
    let last = run.inputs.as_deref().map(|inputs| inputs.scaled).unwrap_or_default();
    let reached = run.end.as_ref().and_then(|end| end.cause.as_deref()).map(|cause| cause.kind);
    scale.next(last, reached, script.exec.limits.memory, script.exec.timeout)
}

/// The values of needed jobs and of inputs that a run of a job gets if it starts now.
pub(super) fn next_values<R: StateReader>(reader: &R, job: &Job) -> Result<RunInputs, R::Error> {
    let mut inputs = RunInputs::default();
    if !job.needs.is_empty() {
        add_results(reader, job, &mut inputs)?;
    }
    add_request(reader, job, &mut inputs)?;
    Ok(inputs)
}

/// Adds the results of the needed jobs, and fills in placeholders for their values.
fn add_results<R: StateReader>(reader: &R, job: &Job, inputs: &mut RunInputs) -> Result<(), R::Error> {
    let has_placeholders = has_value_placeholders(&job.definition);
    let most = if has_placeholders { usize::MAX } else { MAX_RESULTS };
    let mut results = Vec::new();
    for need in job.needs.iter().take(most) {
        results.extend(reader.needed_job(need.job)?.map(|needed| result_of(&needed.job, job)));
    }
    if has_placeholders {
        match resolve_placeholders(&job.definition, &results) {
            Ok((filled, is_cut)) => {
                (inputs.filled, inputs.is_cut) = (filled, is_cut);
            }
            Err(problem) => inputs.problem = Some(problem),
        }
    }
    let mut budget = MAX_RECORDED_BYTES;
    inputs.needs = results.into_iter().take(MAX_RESULTS).map(|result| result.record(&mut budget)).collect();
    inputs.is_cut |= inputs.needs.iter().any(|result| result.is_cut);
    Ok(())
}

/// Adds what the request for the job or its queue gives: a snapshot, and the values of the inputs of the queue, and fills
/// in placeholders for these.
fn add_request<R: StateReader>(reader: &R, job: &Job, inputs: &mut RunInputs) -> Result<(), R::Error> {
    let Some(queue) = reader.queue(&job.queue)? else { return Ok(()) };
    let given = RequestInputs::of_job_or_queue(job.inputs.as_ref(), queue.inputs.as_ref());
    if job.runs_on_snapshot() {
        inputs.snapshot = given.as_ref().and_then(|given| given.snapshot.clone());
    }
    if queue.settings.inputs.is_empty() {
        return Ok(());
    }
    match values_of_run(&queue.settings.inputs, given.as_deref().map(|given| &given.values)) {
        Ok(values) => {
            inputs.filled.extend(resolve_input_placeholders(&job.definition, &values));
            inputs.inputs = values;
        }
        Err(name) => {
            let message = format!("input {name} has no value; give one with --input {name}=VALUE");
            inputs.problem = inputs.problem.take().or(Some(message));
        }
    }
    Ok(())
}

fn result_of(needed: &Job, job: &Job) -> FullResult {
    let path = needed.path();
    let name: Arc<str> = match needed.name() {
        Some(name) if needed.queue == job.queue => name.into(),
        None if needed.queue == job.queue => needed.id.to_string().into(),
        _ => path.as_str().into(),
    };
    let outcome = match needed.phase() {
        Phase::Finished => needed.outcome().map_or("finished", Outcome::as_str),
        phase => phase.as_str(),
    };
    FullResult { name, path, outcome: outcome.into(), value: needed.result_value().cloned() }
}
