//! How queues and jobs are named on the command line, and suggestions for names that don't exist.

use std::borrow::Cow;
use std::slice::from_ref;

use crate::model::{JobId, QueueId};
use crate::store::JobName;
use crate::text;

/// Parses a job number: `7`, `#7` or `queue/#7`.
pub(super) fn parse_id(text: &str) -> Option<JobId> {
    let number = text.strip_prefix('#').unwrap_or(text).rsplit("/#").next()?;
    number.parse().ok().map(JobId)
}

/// How a word names a job.
pub(super) fn job_name(text: &str) -> JobName<'_> {
    match (parse_id(text), text.rsplit_once('/')) {
        (Some(id), _) => JobName::Number(id),
        (None, Some((queue, name))) => JobName::InQueue(queue, name),
        (None, None) => JobName::InAnyQueue(text),
    }
}

/// Whether a word names a queue or job that a site has or hasn't: numbers and `@last` apply to any site.
pub(super) fn is_name(text: &str) -> bool {
    parse_id(text).is_none() && !text.starts_with('@')
}

/// Whether a word is the number of a job.
pub(super) fn is_number(text: &str) -> bool {
    parse_id(text).is_some()
}

/// The queue in `queue/*`.
pub(super) fn whole_queue(name: &str) -> Option<&str> {
    name.strip_suffix("/*").filter(|queue| !queue.is_empty())
}

/// How all jobs of a queue are written in a shell: `'build/*'`.
pub(super) fn all_jobs_of(queue: &QueueId) -> String {
    text::shell_command(from_ref(&format!("{queue}/*")))
}

/// Suggests a known name instead of one that doesn't exist.
pub(super) fn suggestion(text: &str, known: &[String]) -> Option<String> {
    closest(text, known).map(|(name, _)| format!("; did you mean {name:?}?"))
}

/// Suggests a job, or a queue whose name is closer.
pub(super) fn suggest_job(text: &str, jobs: &[String], queues: &[String]) -> Option<String> {
    match (closest(text, jobs), closest(text, queues)) {
        (Some((_, of_job)), Some((queue, of_queue))) if of_queue > of_job => {
            Some(format!("; did you mean the queue {queue:?}?"))
        }
        (None, Some((queue, _))) => Some(format!("; did you mean the queue {queue:?}?")),
        (job, _) => job.map(|(name, _)| format!("; did you mean {name:?}?")),
    }
}

/// The known name that is most similar, and how similar it is.
fn closest<'a>(text: &str, known: &'a [String]) -> Option<(&'a String, f64)> {
    let scored = known.iter().map(|name| (name, strsim::jaro_winkler(text, name)));
    scored.filter(|(_, score)| *score > 0.7).max_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// A name as messages repeat it, without the rest of a very long one.
pub(super) fn shorten(name: &str) -> Cow<'_, str> {
    const MAX_CELLS: usize = 60;
    text::fit(name, MAX_CELLS, text::ELLIPSIS)
}

/// The known names, for one that resembles none of them.
pub(super) fn list_names(what: &str, known: &[String]) -> String {
    const MAX_LISTED: usize = 10;
    let more = known.len().saturating_sub(MAX_LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let listed: Vec<_> = known.iter().take(MAX_LISTED).map(|name| shorten(name)).collect();
    match &listed[..] {
        [] => format!("; there are no {what}s"),
        [only] => format!("; the only {what} is {only}"),
        _ => format!("; the {what}s are {}{more}", listed.join(", ")),
    }
}
