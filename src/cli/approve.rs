//! `setlist approve`: approves jobs or refuses them, and lists those that need approval.

use std::io::{BufWriter, Write};

use super::error::{CliError, warn};
use super::exit::ExitStatus;
use super::job_args::ApproveArgs;
use super::job_commands::{print_results, submit_all};
use super::job_selection::{JobKind, separate_queues};
use super::json_records::{JobRecord, write_json};
use super::name_syntax::all_jobs_of;
use super::open_site::OpenSite;
use super::safe_output;
use crate::clock;
use crate::model::{Command, Job, QueueMode, SiteState, WaitReason};
use crate::site::{save_own_environment, user_name};
use crate::text;

/// Approves jobs, or refuses them. Without a job, lists those that need approval.
pub(super) fn approve(site: OpenSite, args: &ApproveArgs) -> Result<ExitStatus, CliError> {
    let ApproveArgs { jobs: names, filter, refuse, json } = args;
    if names.is_empty() && filter.is_empty() {
        if *refuse {
            let usage = "name the jobs to refuse; `setlist approve` lists those that need approval";
            return Err(CliError::Usage(usage.to_owned()));
        }
        return list(site, *json);
    }
    let mut site = site.require_valid_file()?;
    let site_state = site.state_for(names, filter)?;
    refuse_queues(&site_state, names)?;
    let jobs = site.select_jobs_from(&site_state, names, filter, JobKind::UNAPPROVED)?;
    let by = user_name();
    let command = |job| {
        let (jobs, by) = (vec![job], by.clone());
        if *refuse { Command::Refuse { jobs, by } } else { Command::Approve { jobs, by } }
    };
    let results = submit_all(&mut site, &jobs, *json, command)?;
    let worker = site.ensure_worker();
    let exit = print_results(&mut site, &jobs, results, *json, |site, job, _| {
        if *refuse { Ok("refused".to_owned()) } else { describe_approved(site, job) }
    });
    worker?;
    exit
}

/// Refuses the names of queues: an approval is for a job that was seen. The message names the jobs that need it.
fn refuse_queues(site_state: &SiteState, names: &[String]) -> Result<(), CliError> {
    let is_job = |name: &str| site_state.jobs().any(|job| job.name() == Some(name));
    let jobs: Vec<String> = names.iter().filter(|name| !is_job(name)).cloned().collect();
    let (queues, _) = separate_queues(site_state, &jobs)?;
    let Some(queue) = queues.first() else { return Ok(()) };
    let waiting: Vec<String> = site_state.awaiting_approval(queue).map(Job::path).collect();
    let hint = match &waiting[..] {
        [] => "none of its jobs needs approval".to_owned(),
        [only] => format!("write {only}"),
        _ => format!("write {}, or {} for all of them", waiting.join(" or "), all_jobs_of(queue)),
    };
    Err(CliError::Usage(text::sanitize_line(&format!("{queue} is a queue; {hint}"))))
}

/// Lists the jobs that need approval: first those whose turn has come.
fn list(mut site: OpenSite, json: bool) -> Result<ExitStatus, CliError> {
    let site_state = site.site_state()?;
    let queues = site_state.queues();
    let jobs = queues.iter().flat_map(|(queue, _)| site_state.awaiting_approval(queue));
    let (due, later): (Vec<&Job>, Vec<&Job>) = jobs.partition(|job| site_state.is_approval_due(job));
    let now = clock::now();
    let mut out = BufWriter::new(safe_output::stdout());
    for job in due.iter().chain(&later) {
        let reason = site_state.wait_reason(job);
        if json {
            write_json(&mut out, &JobRecord::new(job, reason.as_ref(), now))?;
            continue;
        }
        let question = job.definition.scheduling.confirm.as_deref().unwrap_or_default();
        let when = match reason {
            _ if site_state.is_approval_due(job) => "its turn has come".to_owned(),
            None | Some(WaitReason::Confirm) => describe_turn(&site_state, job),
            Some(reason) => reason.describe(now),
        };
        writeln!(out, "{}", text::sanitize_line(&format!("{}  {}  {question}  ({when})", job.id, job.path())))?;
    }
    out.flush()?;
    drop(out);
    match due.first().or(later.first()) {
        None => warn("no job needs approval"),
        Some(_) if json => {}
        Some(job) => {
            let approve = text::shell_command(&["setlist".to_owned(), "approve".to_owned(), job.path()]);
            warn(&text::sanitize_line(&format!("`{approve}` approves it; `--refuse` cancels it")));
        }
    }
    site.finish(ExitStatus::Success)
}

/// Why the turn of a job has not come that waits for approval only.
fn describe_turn(site_state: &SiteState, job: &Job) -> String {
    match site_state.queue(&job.queue).map(|queue| queue.mode) {
        Some(QueueMode::Processing) => "after the jobs before it".to_owned(),
        Some(QueueMode::Paused) => format!("{} is paused", job.queue),
        Some(QueueMode::Stopped) => format!("{} is stopped", job.queue),
        Some(QueueMode::Idle) | None => format!("{} is not being processed", job.queue),
    }
}

/// Says whether an approved job will run, and with which environment.
fn describe_approved(site: &mut OpenSite, job: &Job) -> Result<String, CliError> {
    let site_state = site.state_of_job(job)?;
    let Some(job) = site_state.job(job.id) else { return Ok("approved".to_owned()) };
    let approved = match site_state.wait_reason(job) {
        None | Some(WaitReason::FreeSlot) => "approved".to_owned(),
        Some(WaitReason::QueueIdle) => {
            let queue = text::sanitize_line(job.queue.as_str());
            format!("approved; `setlist process {queue}` runs it")
        }
        Some(reason) => format!("approved; {}", reason.describe(clock::now())),
    };
    let queue = site_state.queue(&job.queue).filter(|queue| queue.mode == QueueMode::Processing);
    let requested = job.environment.or_else(|| queue?.environment);
    let is_other = match requested {
        Some(environment) => environment != save_own_environment(&site.paths.state)?.id(),
        None => false,
    };
    let note = if is_other { "; it gets the environment of the request for it, not yours" } else { "" };
    Ok(format!("{approved}{note}"))
}
