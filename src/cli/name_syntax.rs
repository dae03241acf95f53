//! How queues and jobs are named on the command line, and suggestions for names that don't exist.

use std::slice::from_ref;

use crate::model::{JobId, QueueId};
use crate::text;

/// Parses a job number: `7`, `#7` or `queue/#7`.
pub(super) fn parse_id(text: &str) -> Option<JobId> {
    let number = text.strip_prefix('#').unwrap_or(text).rsplit("/#").next()?;
    number.parse().ok().map(JobId)
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
    let score = |name: &String| strsim::jaro_winkler(text, name);
    let best = known.iter().filter(|name| score(name) > 0.7).max_by(|a, b| score(a).total_cmp(&score(b)));
    best.map(|name| format!("; did you mean {name:?}?"))
}

/// The known names, for one that resembles none of them.
pub(super) fn list_names(what: &str, known: &[String]) -> String {
    const MAX_LISTED: usize = 10;
    let more = known.len().saturating_sub(MAX_LISTED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    match known {
        [] => format!("; there are no {what}s"),
        [only] => format!("; the only {what} is {only}"),
        _ => format!("; the {what}s are {}{more}", known[..known.len().min(MAX_LISTED)].join(", ")),
    }
}
