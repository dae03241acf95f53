//! `setlist retry`, `cancel`, `remove`, `restore`, `move` and `reset`: commands that change jobs.

use std::io::{BufWriter, Write};

use super::args::{JobArgs, MoveArgs};
use super::error::CliError;
use super::error::warn;
use super::exit::ExitStatus;
use super::json_records::{JobRecord, write_json};
use super::open_site::OpenSite;
use super::safe_output;
use crate::clock;
use crate::model::{Command, Event, Job, JobId, JobState, Outcome, Phase, Placement, QueueMode, StopSignal};
use crate::store::CommandResult;
use crate::text;

/// Requests jobs to run. With `failed`, the names are queues, and their failed jobs run.
pub(super) fn retry(site: OpenSite, names: &[String], failed: bool, json: bool) -> Result<ExitStatus, CliError> {
    let mut site = site.require_valid_file()?;
    let jobs = if failed { jobs_in_queues(&mut site, names, has_failed)? } else { site.jobs(names)? };
    if jobs.is_empty() {
        warn("there are no failed jobs");
        return Ok(ExitStatus::Success);
    }
    let results = submit_all(&mut site, &jobs, |job| Command::Run { job })?;
    // Accepted jobs run even if others were refused, or can't be printed.
    let worker = site.ensure_worker();
    let description = if worker.is_ok() { "will run" } else { "requested" };
    let exit = print_results(&mut site, &jobs, results, json, |_| description);
    worker?;
    exit
}

/// Cancels pending jobs and stops running jobs.
pub(super) fn cancel(mut site: OpenSite, names: &[String], kill: bool, json: bool) -> Result<ExitStatus, CliError> {
    let stop = if kill { StopSignal::Kill } else { StopSignal::Terminate };
    let jobs = site.jobs(names)?;
    let describe = |events: &[Event]| match events.iter().any(|event| matches!(event, Event::StopRequested { .. })) {
        true if kill => "killing",
        true => "stopping",
        false => "cancelled",
    };
    let exit = submit_each(&mut site, &jobs, json, |job| Command::Cancel { job, stop }, describe)?;
    site.forget_environments()?;
    site.finish(exit)
}

/// Removes jobs from their queues.
pub(super) fn remove(mut site: OpenSite, names: &[String], json: bool) -> Result<ExitStatus, CliError> {
    let jobs = site.jobs(names)?;
    let exit = submit_each(&mut site, &jobs, json, |job| Command::Remove { jobs: vec![job] }, |_| "removed")?;
    site.finish(exit)
}

/// Restores removed jobs.
pub(super) fn restore(mut site: OpenSite, names: &[String], json: bool) -> Result<ExitStatus, CliError> {
    let jobs = site.jobs(names)?;
    let exit = submit_each(&mut site, &jobs, json, |job| Command::Restore { jobs: vec![job] }, |_| "restored")?;
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
    submit_each(&mut site, &jobs, json, |job| Command::Reset { job }, |_| "pending")
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
    describe: impl Fn(&[Event]) -> &'static str,
) -> Result<ExitStatus, CliError> {
    let results = submit_all(site, jobs, command)?;
    print_results(site, jobs, results, json, describe)
}

/// Submits a command for each job in one transaction.
fn submit_all(
    site: &mut OpenSite,
    jobs: &[Job],
    command: impl Fn(JobId) -> Command,
) -> Result<Vec<CommandResult>, CliError> {
    let commands: Vec<_> = jobs.iter().map(|job| command(job.id)).collect();
    site.execute(commands)
}

/// Prints a line for each job.
fn print_results(
    site: &mut OpenSite,
    jobs: &[Job],
    results: Vec<CommandResult>,
    json: bool,
    describe: impl Fn(&[Event]) -> &'static str,
) -> Result<ExitStatus, CliError> {
    let mut out = BufWriter::new(safe_output::stdout());
    let mut exit = ExitStatus::Success;
    for (job, result) in jobs.iter().zip(results) {
        let path = text::plain_line(&job.path());
        match result {
            Ok(_) if json => {
                if let Some(job) = site.store.job(job.id)? {
                    write_json(&mut out, &JobRecord::new(&job, None, clock::now()))?;
                }
            }
            Ok(events) => writeln!(out, "{}  {path}  {}", job.id, describe(&events))?,
            Err(refusal) => {
                warn(&format!("{path}: {refusal}"));
                exit = ExitStatus::Usage;
            }
        }
    }
    out.flush()?;
    Ok(exit)
}

fn has_failed(job: &Job) -> bool {
    matches!(job.outcome(), Some(Outcome::Failed(_) | Outcome::Interrupted | Outcome::Unreachable { .. }))
        || (job.phase() == Phase::Pending && job.failure().is_some())
}
