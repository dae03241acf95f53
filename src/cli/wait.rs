//! `setlist wait`: waits until jobs have finished.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use super::change_waiter::{ChangeWaiter, tolerate_outages};
use super::error::CliError;
use super::error::warn;
use super::exit::ExitStatus;
use super::job_args::WaitArgs;
use super::json_records::{JobRecord, QueueRecord, write_json};
use super::open_site::OpenSite;
use super::own_job::{refuse_to_wait_for_itself, runs_in_job};
use super::queue_or_job::{QueueOrJob, sync_state};
use super::safe_output;
use super::summary_line;
use crate::clock;
use crate::model::SiteState;
use crate::store::MAX_OUTAGE;
use crate::text;

/// Waits until all targets are settled, and prints the result of each.
pub(super) fn wait(mut site: OpenSite, options: &WaitArgs) -> Result<ExitStatus, CliError> {
    let exit = wait_for(&mut site, options)?;
    site.finish(exit)
}

/// Same for a site that stays open.
pub(super) fn wait_for(site: &mut OpenSite, options: &WaitArgs) -> Result<ExitStatus, CliError> {
    let waiter = ChangeWaiter::subscribe(site)?;
    // A part of the site follows the events about its jobs just as the whole does. A job that waits for others must not be
    // among what they need, which only the whole tells.
    let mut is_part = options.filter().is_empty() && !runs_in_job();
    let mut site_state = if is_part { site.state_of(&options.names)? } else { site.site_state()? };
    let mut targets = site.select_targets(&site_state, &options.names, &options.filter())?;
    refuse_to_wait_for_itself(site, &site_state, |job| targets.iter().any(|target| target.includes(job)))?;
    let deadline = options.timeout.map(|timeout| Instant::now() + timeout);
    let file = site.paths.file.to_string_lossy().into_owned();
    let mut exit = ExitStatus::Success;
    let mut printed_hints = Vec::new();
    // Another command may have noticed a worker's death, and starts none.
    site.check_workers(true)?;
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if let Some(left) = left {
            tolerate_outages(site.store.as_mut(), left.min(MAX_OUTAGE));
        }
        match sync_state(&mut site_state, site.store.as_mut()) {
            // What was known last is reported as unfinished.
            Err(error) if error.is_outage() && deadline.is_some_and(|deadline| deadline <= Instant::now()) => {}
            synced => synced?,
        }
        let (settled, unsettled): (Vec<_>, Vec<_>) =
            targets.into_iter().partition(|target| target.is_settled(&site_state));
        // Whether a skipped job counts as a failure depends on what it needed, and what that needed.
        if is_part && settled.iter().any(|target| is_skipped(target, &site_state)) {
            is_part = false;
            site_state = site.site_state()?;
        }
        for target in &settled {
            if !print_result(target, &site_state, options, &file)? {
                exit = ExitStatus::JobFailed;
            }
        }
        if unsettled.is_empty() {
            return Ok(exit);
        }
        targets = unsettled;
        for hint in targets.iter().filter_map(|target| target.stall_hint(&site_state)) {
            if !printed_hints.contains(&hint) {
                warn(&hint);
                printed_hints.push(hint);
            }
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            warn(&format!("timed out: {}", describe_unfinished(&targets, &site_state)));
            return Ok(ExitStatus::JobFailed);
        }
        if let Some(worker_died) = waiter.wait(left) {
            site.check_workers(worker_died)?;
        }
    }
}

/// Prints the result of a settled target; returns whether all of its jobs succeeded.
fn print_result(target: &QueueOrJob, site_state: &SiteState, options: &WaitArgs, file: &str) -> Result<bool, CliError> {
    let mut out = safe_output::stdout();
    match target {
        QueueOrJob::Job(id) => {
            let Some(job) = site_state.job(*id) else {
                warn(&format!("{id} was removed"));
                return Ok(false);
            };
            if options.json {
                write_json(&mut out, &JobRecord::new(job, None, clock::now()))?;
            } else if !options.quiet
                && let Some(outcome) = job.outcome()
            {
                writeln!(out, "{}", summary_line::describe_outcome(job, outcome))?;
            }
            Ok(!site_state.counts_as_failure(job))
        }
        QueueOrJob::Queue(id) => {
            let Some(queue) = site_state.queue(id) else { return Ok(true) };
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for outcome in queue.finished.iter().filter_map(|id| site_state.job(*id)?.outcome()) {
                *counts.entry(outcome.as_str()).or_default() += 1;
            }
            *counts.entry("pending").or_default() += queue.pending.len();
            if options.json {
                write_json(&mut out, &QueueRecord::new(id, queue, site_state, file, clock::now()))?;
            } else if !options.quiet {
                let summary = summary_line::describe_counts(&counts).unwrap_or_else(|| "empty".to_owned());
                writeln!(out, "{}  {summary}", text::sanitize_line(id.as_str()))?;
            }
            let mut finished = queue.finished.iter().filter_map(|id| site_state.job(*id));
            Ok(queue.pending.is_empty() && !finished.any(|job| site_state.counts_as_failure(job)))
        }
    }
}

fn is_skipped(target: &QueueOrJob, site_state: &SiteState) -> bool {
    let QueueOrJob::Job(id) = target else { return false };
    site_state.job(*id).is_some_and(|job| job.outcome().is_some_and(|outcome| outcome.skip_kind().is_some()))
}

/// Names the targets that are not settled.
fn describe_unfinished(targets: &[QueueOrJob], site_state: &SiteState) -> String {
    let name = |target: &QueueOrJob| match target {
        QueueOrJob::Queue(queue) => queue.to_string(),
        QueueOrJob::Job(id) => site_state.job(*id).map_or_else(|| id.to_string(), crate::model::Job::path),
    };
    let names: Vec<String> = targets.iter().map(name).collect();
    format!("{} {} not finished", text::sanitize_line(&names.join(", ")), text::is_or_are(names.len()))
}
