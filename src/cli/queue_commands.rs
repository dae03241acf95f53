//! `setlist pause`, `resume` and `clear`: commands that change whole queues.

use std::io::{BufWriter, Write};

use super::error::CliError;
use super::error::warn;
use super::exit::ExitStatus;
use super::json_records::{JobRecord, QueueRecord, write_json};
use super::open_site::OpenSite;
use super::safe_output;
use crate::clock;
use crate::model::{Command, Event, Job, NothingToDo, Phase, QueueId, QueueMode, QueueState, Refusal, SiteState};
use crate::store::SiteOverview;
use crate::text;
use crate::text::count_noun;

/// Pauses these queues, or all that are being processed.
pub(super) fn pause(mut site: OpenSite, names: &[String], json: bool) -> Result<ExitStatus, CliError> {
    let (site_state, queues) = select_queues(&mut site, names, |queue| queue.mode == QueueMode::Processing)?;
    if queues.is_empty() {
        warn("no queue is being processed");
    }
    let exit = submit_each(
        &mut site,
        &queues,
        json,
        |queue| Command::Pause { queue },
        |id, _| match site_state.queue(id).map_or(0, |queue| queue.running.len()) {
            0 => "paused".to_owned(),
            1 => "paused; 1 running job will finish".to_owned(),
            running => format!("paused; {running} running jobs will finish"),
        },
    )?;
    site.finish(exit)
}

/// Resumes these queues, or all that are paused.
pub(super) fn resume(site: OpenSite, names: &[String], json: bool) -> Result<ExitStatus, CliError> {
    let mut site = site.require_valid_file()?;
    let (site_state, queues) = select_queues(&mut site, names, |queue| queue.mode == QueueMode::Paused)?;
    let (halted, others): (Vec<_>, Vec<_>) = queues.into_iter().partition(|id| {
        site_state.queue(id).is_some_and(|queue| matches!(queue.mode, QueueMode::Paused | QueueMode::Stopped))
    });
    let mut exit = ExitStatus::Success;
    for id in &others {
        let mode = site_state.queue(id).map_or(QueueMode::Idle, |queue| queue.mode);
        let hint = if mode == QueueMode::Idle { "; `setlist process` runs its jobs" } else { "" };
        warn(&format!("{}: not paused but {}{hint}", text::sanitize_line(id.as_str()), mode.as_str()));
        exit = ExitStatus::Usage;
    }
    if halted.is_empty() && others.is_empty() {
        warn("no queue is paused");
    }
    let result = submit_each(
        &mut site,
        &halted,
        json,
        |queue| Command::Process { queue },
        |_, events| {
            let starts = |event: &Event| matches!(event, Event::ModeChanged { mode: QueueMode::Processing, .. });
            if events.iter().any(starts) { "resumed".to_owned() } else { "resumed; no pending jobs".to_owned() }
        },
    );
    if !halted.is_empty() {
        site.ensure_worker()?;
    }
    Ok(if result? == ExitStatus::Success { exit } else { ExitStatus::Usage })
}

/// Removes all finished or pending jobs of these queues, or of all.
pub(super) fn clear(
    mut site: OpenSite,
    names: &[String],
    phases: impl Iterator<Item = Phase>,
    json: bool,
) -> Result<ExitStatus, CliError> {
    let site_state = site.site_state()?;
    let queues = site.queues(&site_state, names)?;
    let mut removed = 0;
    let mut out = BufWriter::new(safe_output::stdout());
    for phase in phases {
        let commands: Vec<_> = queues.iter().map(|queue| Command::Clear { queue: queue.clone(), phase }).collect();
        for (queue, result) in queues.iter().zip(site.store.execute(&commands, site.store.clock().now())?) {
            match result {
                Ok(events) => {
                    let jobs = events.iter().filter(|event| matches!(event, Event::Removed { .. }));
                    let jobs: Vec<&Job> = jobs.filter_map(|event| site_state.job(event.job()?)).collect();
                    if json {
                        let now = clock::now();
                        jobs.iter().try_for_each(|job| write_json(&mut out, &JobRecord::new(job, None, now)))?;
                    } else {
                        let removed_jobs = count_noun(jobs.len(), &format!("{} job", phase.as_str()));
                        writeln!(out, "{}  {removed_jobs} removed", text::sanitize_line(queue.as_str()))?;
                    }
                    removed += jobs.len();
                }
                Err(Refusal::NothingToDo(NothingToDo::Clear(..))) => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
    }
    out.flush()?;
    drop(out);
    site.forget_environments()?;
    if removed == 0 {
        warn("there are no jobs to remove");
    }
    site.finish(ExitStatus::Success)
}

/// The queues of these names; if there are none, all queues that match. Also the site, without most of its jobs.
fn select_queues(
    site: &mut OpenSite,
    names: &[String],
    matches: impl Fn(&QueueState) -> bool,
) -> Result<(SiteState, Vec<QueueId>), CliError> {
    let (SiteOverview { state, .. }, mut queues) = site.overview_of(names)?;
    if names.is_empty() {
        queues.retain(|id| state.queue(id).is_some_and(&matches));
    }
    Ok((state, queues))
}

/// Submits a command for each queue in one transaction, and prints a line for each.
fn submit_each(
    site: &mut OpenSite,
    queues: &[QueueId],
    json: bool,
    command: impl Fn(QueueId) -> Command,
    describe: impl Fn(&QueueId, &[Event]) -> String,
) -> Result<ExitStatus, CliError> {
    let commands: Vec<_> = queues.iter().cloned().map(command).collect();
    let mut exit = ExitStatus::Success;
    let results = site.execute(commands)?;
    let SiteOverview { state: site_state, counts } =
        if json { site.store.load_overview()? } else { SiteOverview::default() };
    let file = site.paths.file.to_string_lossy();
    let mut out = safe_output::stdout();
    for (queue, result) in queues.iter().zip(results) {
        match result {
            Ok(_) if json => {
                if let Some(state) = site_state.queue(queue) {
                    let counts = counts.get(queue).copied().unwrap_or_default();
                    let record = QueueRecord::with_counts(queue, state, counts, &site_state, &file, clock::now());
                    write_json(&mut out, &record)?;
                }
            }
            Ok(events) => writeln!(out, "{}  {}", text::sanitize_line(queue.as_str()), describe(queue, &events))?,
            Err(refusal) => {
                warn(&refusal.to_string());
                exit = ExitStatus::Usage;
            }
        }
    }
    Ok(exit)
}
