//! Finds the jobs and queues that the arguments of a command name.

use super::entry_jobs::{jobs_of_entry, several_jobs};
use super::error::{CliError, warn};
use super::name_syntax::{all_jobs_of, list_names, parse_id, shorten, suggest_job, suggestion, whole_queue};
use super::open_site::OpenSite;
use super::queue_or_job::QueueOrJob;
use crate::model::{Job, JobId, Phase, QueueId, RemovalReason, SiteState};
use crate::text;

impl OpenSite {
    /// Finds a job: `queue/name`, `7`, `#7`, or a name that is unique in the site.
    pub(super) fn job(&mut self, text: &str) -> Result<Job, CliError> {
        if let Some(id) = parse_id(text) {
            return self.job_by_id(id);
        }
        let site_state = self.state_of(&[text.to_owned()])?;
        self.job_by_name(&site_state, text)
    }

    /// Same in a loaded state.
    pub(super) fn job_in(&mut self, site_state: &SiteState, text: &str) -> Result<Job, CliError> {
        match parse_id(text) {
            Some(id) => self.job_by_id(id),
            None => self.job_by_name(site_state, text),
        }
    }

    /// Finds queues and jobs; all queues if there are no texts. A queue takes precedence over a job of the same name.
    pub(super) fn targets(&mut self, site_state: &SiteState, texts: &[String]) -> Result<Vec<QueueOrJob>, CliError> {
        if texts.is_empty() {
            return Ok(site_state.queues().into_iter().map(|(id, _)| QueueOrJob::Queue(id.clone())).collect());
        }
        let mut target = |text: &String| -> Result<QueueOrJob, CliError> {
            if let Some(queue) = whole_queue(text) {
                return Ok(QueueOrJob::Queue(self.queues(site_state, &[queue.to_owned()])?.remove(0)));
            }
            let queue = QueueId::from(text.as_str());
            Ok(match site_state.queue(&queue) {
                Some(_) => QueueOrJob::Queue(queue),
                None => QueueOrJob::Job(self.job_in(site_state, text)?.id),
            })
        };
        let mut targets = Vec::with_capacity(texts.len());
        for text in texts {
            let is_queue = site_state.queue(&QueueId::from(text.as_str())).is_some();
            match jobs_of_entry(site_state, text) {
                jobs if jobs.is_empty() || is_queue => targets.push(target(text)?),
                jobs => targets.extend(jobs.into_iter().map(|job| QueueOrJob::Job(job.id))),
            }
        }
        Ok(targets)
    }

    fn job_by_id(&mut self, id: JobId) -> Result<Job, CliError> {
        let job = self.job_or_record(id)?;
        let path = text::sanitize_line(&job.path());
        let removed = match self.store.removal_reason(id)? {
            Some(RemovalReason::User) => format!("{path} was removed; `setlist restore {}` brings it back", id.0),
            Some(RemovalReason::NotInFile) if job.phase() != Phase::Finished => {
                format!("{path} was removed, because its entry is no longer in jobs.yaml")
            }
            _ => return Ok(job),
        };
        if !self.reads_removed_jobs {
            return Err(CliError::Usage(removed));
        }
        warn(&removed);
        Ok(job)
    }

    /// Finds a job that may have been removed, if it is given by its number.
    pub(super) fn job_to_restore(&mut self, site_state: &SiteState, text: &str) -> Result<Job, CliError> {
        match parse_id(text) {
            Some(id) => self.job_or_record(id),
            None => self.job_by_name(site_state, text),
        }
    }

    fn job_or_record(&mut self, id: JobId) -> Result<Job, CliError> {
        self.store.job(id)?.ok_or_else(|| CliError::Usage(format!("there is no job {id}")))
    }

    pub(super) fn job_by_name(&self, site_state: &SiteState, text: &str) -> Result<Job, CliError> {
        let found: Vec<&Job> = match text.rsplit_once('/') {
            Some((queue, name)) => site_state.job_named(&QueueId::from(queue), name).into_iter().collect(),
            None => site_state.jobs().filter(|job| job.name() == Some(text)).collect(),
        };
        match found[..] {
            [job] => Ok(job.clone()),
            [] if text.starts_with('@') => recent_job(site_state, text, self.paths.state.last_requested_job()).cloned(),
            [] if let queue = QueueId::from(text)
                && site_state.queue(&queue).is_some() =>
            {
                let all = all_jobs_of(&queue);
                Err(CliError::Usage(text::sanitize_line(&format!(
                    "{text:?} is a queue; write {all} for all of its jobs"
                ))))
            }
            [] if let jobs = jobs_of_entry(site_state, text)
                && !jobs.is_empty() =>
            {
                Err(several_jobs(&format!("{text:?} means"), &jobs))
            }
            [] => {
                let paths: Vec<String> = site_state.jobs().filter(|job| job.name().is_some()).map(Job::path).collect();
                let queues: Vec<String> = site_state.queues().iter().map(|(id, _)| id.to_string()).collect();
                let hint = suggest_job(text, &paths, &queues);
                Err(self.unknown_name("job", text, hint))
            }
            _ => {
                let mut paths: Vec<String> = found.iter().map(|job| job.path()).collect();
                paths.sort();
                Err(CliError::Usage(format!("{text:?} is the name of several jobs; use {}", paths.join(" or "))))
            }
        }
    }

    /// Finds queues; all of them if there are no names.
    pub(super) fn queues(&self, site_state: &SiteState, names: &[String]) -> Result<Vec<QueueId>, CliError> {
        let known: Vec<QueueId> = site_state.queues().into_iter().map(|(id, _)| id.clone()).collect();
        if names.is_empty() {
            return Ok(known);
        }
        let find = |name: &String| {
            let queue = |name: &str| known.iter().find(|id| id.as_str() == name).cloned();
            queue(name).or_else(|| queue(whole_queue(name)?)).ok_or_else(|| {
                if let Some(job) = self.job_meant(site_state, name) {
                    let (path, queue) = (job.path(), &job.queue);
                    let message = format!("{path} is a job, not a queue; its queue is {queue}");
                    return CliError::Usage(text::sanitize_line(&message));
                }
                let names: Vec<String> = known.iter().map(ToString::to_string).collect();
                let hint = suggestion(name, &names).unwrap_or_else(|| list_names("queue", &names));
                self.unknown_name("queue", name, Some(hint))
            })
        };
        names.iter().map(find).collect()
    }

    /// The job that was named where a queue is expected.
    pub(super) fn job_meant<'s>(&self, site_state: &'s SiteState, name: &str) -> Option<&'s Job> {
        if site_state.queue(&QueueId::from(name)).is_some() {
            return None;
        }
        match parse_id(name) {
            Some(id) => site_state.job(id),
            None => self.job_by_name(site_state, name).ok().and_then(|job| site_state.job(job.id)),
        }
    }

    /// The error for an unknown name, with a suggestion.
    fn unknown_name(&self, what: &str, name: &str, hint: Option<String>) -> CliError {
        let file_hint = if self.file_error.is_some() { "; jobs.yaml has errors, see `setlist check`" } else { "" };
        let name = shorten(name);
        CliError::Usage(format!("there is no {what} {name:?}{}{file_hint}", hint.unwrap_or_default()))
    }
}

/// The job that `@last` or `@failed` (failed last, also `@last-failed`) refers to. `@last` is the job that the user added or
/// asked for last, not one that a queue has started since; where there is none, the one that was added or started last.
fn recent_job<'a>(site_state: &'a SiteState, text: &str, requested: Option<JobId>) -> Result<&'a Job, CliError> {
    let started = |job: &Job| job.last_run.as_ref().map(|run| run.started);
    let has_failed = |job: &&Job| job.failure().is_some();
    let requested = requested.and_then(|id| site_state.job(id));
    let found = match text {
        "@last" if requested.is_some() => requested,
        "@last" => site_state.jobs().max_by_key(|job| (started(job).max(Some(job.enqueued)), job.id)),
        "@failed" | "@last-failed" => site_state.jobs().filter(has_failed).max_by_key(|job| (started(job), job.id)),
        _ => return Err(CliError::Usage(format!("unknown reference {text:?}; use @last or @failed"))),
    };
    found.ok_or_else(|| CliError::Usage(format!("there is no job for {text}")))
}
