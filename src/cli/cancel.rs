//! `setlist cancel`: cancels jobs, or whole queues.

use std::collections::HashMap;
use std::io::{BufWriter, Write};

use super::entry_jobs::jobs_of_queue;
use super::error::{CliError, warn};
use super::exit::ExitStatus;
use super::job_args::CancelArgs;
use super::job_commands::refusal_of_job;
use super::job_selection::{JobKind, expand_queues, separate_queues, sort_for_cancelling};
use super::json_records::{JobRecord, write_json};
use super::open_site::OpenSite;
use super::safe_output;
use super::site_args::SiteArgs;
use crate::clock;
use crate::model::{Command, Event, Job, JobId, Phase, QueueId, QueueMode, Refusal, SiteState, StopSignal};
use crate::store::{CommandResult, StoreError};
use crate::text;
use crate::text::count_noun;

/// Cancels pending jobs and stops running jobs.
pub(super) fn cancel(site: &SiteArgs, args: &CancelArgs) -> Result<ExitStatus, CliError> {
    let cancelled = OpenSite::open(site, &args.jobs.jobs).and_then(|site| cancel_selected(site, args));
    if let Err(CliError::Store(StoreError::DiskFull { .. })) = &cancelled {
        // A running job may be what fills the disk.
        warn(
            "`kill -TERM PROCESS` of a worker stops its jobs, though the disk is full; `setlist workers` lists workers",
        );
    }
    cancelled
}

fn cancel_selected(mut site: OpenSite, args: &CancelArgs) -> Result<ExitStatus, CliError> {
    let (names, filter) = (&args.jobs.jobs, &args.jobs.filter);
    let site_state = site.state_for(names, filter)?;
    let (queues, names) = if filter.is_empty() {
        separate_queues(&site_state, names)?
    } else {
        (Vec::new(), expand_queues(&site_state, names))
    };
    let jobs = if queues.is_empty() || !names.is_empty() {
        let kind = if args.running { JobKind::RUNNING } else { JobKind::UNFINISHED };
        site.select_jobs_from(&site_state, &names, filter, kind)?
    } else {
        Vec::new()
    };
    let mut exit = ExitStatus::Success;
    if !queues.is_empty() {
        cancel_queues(&mut site, &site_state, &queues, args)?;
    }
    if !jobs.is_empty() {
        exit = cancel_jobs(&mut site, jobs, args)?;
    }
    site.forget_environments()?;
    site.finish(exit)
}

/// The signal that running jobs are stopped with.
fn stop_signal(args: &CancelArgs) -> StopSignal {
    if args.kill { StopSignal::Kill } else { StopSignal::Terminate }
}

/// Cancels single jobs, and prints a line for each.
fn cancel_jobs(site: &mut OpenSite, jobs: Vec<Job>, args: &CancelArgs) -> Result<ExitStatus, CliError> {
    let mut exit = ExitStatus::Success;
    let (jobs, idle): (Vec<_>, Vec<_>) =
        jobs.into_iter().partition(|job| !args.running || job.phase() == Phase::Running);
    for job in idle {
        warn(&text::sanitize_line(&format!("{}: not running but {}", job.path(), job.phase().as_str())));
        exit = ExitStatus::Usage;
    }
    let mut in_order = jobs.clone();
    if jobs.len() > 1 {
        let site_state = site.site_state()?;
        sort_for_cancelling(&site_state, &mut in_order);
    }
    let stop = stop_signal(args);
    let commands = in_order.iter().map(|job| Command::Cancel { job: job.id, stop }).collect();
    let results = site.execute(commands)?;
    let mut results: HashMap<JobId, CommandResult> = in_order.iter().map(|job| job.id).zip(results).collect();
    let mut out = BufWriter::new(safe_output::stdout());
    for job in &jobs {
        let path = text::sanitize_line(&job.path());
        match results.remove(&job.id).unwrap_or(Ok(Vec::new())) {
            Ok(_) if args.jobs.json => print_json(site, job.id, &mut out)?,
            Ok(events) => {
                let word = match events.iter().any(is_stop_request) {
                    true if args.kill => "killing".to_owned(),
                    true => format!("stopping; `setlist cancel --kill {path}` kills it"),
                    false => "cancelled".to_owned(),
                };
                writeln!(out, "{}  {path}  {word}", job.id)?;
            }
            Err(refusal) => {
                warn(&refusal_of_job(job, &refusal));
                exit = ExitStatus::Usage;
            }
        }
    }
    out.flush()?;
    Ok(exit)
}

/// What became of the jobs of a queue.
#[derive(Default)]
struct CancelCounts {
    cancelled: usize,
    stopping: usize,
    /// Running jobs that were told to stop before.
    stopping_already: usize,
}

impl CancelCounts {
    /// Counts the result for one job; returns whether the job was changed.
    fn add(&mut self, result: &CommandResult) -> bool {
        match result {
            Ok(events) if events.iter().any(is_stop_request) => self.stopping += 1,
            Ok(_) => self.cancelled += 1,
            Err(Refusal::WrongState { phase: Phase::Running, .. }) => self.stopping_already += 1,
            // It has finished meanwhile.
            Err(_) => {}
        }
        result.is_ok()
    }
}

/// Stops the processing of queues and cancels their jobs, in one transaction.
fn cancel_queues(
    site: &mut OpenSite,
    site_state: &SiteState,
    queues: &[QueueId],
    args: &CancelArgs,
) -> Result<(), CliError> {
    let kind = if args.running { Phase::Running } else { Phase::Pending };
    let is_wanted = |job: &&Job| job.phase() == Phase::Running || job.phase() == kind;
    let mut jobs: Vec<Job> =
        queues.iter().flat_map(|queue| jobs_of_queue(site_state, queue)).filter(is_wanted).cloned().collect();
    sort_for_cancelling(site_state, &mut jobs);
    // First, so that no other jobs start.
    let mut commands: Vec<Command> =
        queues.iter().filter_map(|queue| stop_queue(site_state, queue, args.running)).collect();
    let modes = commands.len();
    let stop = stop_signal(args);
    commands.extend(jobs.iter().map(|job| Command::Cancel { job: job.id, stop }));
    let results = site.execute(commands)?;
    let mut counts: HashMap<&QueueId, CancelCounts> = HashMap::new();
    let mut changed = Vec::new();
    for (job, result) in jobs.iter().zip(results.into_iter().skip(modes)) {
        if counts.entry(&job.queue).or_default().add(&result) {
            changed.push(job.id);
        }
    }
    let mut out = BufWriter::new(safe_output::stdout());
    for queue in queues {
        let counts = counts.remove(queue).unwrap_or_default();
        let left = site_state.queue(queue).map_or(0, |queue| queue.pending.len());
        let description = describe_cancelled(queue, &counts, args, if args.running { left } else { 0 });
        let name = text::sanitize_line(queue.as_str());
        match description {
            None if args.running => warn(&format!("{name} has no running jobs")),
            None => warn(&format!("{name} has no pending or running jobs")),
            Some(_) if args.jobs.json => {}
            Some(description) => writeln!(out, "{name}  {}", text::sanitize_line(&description))?,
        }
    }
    if args.jobs.json {
        changed.into_iter().try_for_each(|job| print_json(site, job, &mut out))?;
    }
    out.flush()?;
    Ok(())
}

/// The command that keeps a queue from starting more jobs. If its pending jobs stay, it is paused, which withdraws requests.
fn stop_queue(site_state: &SiteState, queue: &QueueId, keeps_pending: bool) -> Option<Command> {
    let state = site_state.queue(queue)?;
    let (is_processing, has_pending) = (state.mode == QueueMode::Processing, !state.pending.is_empty());
    let queue = queue.clone();
    if keeps_pending {
        let is_needed = state.mode != QueueMode::Paused && has_pending && !state.running.is_empty();
        is_needed.then_some(Command::Pause { queue })
    } else {
        is_processing.then_some(Command::StopProcessing { queue })
    }
}

/// Says what became of the jobs of a queue; `None` if it had none.
fn describe_cancelled(queue: &QueueId, counts: &CancelCounts, args: &CancelArgs, left: usize) -> Option<String> {
    let CancelCounts { cancelled, stopping, stopping_already } = *counts;
    let mut parts = Vec::new();
    if stopping > 0 {
        let word = if args.kill { "killing" } else { "stopping" };
        parts.push(format!("{word} {}", count_noun(stopping, "running job")));
    }
    if stopping_already > 0 {
        let (jobs, are) = (count_noun(stopping_already, "running job"), text::is_or_are(stopping_already));
        let hint = if args.kill { "" } else { " (`--kill` kills)" };
        parts.push(format!("{jobs} {are} already stopping{hint}"));
    }
    if cancelled > 0 {
        parts.push(format!("{} cancelled", count_noun(cancelled, "pending job")));
    }
    if !parts.is_empty() && left > 0 {
        let resume = text::shell_command(&["setlist".to_owned(), "resume".to_owned(), queue.to_string()]);
        parts.push(format!("paused with {}; `{resume}` continues", count_noun(left, "pending job")));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn is_stop_request(event: &Event) -> bool {
    matches!(event, Event::StopRequested { .. })
}

fn print_json(site: &mut OpenSite, job: JobId, out: &mut impl Write) -> Result<(), CliError> {
    let Some(job) = site.store.job(job)? else { return Ok(()) };
    write_json(out, &JobRecord::new(&job, None, clock::now()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RunId;

    #[test]
    fn a_job_that_has_finished_meanwhile_is_not_counted() {
        let refused = |phase| Err(Refusal::WrongState { job: JobId(1), phase, hint: "" });
        let stop = Event::StopRequested { job: JobId(1), run: RunId(1), stop: StopSignal::Terminate };
        let mut counts = CancelCounts::default();
        let changed = [Ok(vec![stop]), Ok(vec![Event::Cancelled { job: JobId(1) }]), refused(Phase::Running)]
            .iter()
            .chain(&[refused(Phase::Finished), Err(Refusal::UnknownJob(JobId(1)))])
            .map(|result| counts.add(result))
            .collect::<Vec<_>>();
        assert_eq!(changed, [true, true, false, false, false]);
        assert_eq!((counts.stopping, counts.cancelled, counts.stopping_already), (1, 1, 1));
    }
}
