//! `setlist retry`, `cancel`, `remove`, `restore`, `move` and `reset`: commands that change jobs.

use std::io::{self, BufWriter, Write};

use chrono::Utc;

use super::args::{Jobs, Move};
use super::error::complain;
use super::record::{JobRecord, print};
use super::site::OpenSite;
use super::{CliError, Exit};
use crate::model::{Command, Event, Job, JobId, JobState, Outcome, Phase, Placement, QueueMode, StopSignal};
use crate::text;

/// Asks for jobs to run, once more or for the first time. Of all that `failed`, the names are queues.
pub(super) fn retry(site: OpenSite, names: &[String], failed: bool, json: bool) -> Result<Exit, CliError> {
    let mut site = site.sound()?;
    let jobs = if failed { in_queues(&mut site, names, went_wrong)? } else { site.jobs(names)? };
    if jobs.is_empty() {
        complain("no job has failed");
        return Ok(Exit::Fine);
    }
    let asked = each(&mut site, &jobs, json, |job| Command::Run { job }, |_| "will run");
    // What was accepted is to run whatever became of the rest.
    site.hire()?;
    asked
}

/// Cancels pending jobs and stops running ones.
pub(super) fn cancel(mut site: OpenSite, names: &[String], kill: bool, json: bool) -> Result<Exit, CliError> {
    let stop = if kill { StopSignal::Kill } else { StopSignal::Terminate };
    let jobs = site.jobs(names)?;
    let done = |events: &[Event]| match events.iter().any(|event| matches!(event, Event::StopRequested { .. })) {
        true if kill => "is killed",
        true => "is told to stop",
        false => "cancelled",
    };
    let exit = each(&mut site, &jobs, json, |job| Command::Cancel { job, stop }, done)?;
    site.close(exit)
}

/// Takes jobs out of their queues.
pub(super) fn remove(mut site: OpenSite, names: &[String], json: bool) -> Result<Exit, CliError> {
    let jobs = site.jobs(names)?;
    let exit = each(&mut site, &jobs, json, |job| Command::Remove { jobs: vec![job] }, |_| "removed")?;
    site.close(exit)
}

/// Puts jobs back that were taken out.
pub(super) fn restore(mut site: OpenSite, names: &[String], json: bool) -> Result<Exit, CliError> {
    let jobs = site.jobs(names)?;
    let exit = each(&mut site, &jobs, json, |job| Command::Restore { jobs: vec![job] }, |_| "is back")?;
    site.close(exit)
}

/// Moves pending jobs before or behind another one, all or none.
pub(super) fn put(mut site: OpenSite, options: &Move) -> Result<Exit, CliError> {
    let Jobs { jobs: names, json } = &options.jobs;
    let jobs = site.jobs(names)?;
    if let Some(queue) = &options.to {
        return transfer(site, &jobs, queue, *json);
    }
    let (word, other) = match (&options.before, &options.after) {
        (Some(before), _) => ("before", before),
        (None, after) => ("behind", after.as_ref().unwrap_or(&names[0])),
    };
    let other = site.job(other)?;
    let placement = if word == "before" { Placement::Before(other.id) } else { Placement::After(other.id) };
    site.submit(Command::Move { jobs: jobs.iter().map(|job| job.id).collect(), placement })?;
    let mut out = BufWriter::new(io::stdout().lock());
    for job in &jobs {
        if *json && let Some(job) = site.store.job(job.id)? {
            print(&mut out, &JobRecord::of(&job, None, Utc::now()))?;
        } else {
            let (path, other) = (text::plain_line(&job.path()), text::plain_line(&other.path()));
            writeln!(out, "{}  {path}  {word} {other}", job.id)?;
        }
    }
    out.flush()?;
    drop(out);
    site.close(Exit::Fine)
}

/// Moves jobs into another queue, all or none.
fn transfer(mut site: OpenSite, jobs: &[Job], queue: &str, json: bool) -> Result<Exit, CliError> {
    let site_state = site.site_state()?;
    let queue = site.queues(&site_state, &[queue.to_owned()])?.remove(0);
    site.submit(Command::Transfer { jobs: jobs.iter().map(|job| job.id).collect(), queue: queue.clone() })?;
    let asked = |job: &Job| matches!(job.state, JobState::Pending { requested: true, .. });
    if jobs.iter().any(asked) || site_state.queue(&queue).is_some_and(|queue| queue.mode == QueueMode::Processing) {
        site.hire()?;
    }
    let mut out = BufWriter::new(io::stdout().lock());
    for job in jobs {
        let Some(moved) = site.store.job(job.id)? else { continue };
        if json {
            print(&mut out, &JobRecord::of(&moved, None, Utc::now()))?;
        } else {
            let (before, after) = (text::plain_line(&job.path()), text::plain_line(queue.as_str()));
            writeln!(out, "{}  {before}  to {after}", job.id)?;
        }
    }
    out.flush()?;
    drop(out);
    site.close(Exit::Fine)
}

/// Makes finished jobs pending again, all of a queue or single ones, without running them.
pub(super) fn reset(site: OpenSite, names: &[String], json: bool) -> Result<Exit, CliError> {
    let mut site = site.sound()?;
    let site_state = site.site_state()?;
    let mut jobs = Vec::new();
    for name in names {
        match site_state.queue(&name.as_str().into()) {
            Some(queue) => jobs.extend(queue.finished.iter().filter_map(|id| site_state.job(*id)).cloned()),
            None => jobs.extend(site.jobs(std::slice::from_ref(name))?),
        }
    }
    if jobs.is_empty() {
        complain("nothing is finished there");
        return Ok(Exit::Fine);
    }
    each(&mut site, &jobs, json, |job| Command::Reset { job }, |_| "is pending")
}

/// The jobs of these queues, or of all, that are `wanted`, in the order in which they were added.
fn in_queues(site: &mut OpenSite, names: &[String], wanted: impl Fn(&Job) -> bool) -> Result<Vec<Job>, CliError> {
    let site_state = site.site_state()?;
    let queues = site.queues(&site_state, names)?;
    let mut jobs: Vec<Job> =
        site_state.jobs().filter(|job| wanted(job) && queues.contains(&job.queue)).cloned().collect();
    jobs.sort_by_key(|job| job.id);
    Ok(jobs)
}

/// Submits a command for each job in one transaction, and says what became of each.
fn each(
    site: &mut OpenSite,
    jobs: &[Job],
    json: bool,
    command: impl Fn(JobId) -> Command,
    done: impl Fn(&[Event]) -> &'static str,
) -> Result<Exit, CliError> {
    let commands: Vec<_> = jobs.iter().map(|job| command(job.id)).collect();
    let answers = site.store.execute(&commands, Utc::now())?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut exit = Exit::Fine;
    for (job, answer) in jobs.iter().zip(answers) {
        let path = text::plain_line(&job.path());
        match answer {
            Ok(_) if json => {
                if let Some(job) = site.store.job(job.id)? {
                    print(&mut out, &JobRecord::of(&job, None, Utc::now()))?;
                }
            }
            Ok(events) => writeln!(out, "{}  {path}  {}", job.id, done(&events))?,
            Err(refusal) => {
                complain(&format!("{path}: {refusal}"));
                exit = Exit::Usage;
            }
        }
    }
    out.flush()?;
    Ok(exit)
}

fn went_wrong(job: &Job) -> bool {
    matches!(job.outcome(), Some(Outcome::Failed(_) | Outcome::Interrupted | Outcome::Unreachable { .. }))
        || (job.phase() == Phase::Pending && job.failure().is_some())
}
