//! `setlist retry`, `approve`, `cancel`, `remove`, `restore`, `move` and `reset`: commands that change jobs.

use std::collections::HashMap;
use std::io::{BufWriter, Write};

use super::args::{JobArgs, MoveArgs, RetryArgs};
use super::error::CliError;
use super::error::warn;
use super::exit::ExitStatus;
use super::json_records::{JobRecord, write_json};
use super::open_site::OpenSite;
use super::safe_output;
use crate::clock;
use crate::model::{
    Command, Event, Job, JobId, JobState, Outcome, Phase, Placement, QueueMode, Refusal, SiteState, StopSignal,
    WaitReason,
};
use crate::site::user_name;
use crate::store::CommandResult;
use crate::text;

/// Requests jobs to run. With `failed`, the names are queues, and their failed jobs run.
pub(super) fn retry(site: OpenSite, options: &RetryArgs) -> Result<ExitStatus, CliError> {
    let RetryArgs { jobs: names, failed, force, json } = options;
    let mut site = site.require_valid_file()?;
    let mut jobs = if *failed { jobs_in_queues(&mut site, names, has_failed)? } else { site.jobs(names)? };
    if jobs.is_empty() {
        let changed = jobs_in_queues(&mut site, names, is_pending_after_failure)?.len();
        if changed == 0 {
            warn("there are no failed jobs");
        } else {
            let jobs = text::count_noun(changed, "job");
            let hint = "`setlist process` runs what is pending";
            warn(&format!("there are no failed jobs; pending again after a failure: {jobs} ({hint})"));
        }
        return Ok(ExitStatus::Success);
    }
    // Their order, and what a forced request overrides, depend on other jobs. One job is found without loading them.
    let site_state = if jobs.len() > 1 || *force { site.site_state()? } else { SiteState::default() };
    let order = site_state.needed_first(&jobs.iter().map(|job| job.id).collect::<Vec<_>>());
    let index: HashMap<JobId, usize> = order.into_iter().zip(0..).collect();
    jobs.sort_by_key(|job| index.get(&job.id).copied());
    let results = submit_all(&mut site, &jobs, *json, |job| Command::Run { job, force: *force })?;
    // Accepted jobs run even if others were refused, or can't be printed.
    let worker = site.ensure_worker();
    let has_worker = worker.is_ok();
    let exit = print_results(&mut site, &jobs, results, *json, |site, job, _| match (force, has_worker) {
        (_, false) => Ok("requested".to_owned()),
        (true, true) => Ok(describe_forced(&site_state, job)),
        (false, true) => describe_request(site, job),
    });
    worker?;
    exit
}

/// Says what a forced request overrides.
fn describe_forced(before: &SiteState, job: &Job) -> String {
    let unmet = before.unmet_requirements(job);
    let overridden: Vec<String> = unmet.iter().map(|reason| reason.describe(clock::now())).collect();
    match &overridden[..] {
        [] => "will run".to_owned(),
        reasons => format!("will run, although it {}", reasons.join(" and ")),
    }
}

/// Says whether a requested job will run, or what it waits for.
fn describe_request(site: &mut OpenSite, job: &Job) -> Result<String, CliError> {
    let Some(job) = site.store.job(job.id)? else { return Ok("removed".to_owned()) };
    if let JobState::Pending { wait, .. } = job.state
        && wait.needs
    {
        let waiting = site.site_state()?.wait_reason(&job).map(|reason| reason.describe(clock::now()));
        return Ok(format!("waits: {}; `--force` runs it now", waiting.unwrap_or_default()));
    }
    if job.awaits_approval() {
        let path = text::plain_line(&job.path());
        return Ok(format!("waits: needs approval; `setlist approve {path}` approves it"));
    }
    Ok("will run".to_owned())
}

/// Approves jobs, or refuses them.
pub(super) fn approve(site: OpenSite, args: &JobArgs, refuse: bool) -> Result<ExitStatus, CliError> {
    let mut site = site.require_valid_file()?;
    let jobs = site.jobs(&args.jobs)?;
    let by = user_name();
    let command = |job| {
        let (jobs, by) = (vec![job], by.clone());
        if refuse { Command::Refuse { jobs, by } } else { Command::Approve { jobs, by } }
    };
    let results = submit_all(&mut site, &jobs, args.json, command)?;
    let worker = site.ensure_worker();
    let exit = print_results(&mut site, &jobs, results, args.json, |site, job, _| {
        if refuse { Ok("refused".to_owned()) } else { describe_approved(site, job.id) }
    });
    worker?;
    exit
}

/// Says whether an approved job will run.
fn describe_approved(site: &mut OpenSite, job: JobId) -> Result<String, CliError> {
    let site_state = site.site_state()?;
    let Some(job) = site_state.job(job) else { return Ok("approved".to_owned()) };
    Ok(match site_state.wait_reason(job) {
        None | Some(WaitReason::FreeSlot) => "approved".to_owned(),
        Some(WaitReason::QueueIdle) => {
            let queue = text::plain_line(job.queue.as_str());
            format!("approved; `setlist process {queue}` runs it")
        }
        Some(reason) => format!("approved; {}", reason.describe(clock::now())),
    })
}

/// Cancels pending jobs and stops running jobs.
pub(super) fn cancel(mut site: OpenSite, names: &[String], kill: bool, json: bool) -> Result<ExitStatus, CliError> {
    let stop = if kill { StopSignal::Kill } else { StopSignal::Terminate };
    let jobs = site.jobs(names)?;
    let exit = submit_each(
        &mut site,
        &jobs,
        json,
        |job| Command::Cancel { job, stop },
        |_, _, events| {
            Ok(match events.iter().any(|event| matches!(event, Event::StopRequested { .. })) {
                true if kill => "killing",
                true => "stopping",
                false => "cancelled",
            }
            .to_owned())
        },
    )?;
    site.forget_environments()?;
    site.finish(exit)
}

/// Removes jobs from their queues.
pub(super) fn remove(mut site: OpenSite, names: &[String], json: bool) -> Result<ExitStatus, CliError> {
    let jobs = site.jobs(names)?;
    let exit = submit_each(
        &mut site,
        &jobs,
        json,
        |job| Command::Remove { jobs: vec![job] },
        |_, _, _| Ok("removed".to_owned()),
    )?;
    site.finish(exit)
}

/// Restores removed jobs.
pub(super) fn restore(mut site: OpenSite, names: &[String], json: bool) -> Result<ExitStatus, CliError> {
    let jobs = site.jobs(names)?;
    let exit = submit_each(
        &mut site,
        &jobs,
        json,
        |job| Command::Restore { jobs: vec![job] },
        |_, _, _| Ok("restored".to_owned()),
    )?;
    site.finish(exit)
}

/// Moves pending jobs before or after another one: all of them or none.
pub(super) fn move_jobs(mut site: OpenSite, options: &MoveArgs) -> Result<ExitStatus, CliError> {
    let JobArgs { jobs: names, json } = &options.jobs;
    let jobs = site.jobs(names)?;
    if let Some(queue) = &options.to {
        return transfer(site, &jobs, queue, *json);
    }
    let (word, other) = match (&options.before, &options.after) {
        (Some(before), _) => ("before", before),
        (None, after) => ("after", after.as_ref().unwrap_or(&names[0])),
    };
    let other = site.job(other)?;
    let placement = if word == "before" { Placement::Before(other.id) } else { Placement::After(other.id) };
    site.submit(Command::Move { jobs: jobs.iter().map(|job| job.id).collect(), placement })?;
    let mut out = BufWriter::new(safe_output::stdout());
    for job in &jobs {
        if *json && let Some(job) = site.store.job(job.id)? {
            write_json(&mut out, &JobRecord::new(&job, None, clock::now()))?;
        } else {
            let (path, other) = (text::plain_line(&job.path()), text::plain_line(&other.path()));
            writeln!(out, "{}  {path}  {word} {other}", job.id)?;
        }
    }
    out.flush()?;
    drop(out);
    site.finish(ExitStatus::Success)
}

/// Moves jobs into another queue: all of them or none.
fn transfer(mut site: OpenSite, jobs: &[Job], queue: &str, json: bool) -> Result<ExitStatus, CliError> {
    let site_state = site.site_state()?;
    let queue = site.queues(&site_state, &[queue.to_owned()])?.remove(0);
    site.submit(Command::Transfer { jobs: jobs.iter().map(|job| job.id).collect(), queue: queue.clone() })?;
    let is_requested = |job: &Job| matches!(job.state, JobState::Pending { requested: true, .. });
    let needs_worker = jobs.iter().any(is_requested)
        || site_state.queue(&queue).is_some_and(|queue| queue.mode == QueueMode::Processing);
    let worker = if needs_worker { site.ensure_worker() } else { Ok(()) };
    let mut out = BufWriter::new(safe_output::stdout());
    for job in jobs {
        let Some(moved) = site.store.job(job.id)? else { continue };
        if json {
            write_json(&mut out, &JobRecord::new(&moved, None, clock::now()))?;
        } else {
            let (before, after) = (text::plain_line(&job.path()), text::plain_line(queue.as_str()));
            writeln!(out, "{}  {before}  to {after}", job.id)?;
        }
    }
    out.flush()?;
    drop(out);
    worker?;
    site.finish(ExitStatus::Success)
}

/// Makes finished jobs of queues, or single ones, pending again without running them.
pub(super) fn reset(site: OpenSite, names: &[String], json: bool) -> Result<ExitStatus, CliError> {
    let mut site = site.require_valid_file()?;
    let site_state = site.site_state()?;
    let mut jobs = Vec::new();
    for name in names {
        match site_state.queue(&name.as_str().into()) {
            Some(queue) => jobs.extend(queue.finished.iter().filter_map(|id| site_state.job(*id)).cloned()),
            None => jobs.extend(site.jobs(std::slice::from_ref(name))?),
        }
    }
    if jobs.is_empty() {
        warn("there are no finished jobs");
        return Ok(ExitStatus::Success);
    }
    submit_each(&mut site, &jobs, json, |job| Command::Reset { job }, |_, _, _| Ok("pending".to_owned()))
}

/// The jobs of these queues, or of all, that match, by id.
fn jobs_in_queues(site: &mut OpenSite, names: &[String], matches: impl Fn(&Job) -> bool) -> Result<Vec<Job>, CliError> {
    let site_state = site.site_state()?;
    let queues = site.queues(&site_state, names)?;
    let mut jobs: Vec<Job> =
        site_state.jobs().filter(|job| matches(job) && queues.contains(&job.queue)).cloned().collect();
    jobs.sort_by_key(|job| job.id);
    Ok(jobs)
}

/// Submits a command for each job in one transaction, and prints a line for each.
fn submit_each(
    site: &mut OpenSite,
    jobs: &[Job],
    json: bool,
    command: impl Fn(JobId) -> Command,
    describe: impl Fn(&mut OpenSite, &Job, &[Event]) -> Result<String, CliError>,
) -> Result<ExitStatus, CliError> {
    let results = submit_all(site, jobs, json, command)?;
    print_results(site, jobs, results, json, describe)
}

/// Submits a command for each job in one transaction. Returns the results, and for JSON the jobs as they are then: a worker
/// may start them before they are printed.
fn submit_all(
    site: &mut OpenSite,
    jobs: &[Job],
    json: bool,
    command: impl Fn(JobId) -> Command,
) -> Result<Vec<(CommandResult, Option<Job>)>, CliError> {
    let commands: Vec<_> = jobs.iter().map(|job| command(job.id)).collect();
    let results = site.execute(commands)?;
    let mut job_after = |job: &Job| if json { site.store.job(job.id) } else { Ok(None) };
    jobs.iter().zip(results).map(|(job, result)| Ok((result, job_after(job)?))).collect()
}

/// Prints a line for each job.
fn print_results(
    site: &mut OpenSite,
    jobs: &[Job],
    results: Vec<(CommandResult, Option<Job>)>,
    json: bool,
    describe: impl Fn(&mut OpenSite, &Job, &[Event]) -> Result<String, CliError>,
) -> Result<ExitStatus, CliError> {
    let mut out = BufWriter::new(safe_output::stdout());
    let mut exit = ExitStatus::Success;
    for (job, (result, job_after)) in jobs.iter().zip(results) {
        let path = text::plain_line(&job.path());
        match result {
            Ok(_) if json => {
                if let Some(job) = job_after {
                    write_json(&mut out, &JobRecord::new(&job, None, clock::now()))?;
                }
            }
            Ok(events) => {
                let description = describe(site, job, &events)?;
                writeln!(out, "{}  {path}  {}", job.id, text::plain_line(&description))?;
            }
            Err(refusal) => {
                let hint = if matches!(refusal, Refusal::NeedsFailed(_)) { "; --force runs it anyway" } else { "" };
                warn(&format!("{path}: {refusal}{hint}"));
                exit = ExitStatus::Usage;
            }
        }
    }
    out.flush()?;
    Ok(exit)
}

/// Whether a job is pending again after its last run has failed, because its entry in the file was changed or it was reset.
fn is_pending_after_failure(job: &Job) -> bool {
    let outcome = job.last_run.as_deref().and_then(|run| run.end.as_ref()).map(|end| &end.outcome);
    job.phase() == Phase::Pending && outcome.is_some_and(|outcome| matches!(outcome, Outcome::Failed(_)))
}

fn has_failed(job: &Job) -> bool {
    matches!(job.outcome(), Some(Outcome::Failed(_) | Outcome::Interrupted | Outcome::Unreachable { .. }))
        || (job.phase() == Phase::Pending && job.failure().is_some())
}
