//! `setlist retry`, `remove`, `restore`, `move` and `reset`: commands that change jobs.

use std::collections::{HashMap, HashSet};
use std::io::{BufWriter, Write};

use super::entry_jobs::jobs_of_queue;
use super::error::CliError;
use super::error::warn;
use super::exit::ExitStatus;
use super::input_args::refusal_hint;
use super::job_args::{JobArgs, JobFilterArgs, MoveArgs, RetryArgs};
use super::job_selection::{JobKind, SelectionFilter, expand_queues, separate_queues};
use super::json_records::{JobRecord, write_json};
use super::open_site::OpenSite;
use super::safe_output;
use crate::clock;
use crate::model::{
    Command, Event, Job, JobId, JobState, Outcome, Phase, Placement, QueueId, QueueMode, Refusal, SiteState,
};
use crate::store::{CommandResult, SiteOverview};
use crate::text;

/// Requests jobs to run: the selected ones, and the failed jobs of queues.
pub(super) fn retry(site: OpenSite, options: &RetryArgs) -> Result<ExitStatus, CliError> {
    let RetryArgs { jobs: names, filter, failed, force, inputs, json } = options;
    let mut site = site.require_valid_file()?;
    let site_state = if *failed { site.site_state()? } else { site.state_for(names, filter)? };
    let (queues, names) =
        if *failed { (site.queues(&site_state, names)?, Vec::new()) } else { separate_queues(&site_state, names)? };
    let mut jobs = failed_jobs(&site_state, &queues, filter)?;
    if jobs.is_empty() && !queues.is_empty() {
        report_no_failed_jobs(&site_state, &queues, *failed);
    }
    let of_queues: HashSet<JobId> = jobs.iter().map(|job| job.id).collect();
    if queues.is_empty() || !names.is_empty() {
        let others = site.select_jobs_from(&site_state, &names, filter, JobKind::RETRIABLE)?;
        jobs.extend(others.into_iter().filter(|job| !of_queues.contains(&job.id)));
    }
    if jobs.is_empty() {
        return Ok(ExitStatus::Success);
    }
    site.inputs = inputs.for_jobs(&site.store.queues()?, &jobs)?;
    // A queue that these failures have stopped is processed again.
    let is_stopped = |queue: &&QueueId| {
        let is_stopped = site_state.queue(queue).is_some_and(|state| state.mode == QueueMode::Stopped);
        !failed && is_stopped && jobs.iter().any(|job| job.queue == **queue)
    };
    let stopped: Vec<QueueId> = queues.iter().filter(is_stopped).cloned().collect();
    // Their order, and what a forced request overrides, depend on other jobs. One job is found without loading them.
    let site_state = if jobs.len() > 1 || *force { site.site_state()? } else { SiteState::default() };
    let order = site_state.needed_first(&jobs.iter().map(|job| job.id).collect::<Vec<_>>());
    let index: HashMap<JobId, usize> = order.into_iter().zip(0..).collect();
    jobs.sort_by_key(|job| index.get(&job.id).copied());
    let resume = stopped.iter().map(|queue| Command::Process { queue: queue.clone() });
    let command = |job| {
        if of_queues.contains(&job) {
            Command::RunFailed { job, force: *force }
        } else {
            Command::Run { job, force: *force }
        }
    };
    let mut results = submit_all_and(&mut site, &jobs, *json, command, resume)?;
    for (job, (result, _)) in jobs.iter().zip(&mut results) {
        // Another command has retried the queue at the same time.
        if of_queues.contains(&job.id) && matches!(result, Err(Refusal::WrongState { .. })) {
            *result = Ok(Vec::new());
        }
    }
    // Accepted jobs run even if others were refused, or can't be printed.
    let worker = site.ensure_worker();
    let has_worker = worker.is_ok();
    // What several jobs wait for is found in the whole site, which is loaded once.
    let after = if jobs.len() > 1 && !*force && has_worker && !*json { Some(site.site_state()?) } else { None };
    let exit = print_results(&mut site, &jobs, results, *json, |site, job, _| match (force, has_worker) {
        (_, false) => Ok("requested".to_owned()),
        (true, true) => Ok(describe_forced(&site_state, job)),
        (false, true) => describe_request(site, after.as_ref(), job),
    });
    worker?;
    for queue in &stopped {
        warn(&text::sanitize_line(&format!("{queue} was stopped and is processed again")));
    }
    exit
}

/// The failed jobs of queues that pass the filter, by id.
fn failed_jobs(site_state: &SiteState, queues: &[QueueId], filter: &JobFilterArgs) -> Result<Vec<Job>, CliError> {
    if queues.is_empty() {
        return Ok(Vec::new());
    }
    let selection = SelectionFilter::parse(filter, site_state, site_state.jobs())?;
    let jobs = queues.iter().flat_map(|queue| jobs_of_queue(site_state, queue));
    let failed = jobs.filter(|job| job.last_run_failed() && selection.matches(job)).cloned();
    let (removed, mut jobs): (Vec<Job>, Vec<Job>) = failed.partition(|job| job.definition.is_removed_from_file);
    if let Some(first) = removed.first() {
        let (count, path) = (text::count_noun(removed.len(), "failed job"), text::sanitize_line(&first.path()));
        let verb = text::is_or_are(removed.len());
        warn(&format!("{count} {verb} no longer in jobs.yaml; `setlist retry {path}` runs one of these"));
    }
    jobs.sort_by_key(|job| job.id);
    Ok(jobs)
}

/// Says that no job of these queues failed, and what to do about jobs that are pending or finished.
fn report_no_failed_jobs(site_state: &SiteState, queues: &[QueueId], failed: bool) {
    let jobs = || queues.iter().flat_map(|queue| jobs_of_queue(site_state, queue));
    let changed = jobs().filter(|job| is_pending_after_failure(job)).count();
    if changed > 0 {
        let jobs = text::count_noun(changed, "job");
        let hint = "`setlist process` runs what is pending";
        return warn(&format!("there are no failed jobs; pending again after a failure: {jobs} ({hint})"));
    }
    let names: Vec<String> = queues.iter().map(ToString::to_string).collect();
    let command = |options: &[&str]| {
        let words = ["setlist", "start"].iter().copied().chain(names.iter().map(String::as_str));
        text::shell_command(&words.chain(options.iter().copied()).map(str::to_owned).collect::<Vec<_>>())
    };
    let hint = if failed {
        String::new()
    } else if jobs().any(|job| job.phase() == Phase::Pending) {
        format!("; `{}` runs what is pending", command(&[]))
    } else if jobs().next().is_some() {
        format!("; `{}` runs all jobs again", command(&["--again"]))
    } else {
        String::new()
    };
    warn(&text::sanitize_line(&format!("there are no failed jobs{hint}")));
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
fn describe_request(site: &mut OpenSite, whole: Option<&SiteState>, job: &Job) -> Result<String, CliError> {
    let found = match whole {
        Some(whole) => whole.job(job.id).cloned(),
        None => site.store.job(job.id)?,
    };
    let Some(job) = found else { return Ok("removed".to_owned()) };
    if let JobState::Pending { wait, .. } = job.state
        && wait.needs
    {
        let part = if whole.is_none() { site.state_of_job(&job)? } else { SiteState::default() };
        let waiting = whole.unwrap_or(&part).wait_reason(&job).map(|reason| reason.describe(clock::now()));
        return Ok(format!("waits: {}; `--force` runs it now", waiting.unwrap_or_default()));
    }
    if job.awaits_approval() {
        let path = text::sanitize_line(&job.path());
        return Ok(format!("waits: needs approval; `setlist approve {path}` approves it"));
    }
    Ok("will run".to_owned())
}

/// Removes jobs from their queues.
pub(super) fn remove(mut site: OpenSite, args: &JobArgs) -> Result<ExitStatus, CliError> {
    let jobs = site.select_jobs(&args.jobs, &args.filter, JobKind::NOT_RUNNING)?;
    let exit = submit_each(
        &mut site,
        &jobs,
        args.json,
        |job| Command::Remove { jobs: vec![job] },
        |_, _, _| Ok("removed".to_owned()),
    )?;
    site.finish(exit)
}

/// Restores removed jobs.
pub(super) fn restore(mut site: OpenSite, args: &JobArgs) -> Result<ExitStatus, CliError> {
    let jobs = site.select_removed_jobs(&args.jobs, &args.filter)?;
    let exit = submit_each(
        &mut site,
        &jobs,
        args.json,
        |job| Command::Restore { jobs: vec![job] },
        |_, _, _| Ok("restored".to_owned()),
    )?;
    site.finish(exit)
}

/// Moves pending jobs before or after another one: all of them or none.
pub(super) fn move_jobs(mut site: OpenSite, options: &MoveArgs) -> Result<ExitStatus, CliError> {
    let JobArgs { jobs: names, filter, json } = &options.jobs;
    let kind = if options.to.is_some() { JobKind::NOT_RUNNING } else { JobKind::PENDING };
    let jobs = site.select_jobs(names, filter, kind)?;
    if jobs.is_empty() {
        return site.finish(ExitStatus::Success);
    }
    if let Some(queue) = &options.to {
        return transfer(site, &jobs, queue, *json);
    }
    // One of the places is required.
    let (word, other) = match (&options.before, &options.after) {
        (Some(before), _) => ("before", before.as_str()),
        (None, after) => ("after", after.as_deref().unwrap_or_default()),
    };
    let other = site.job(other)?;
    let placement = if word == "before" { Placement::Before(other.id) } else { Placement::After(other.id) };
    site.submit(Command::Move { jobs: jobs.iter().map(|job| job.id).collect(), placement })?;
    let mut out = BufWriter::new(safe_output::stdout());
    for job in &jobs {
        if *json && let Some(job) = site.store.job(job.id)? {
            write_json(&mut out, &JobRecord::new(&job, None, clock::now()))?;
        } else {
            let (path, other) = (text::sanitize_line(&job.path()), text::sanitize_line(&other.path()));
            writeln!(out, "{}  {path}  {word} {other}", job.id)?;
        }
    }
    out.flush()?;
    drop(out);
    site.finish(ExitStatus::Success)
}

/// Moves jobs into another queue: all of them or none.
fn transfer(mut site: OpenSite, jobs: &[Job], queue: &str, json: bool) -> Result<ExitStatus, CliError> {
    let (SiteOverview { state: site_state, .. }, mut queues) = site.overview_of(&[queue.to_owned()])?;
    let queue = queues.remove(0);
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
            let (before, after) = (text::sanitize_line(&job.path()), text::sanitize_line(queue.as_str()));
            writeln!(out, "{}  {before}  to {after}", job.id)?;
        }
    }
    out.flush()?;
    drop(out);
    worker?;
    site.finish(ExitStatus::Success)
}

/// Makes finished jobs of queues, or single ones, pending again without running them.
pub(super) fn reset(
    site: OpenSite,
    names: &[String],
    filter: &JobFilterArgs,
    json: bool,
) -> Result<ExitStatus, CliError> {
    let mut site = site.require_valid_file()?;
    let site_state = site.state_for(names, filter)?;
    let names = expand_queues(&site_state, names);
    let jobs = site.select_jobs_from(&site_state, &names, filter, JobKind::FINISHED)?;
    if jobs.is_empty() {
        return Ok(ExitStatus::Success);
    }
    submit_each(&mut site, &jobs, json, |job| Command::Reset { job }, |_, _, _| Ok("pending".to_owned()))
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
pub(super) fn submit_all(
    site: &mut OpenSite,
    jobs: &[Job],
    json: bool,
    command: impl Fn(JobId) -> Command,
) -> Result<Vec<(CommandResult, Option<Job>)>, CliError> {
    submit_all_and(site, jobs, json, command, [])
}

/// Same with further commands in the transaction.
fn submit_all_and(
    site: &mut OpenSite,
    jobs: &[Job],
    json: bool,
    command: impl Fn(JobId) -> Command,
    further: impl IntoIterator<Item = Command>,
) -> Result<Vec<(CommandResult, Option<Job>)>, CliError> {
    let commands: Vec<_> = jobs.iter().map(|job| command(job.id)).chain(further).collect();
    let results = site.execute(commands)?;
    let mut job_after = |job: &Job| if json { site.store.job(job.id) } else { Ok(None) };
    jobs.iter().zip(results).map(|(job, result)| Ok((result, job_after(job)?))).collect()
}

/// Prints a line for each job.
pub(super) fn print_results(
    site: &mut OpenSite,
    jobs: &[Job],
    results: Vec<(CommandResult, Option<Job>)>,
    json: bool,
    describe: impl Fn(&mut OpenSite, &Job, &[Event]) -> Result<String, CliError>,
) -> Result<ExitStatus, CliError> {
    let mut out = BufWriter::new(safe_output::stdout());
    let mut exit = ExitStatus::Success;
    for (job, (result, job_after)) in jobs.iter().zip(results) {
        let path = text::sanitize_line(&job.path());
        match result {
            Ok(_) if json => {
                if let Some(job) = job_after {
                    write_json(&mut out, &JobRecord::new(&job, None, clock::now()))?;
                }
            }
            Ok(events) => {
                let description = describe(site, job, &events)?;
                writeln!(out, "{}  {path}  {}", job.id, text::sanitize_line(&description))?;
            }
            Err(refusal) => {
                let hint = if matches!(refusal, Refusal::NeedsFailed(_)) {
                    "; --force runs it anyway"
                } else {
                    refusal_hint(&refusal)
                };
                warn(&format!("{}{hint}", refusal_of_job(job, &refusal)));
                exit = ExitStatus::Usage;
            }
        }
    }
    out.flush()?;
    Ok(exit)
}

/// Why a command for a job was refused, with its path.
pub(super) fn refusal_of_job(job: &Job, refusal: &Refusal) -> String {
    let (path, refusal) = (text::sanitize_line(&job.path()), refusal.to_string());
    // The path takes the place of the number.
    match refusal.strip_prefix(&format!("{} ", job.id)) {
        Some(rest) => format!("{path} {rest}"),
        None => format!("{path}: {refusal}"),
    }
}

/// Whether a job is pending again after its last run has failed, because its entry in the file was changed or it was reset.
fn is_pending_after_failure(job: &Job) -> bool {
    let outcome = job.last_run.as_deref().and_then(|run| run.end.as_ref()).map(|end| &end.outcome);
    job.phase() == Phase::Pending && outcome.is_some_and(|outcome| matches!(outcome, Outcome::Failed(_)))
}
