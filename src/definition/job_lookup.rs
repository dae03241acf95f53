//! Finds jobs by the names used in `needs`, and suggests names for those not found.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;

use super::job_names::slug_of;
use super::queue_jobs::{JobGroup, ParsedQueue};
use super::spelling::{closest_name, quoted};

/// The maximum number of names compared for suggestions in one file.
const MAX_COMPARISONS: usize = 200_000;

/// The jobs of a file by name. Jobs are numbered in the file's order.
pub(super) struct JobLookup<'a> {
    all_queues: &'a [ParsedQueue],
    queues: HashMap<&'a str, QueueJobs<'a>>,
    /// Whether the items of an entry are the value of a job.
    has_values: bool,
    comparisons_left: usize,
}

struct QueueJobs<'a> {
    parsed_queue: &'a ParsedQueue,
    /// Jobs by name, and the jobs of a `matrix` or `for_each` by the name of the entry.
    jobs: HashMap<&'a str, Range<u32>, RandomState>,
    all_jobs: Range<u32>,
}

/// A name that matches no job.
pub(super) struct UnknownJob {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl<'a> JobLookup<'a> {
    pub(super) fn new(all_queues: &'a [ParsedQueue]) -> Self {
        let mut first = 0;
        let mut queues = HashMap::new();
        for parsed_queue in all_queues {
            let mut jobs: HashMap<&str, Range<u32>, RandomState> = HashMap::default();
            jobs.reserve(parsed_queue.jobs.len());
            jobs.extend((first..).zip(&parsed_queue.jobs).map(|(number, job)| (&*job.name, number..number + 1)));
            jobs.extend(
                parsed_queue
                    .groups
                    .iter()
                    .map(|group| (&*group.name, first + group.jobs.start..first + group.jobs.end)),
            );
            let next = first + u32::try_from(parsed_queue.jobs.len()).unwrap_or(u32::MAX);
            queues.insert(parsed_queue.id.as_str(), QueueJobs { parsed_queue, jobs, all_jobs: first..next });
            first = next;
        }
        let has_values = all_queues.iter().flat_map(|queue| &queue.groups).any(|group| group.producer.is_some());
        Self { all_queues, queues, has_values, comparisons_left: MAX_COMPARISONS }
    }

    /// Finds the jobs that `text` means in a queue: `name`, `queue/name`, or all jobs of another queue, `queue` or `queue/*`.
    /// A job takes precedence over a queue. The error is `None` if the queue has errors that may hide the job.
    pub(super) fn find(&mut self, parsed_queue: &ParsedQueue, text: &str) -> Result<Range<u32>, Option<UnknownJob>> {
        let (queue, name) = text.rsplit_once('/').unwrap_or((parsed_queue.id.as_str(), text));
        if let Some(jobs) = self.queues.get(queue).and_then(|queue_jobs| queue_jobs.jobs.get(name)) {
            return Ok(jobs.clone());
        }
        if let Some(all_jobs) = self.find_queue(parsed_queue, text) {
            return all_jobs;
        }
        Err(self.explain_unknown(queue, name, text))
    }

    /// The entries among those that `text` means in a queue whose items are the value of a job.
    pub(super) fn entries_of_values(&self, own: &ParsedQueue, text: &str) -> Vec<(&'a ParsedQueue, &'a JobGroup)> {
        if !self.has_values {
            return Vec::new();
        }
        let (queue, name) = text.rsplit_once('/').unwrap_or((own.id.as_str(), text));
        let named = self.queues.get(queue).filter(|queue_jobs| queue_jobs.jobs.contains_key(name));
        let whole = named.is_none().then(|| self.queues.get(text.strip_suffix("/*").unwrap_or(text))).flatten();
        let Some(queue_jobs) = named.or(whole) else { return Vec::new() };
        let groups = queue_jobs.parsed_queue.groups.iter().filter(|group| group.producer.is_some());
        let groups = groups.filter(|group| whole.is_some() || *group.name == *name);
        groups.map(|group| (queue_jobs.parsed_queue, group)).collect()
    }

    /// The job that returns the items of an entry.
    pub(super) fn find_producer(&self, queue: &ParsedQueue, group: &JobGroup) -> Option<u32> {
        let text = &group.producer.as_ref()?.text;
        let (queue, name) = text.rsplit_once('/').unwrap_or((queue.id.as_str(), text));
        let queue_jobs = self.queues.get(queue)?;
        let number = queue_jobs.jobs.get(name)?.start;
        let job = queue_jobs.parsed_queue.jobs.get((number - queue_jobs.all_jobs.start) as usize)?;
        // Not the only job of an entry that may define several.
        (*job.name == *name).then_some(number)
    }

    /// The entry and its queue, if `text` means one job of an entry whose items are the value of a job.
    pub(super) fn entry_of_item(&self, own: &ParsedQueue, text: &str) -> Option<(&'a ParsedQueue, &'a JobGroup)> {
        if !self.has_values || !text.ends_with(']') {
            return None;
        }
        let (queue, name) = text.rsplit_once('/').unwrap_or((own.id.as_str(), text));
        let parsed_queue = self.queues.get(queue)?.parsed_queue;
        let is_of = |group: &&JobGroup| {
            group.producer.is_some() && name.strip_prefix(&*group.name).is_some_and(|key| key.starts_with('['))
        };
        parsed_queue.groups.iter().find(is_of).map(|group| (parsed_queue, group))
    }

    /// All jobs of another queue, if `text` means one.
    fn find_queue(&self, own: &ParsedQueue, text: &str) -> Option<Result<Range<u32>, Option<UnknownJob>>> {
        let id = text.strip_suffix("/*").unwrap_or(text);
        let queue_jobs = self.queues.get(id)?;
        if own.id.as_str() == id {
            let message = format!("{} is the queue of this job, which can't need itself", quoted(id));
            return Some(Err(Some(UnknownJob { message, hint: Some("name the jobs that it needs".to_owned()) })));
        }
        if !queue_jobs.all_jobs.is_empty() {
            return Some(Ok(queue_jobs.all_jobs.clone()));
        }
        let no_jobs = || UnknownJob {
            message: format!("queue {} has no jobs in this file", quoted(id)),
            hint: Some("a job can only need jobs of this file".to_owned()),
        };
        Some(Err((!queue_jobs.parsed_queue.may_be_incomplete).then(no_jobs)))
    }

    /// Says what is unknown about a name, and what was probably meant.
    fn explain_unknown(&mut self, queue: &str, name: &str, text: &str) -> Option<UnknownJob> {
        let Some(queue_jobs) = self.queues.get(queue) else {
            let queues = self.all_queues.iter().map(|parsed_queue| parsed_queue.id.as_str());
            let hint = closest_name(queue, queues).map(|suggestion| format!("did you mean `{suggestion}/{name}`?"));
            return Some(UnknownJob { message: format!("no queue {}", quoted(queue)), hint });
        };
        if queue_jobs.parsed_queue.may_be_incomplete {
            return None;
        }
        let (message, hint) = if text.contains('/') {
            let hint = self.similar_name(queue, name).map(|suggestion| format!("did you mean `{queue}/{suggestion}`?"));
            (format!("no job {} in queue {}", quoted(name), quoted(queue)), hint)
        } else {
            (format!("no job {} in this queue", quoted(name)), self.unknown_name_hint(queue, name))
        };
        Some(UnknownJob { message, hint })
    }

    /// Suggests what to write instead of a name that the queue doesn't have.
    fn unknown_name_hint(&mut self, queue: &str, name: &str) -> Option<String> {
        if name.trim_start_matches('#').bytes().all(|byte| byte.is_ascii_digit()) {
            return Some("use the job's name, not its number".to_owned());
        }
        let others = |parsed_queue: &&ParsedQueue| parsed_queue.id.as_str() != queue;
        let has = |parsed_queue: &&ParsedQueue| self.queues[parsed_queue.id.as_str()].jobs.contains_key(name);
        if let Some(other) = self.all_queues.iter().filter(others).find(has) {
            return Some(format!("write `{}/{name}`", other.id));
        }
        if let Some(suggestion) = self.similar_name(queue, name) {
            return Some(format!("did you mean `{suggestion}`?"));
        }
        let others = self.all_queues.iter().filter(others).map(|parsed_queue| parsed_queue.id.as_str());
        let others: Vec<&str> = others.collect();
        if let Some(similar) = closest_name(name, others.iter().copied()) {
            return Some(format!("did you mean the queue `{similar}`?"));
        }
        others
            .into_iter()
            .find_map(|queue| Some(format!("did you mean `{queue}/{}`?", self.similar_name(queue, name)?)))
    }

    /// Finds a job of the queue with a similar name, or with the name generated from this title.
    fn similar_name(&mut self, queue: &str, name: &str) -> Option<&'a str> {
        let queue_jobs = self.queues.get(queue)?;
        let slug = slug_of(name);
        if let Some((suggestion, _)) = queue_jobs.jobs.get_key_value(&*slug) {
            return Some(suggestion);
        }
        let parsed_queue = queue_jobs.parsed_queue;
        self.comparisons_left = self.comparisons_left.checked_sub(parsed_queue.jobs.len())?;
        let names = parsed_queue.jobs.iter().map(|job| &*job.name);
        closest_name(&slug, names.chain(parsed_queue.groups.iter().map(|group| &*group.name)))
    }
}
