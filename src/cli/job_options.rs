//! Converts the options of an added job into scheduling and execution options.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::NewJobArgs;
use super::entry_jobs::{jobs_of_entry, jobs_of_queue};
use super::error::CliError;
use super::job_option_args::JobOptionArgs;
use super::name_syntax::whole_queue;
use super::open_site::OpenSite;
use crate::model::{
    ExecOptions, Hook, Job, JobRef, Need, OutcomeCondition, Program, QueueId, RetryPolicy, SchedulingOptions,
    SnapshotKind,
};
use crate::text;

/// Suffixes of a needed job: the outcome that is needed.
const OUTCOME_SUFFIXES: [(&str, OutcomeCondition); 3] = [
    (":success", OutcomeCondition::Success),
    (":failure", OutcomeCondition::Failure),
    (":finish", OutcomeCondition::Finish),
];

impl NewJobArgs {
    /// The scheduling options of jobs that are added to `queue` of this site.
    pub(super) fn scheduling_options(
        &self,
        site: &mut OpenSite,
        queue: &QueueId,
    ) -> Result<SchedulingOptions, CliError> {
        let unique = self.unique.as_deref().map(Into::into);
        Ok(SchedulingOptions { unique, ..self.options.scheduling_options(site, queue)? })
    }
}

impl JobOptionArgs {
    fn scheduling_options(&self, site: &mut OpenSite, queue: &QueueId) -> Result<SchedulingOptions, CliError> {
        let mut needs: Vec<Need> = Vec::new();
        for text in &self.needs {
            for need in parse_needs(site, queue, text)? {
                if needs.iter().any(|other| other.job == need.job) {
                    return Err(CliError::Usage(format!("{} is needed twice", need.job)));
                }
                needs.push(need);
            }
        }
        let defaults = SchedulingOptions::default();
        Ok(SchedulingOptions {
            needs,
            after: self.after,
            priority: self.priority.unwrap_or(defaults.priority),
            weight: self.weight.unwrap_or(defaults.weight),
            retry: self.retry.map_or(defaults.retry, |max| self.retry_policy(max)),
            confirm: self.confirm.clone(),
            schedule: None,
            uses: Vec::new(),
            runs_on: self.runs_on.clone(),
            unique: None,
            expect: None,
            item_entries: Vec::new(),
        })
    }

    fn retry_policy(&self, max: u32) -> RetryPolicy {
        let defaults = RetryPolicy::times(max);
        let delay = self.retry_delay.unwrap_or(defaults.delay);
        RetryPolicy { delay, max_delay: defaults.max_delay.max(delay), ..defaults }
    }

    /// Sets the execution options of a job that is added in the folder `here`.
    pub(super) fn set_exec_options(&self, exec: &mut ExecOptions, here: &Path) {
        exec.env_files = self.env_file.iter().map(|file| from_folder(here, file)).collect();
        exec.pty = self.pty;
        exec.snapshot = self.snapshot.then_some(SnapshotKind::Git);
        exec.on_finish = self
            .on_finish
            .as_ref()
            .map(|text| Arc::new(Hook::new(Program::Run { text: text.into(), shell: Program::default_shell() })));
        exec.log_limit = self.log_limit.unwrap_or(exec.log_limit);
    }
}

/// A path as typed in the folder `here`. The runner expands a leading `~`.
pub(super) fn from_folder(here: &Path, path: &Path) -> PathBuf {
    if path.starts_with("~") { path.to_owned() } else { here.join(path) }
}

/// Parses needs: a job, or all jobs that another queue has now, optionally with an outcome suffix. A name without a queue is
/// a job of the same queue, or else a queue.
fn parse_needs(site: &mut OpenSite, queue: &QueueId, text: &str) -> Result<Vec<Need>, CliError> {
    let with_suffix = OUTCOME_SUFFIXES.iter().find_map(|(end, on)| Some((text.strip_suffix(end)?, *on)));
    let (name, on) = with_suffix.unwrap_or((text, OutcomeCondition::Success));
    let number = name.rsplit('/').next().unwrap_or_default().trim_start_matches('#');
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        let site_state = site.site_state()?;
        let (of, job_name) =
            name.rsplit_once('/').map_or((queue.clone(), name), |(of, name)| (QueueId::from(of), name));
        let whole = QueueId::from(whole_queue(name).unwrap_or(name));
        if site_state.job_named(&of, job_name).is_none() && site_state.queue(&whole).is_some() {
            let needs: Vec<Need> = jobs_of_queue(&site_state, &whole).map(|job| need_for(job, false, on)).collect();
            let message = match needs.is_empty() {
                _ if whole == *queue => format!("{whole} is the queue of the job, which can't need itself"),
                true => format!("{whole} has no jobs"),
                false => return Ok(needs),
            };
            return Err(CliError::Usage(text::sanitize_line(&message)));
        }
    }
    if !is_number {
        let path = if name.contains('/') { name.to_owned() } else { format!("{queue}/{name}") };
        let site_state = site.site_state()?;
        let needs: Vec<Need> =
            jobs_of_entry(&site_state, &path).into_iter().map(|job| need_for(job, false, on)).collect();
        if !needs.is_empty() {
            return Ok(needs);
        }
    }
    let job = if is_number || name.contains('/') { site.job(name)? } else { site.job(&format!("{queue}/{name}"))? };
    Ok(vec![need_for(&job, is_number, on)])
}

fn need_for(job: &Job, by_number: bool, on: OutcomeCondition) -> Need {
    let target = match &job.definition.name {
        Some(name) if !by_number => JobRef::Named(job.queue.clone(), name.clone()),
        _ => JobRef::Number(job.id),
    };
    Need { job: target, on }
}
