//! The jobs of a queue, and those that one entry of `jobs.yaml` defines.

use super::error::CliError;
use super::name_syntax::is_name;
use crate::model::{Job, Phase, QueueId, SiteState};
use crate::text;

/// The jobs of a queue: finished, running, pending.
pub(super) fn jobs_of_queue<'a>(site_state: &'a SiteState, queue: &QueueId) -> impl Iterator<Item = &'a Job> {
    let phases = [Phase::Finished, Phase::Running, Phase::Pending];
    let lists = site_state.queue(queue).into_iter().flat_map(move |queue| phases.map(|phase| queue.jobs_in(phase)));
    lists.flatten().filter_map(|id| site_state.job(*id))
}

/// The jobs that an entry with a `matrix` or `for_each` defines, in the order of the queue: `queue/name`, or its name alone if
/// no job has that name. Empty for any other text.
pub(super) fn jobs_of_entry<'a>(site_state: &'a SiteState, text: &str) -> Vec<&'a Job> {
    let (queue, name) = match text.rsplit_once('/') {
        Some((queue, name)) => (Some(QueueId::from(queue)), name),
        None => (None, text),
    };
    let queues = match &queue {
        _ if !is_name(text) => Vec::new(),
        Some(queue) if site_state.job_named(queue, name).is_some() => Vec::new(),
        Some(queue) => vec![queue],
        None => site_state.queues().into_iter().map(|(id, _)| id).collect(),
    };
    let jobs: Vec<&Job> = queues.into_iter().flat_map(|queue| jobs_of_queue(site_state, queue)).collect();
    if jobs.iter().any(|job| job.name() == Some(name)) {
        return Vec::new();
    }
    let is_of_entry = |job: &&Job| job.definition.matrix.as_ref().is_some_and(|matrix| *matrix.entry == *name);
    jobs.into_iter().filter(is_of_entry).collect()
}

/// The error for several jobs where one is expected.
pub(super) fn several_jobs(message: &str, jobs: &[&Job]) -> CliError {
    const MAX_LISTED: usize = 5;
    let paths: Vec<String> = jobs.iter().take(MAX_LISTED).map(|job| job.path()).collect();
    let more = jobs.len().saturating_sub(MAX_LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let count = text::count_noun(jobs.len(), "job");
    let message = format!("{message} {count}: {}{more}", paths.join(", "));
    CliError::Usage(text::sanitize_line(message.trim_end_matches(": ")))
}
