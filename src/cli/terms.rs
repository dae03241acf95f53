//! On what terms jobs run that are added by hand: the options for it, and what they mean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, value_parser};

use super::CliError;
use super::site::OpenSite;
use crate::definition::units;
use crate::model::{ExecOptions, JobRef, Need, NotBefore, OutcomeCondition, QueueId, RetryPolicy, SchedulingOptions};

/// How a needed job has to finish, behind its name.
const HOW: [(&str, OutcomeCondition); 3] = [
    (":success", OutcomeCondition::Success),
    (":failure", OutcomeCondition::Failure),
    (":finish", OutcomeCondition::Finish),
];

#[derive(Debug, Args)]
pub(super) struct TermArgs {
    /// A job that has to succeed first: `queue/name` or a number; with `:failure` behind it, that has to fail, with
    /// `:finish`, that has to finish. May be repeated.
    #[arg(long, value_name = "JOB")]
    needs: Vec<String>,
    /// Not before this long from now (`10m`), or not before this time (`2026-11-22 18:00`, or as in RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = units::parse_after)]
    after: Option<NotBefore>,
    /// Higher goes first; 0 where nothing is said.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// How many of its queue's slots each job takes; 1 where nothing is said.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    weight: Option<u32>,
    /// How many more runs may follow one that fails.
    #[arg(long, value_name = "N")]
    retry: Option<u32>,
    /// The time before the first of them, 1s where nothing is said; each other one follows after twice as long.
    #[arg(long, value_name = "DURATION", requires = "retry", value_parser = units::parse_duration)]
    retry_delay: Option<Duration>,
    /// What a person is asked before it runs.
    #[arg(long, value_name = "TEXT", value_parser = question)]
    confirm: Option<String>,
    /// A file of NAME=value lines, read when the job starts; may be repeated.
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Run it in a pseudo-terminal.
    #[arg(long)]
    pty: bool,
    /// How much output of a run is kept, its head and its tail (`16MiB`, `500kB`).
    #[arg(long, value_name = "SIZE", value_parser = units::parse_log_limit)]
    log_limit: Option<u64>,
}

fn question(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("the question is empty") } else { Ok(text.to_owned()) }
}

impl TermArgs {
    /// The terms of jobs that are added to `queue`, whose site has the jobs that they need.
    pub(super) fn terms(&self, site: &mut OpenSite, queue: &QueueId) -> Result<SchedulingOptions, CliError> {
        let mut needs: Vec<Need> = Vec::new();
        for text in &self.needs {
            let need = need(site, queue, text)?;
            if needs.iter().any(|other| other.job == need.job) {
                return Err(CliError::Usage(format!("{} is needed twice", need.job)));
            }
            needs.push(need);
        }
        let usual = SchedulingOptions::default();
        Ok(SchedulingOptions {
            needs,
            after: self.after,
            priority: self.priority.unwrap_or(usual.priority),
            weight: self.weight.unwrap_or(usual.weight),
            retry: self.retry.map_or(usual.retry, |max| self.retries(max)),
            confirm: self.confirm.clone(),
        })
    }

    fn retries(&self, max: u32) -> RetryPolicy {
        let usual = RetryPolicy::times(max);
        let delay = self.retry_delay.unwrap_or(usual.delay);
        RetryPolicy { delay, max_delay: usual.max_delay.max(delay), ..usual }
    }

    /// Completes the setup of a job that is added in the folder `here`.
    pub(super) fn set_up(&self, setup: &mut ExecOptions, here: &Path) {
        setup.env_files = self.env_file.iter().map(|file| from_folder(here, file)).collect();
        setup.pty = self.pty;
        setup.log_limit = self.log_limit.unwrap_or(setup.log_limit);
    }
}

/// A path as typed in the folder `here`. The runner expands a leading `~`.
pub(super) fn from_folder(here: &Path, path: &Path) -> PathBuf {
    if path.starts_with("~") { path.to_owned() } else { here.join(path) }
}

/// The need that `text` means: a job, and maybe how it has to finish. A name alone is of a job in the same queue.
fn need(site: &mut OpenSite, queue: &QueueId, text: &str) -> Result<Need, CliError> {
    let how = HOW.iter().find_map(|(end, on)| Some((text.strip_suffix(end)?, *on)));
    let (name, on) = how.unwrap_or((text, OutcomeCondition::Success));
    let number = name.rsplit('/').next().unwrap_or_default().trim_start_matches('#');
    let by_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let job = if by_number || name.contains('/') { site.job(name)? } else { site.job(&format!("{queue}/{name}"))? };
    let target = match &job.definition.name {
        Some(name) if !by_number => JobRef::Named(job.queue.clone(), name.clone()),
        _ => JobRef::Number(job.id),
    };
    Ok(Need { job: target, on })
}
