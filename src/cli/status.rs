//! `setlist status`: queues with their state and counts.

use std::io::{BufWriter, Write};

use chrono::{DateTime, Utc};

use super::error::CliError;
use super::exit::ExitStatus;
use super::json_records::{QueueRecord, write_json};
use super::open_site::OpenSite;
use super::{safe_output, schedule, status_check};
use crate::clock;
use crate::model::{Job, JobCounts, QueueId, QueueStatus, ScheduleTarget, SiteState, due_at};
use crate::store::SiteOverview;
use crate::text;

/// Prints queues with their state and counts.
pub(super) fn status(mut site: OpenSite, names: &[String], json: bool) -> Result<ExitStatus, CliError> {
    schedule::warn_if_not_kept(&mut site)?;
    let mut out = BufWriter::new(safe_output::stdout());
    print_status(&mut out, &mut site, names, json)?;
    out.flush()?;
    drop(out);
    site.finish(ExitStatus::Success)
}

/// Same for several sites.
pub(super) fn status_of_all(sites: Vec<OpenSite>, json: bool) -> Result<ExitStatus, CliError> {
    let mut out = BufWriter::new(safe_output::stdout());
    for (nth, mut site) in sites.into_iter().enumerate() {
        if !json {
            let gap = if nth > 0 { "\n" } else { "" };
            writeln!(out, "{gap}{}", site.paths.file.display())?;
        }
        print_status(&mut out, &mut site, &[], json)?;
        out.flush()?;
        site.finish(ExitStatus::Success)?;
    }
    Ok(ExitStatus::Success)
}

fn print_status(out: &mut impl Write, site: &mut OpenSite, names: &[String], json: bool) -> Result<(), CliError> {
    let (SiteOverview { state: site_state, counts }, ids) = site.overview_of(names)?;
    let width = ids.iter().map(|id| text::width(id.as_str())).max().unwrap_or(0).max(5);
    if !json {
        writeln!(
            out,
            "{}  STATE           PENDING  RUNNING  FINISHED  FAILED OF THESE",
            text::pad("QUEUE", width, text::ELLIPSIS)
        )?;
    }
    let file = site.paths.file.to_string_lossy();
    let now = clock::now();
    for id in &ids {
        let Some(queue) = site_state.queue(id) else { continue };
        let counts = counts.get(id).copied().unwrap_or_default();
        if json {
            write_json(out, &QueueRecord::with_counts(id, queue, counts, &site_state, &file, now))?;
        } else {
            let JobCounts { pending, running, finished, .. } = counts;
            let (status, failed) = (site_state.queue_status(id), site_state.failed_count_of(id, counts));
            let name = text::pad(&text::sanitize_line(id.as_str()), width, text::ELLIPSIS);
            let attention = attention_note(&site_state, id, now);
            let note = queue_note(&site_state, id, status, now);
            let note = if attention.is_empty() || note.is_empty() {
                attention + &note
            } else {
                format!("{attention}; {note}")
            };
            let note = text::sanitize_line(&note);
            let status = status.as_str();
            let counts = format!("{pending:>7}  {running:>7}  {finished:>8}  {failed:>6}  {note}");
            writeln!(out, "{name}  {status:<14}  {}", counts.trim_end())?;
        }
    }
    Ok(())
}

/// What the status of a queue alone doesn't say, and what to do about it.
fn queue_note(site_state: &SiteState, id: &QueueId, status: QueueStatus, now: DateTime<Utc>) -> String {
    if let Some((job, reason)) = site_state.waits_for_labels(id) {
        return format!("{}: {}", job.path(), reason.describe(now));
    }
    match status {
        _ if site_state.lacks_worker(id) => "no worker; `setlist process` starts one".to_owned(),
        QueueStatus::Stopped => site_state.stop_reason(id),
        QueueStatus::NeedsApproval => {
            let job = site_state.approvals_due(id).next().map(Job::path).unwrap_or_default();
            format!("`setlist approve {job}` approves it")
        }
        _ => {
            let next = site_state.next_due_in(id, now);
            next.map(|(due, state)| format!("next {}", due_at(due, state.schedule.shown_time(due), now)))
                .unwrap_or_default()
        }
    }
}

/// What is overdue and stalled in a queue.
fn attention_note(site_state: &SiteState, id: &QueueId, now: DateTime<Utc>) -> String {
    let overdue = site_state.overdue_in(id, now).map(|(state, overdue)| match &state.target {
        ScheduleTarget::Queue(_) => format!("overdue: {}", status_check::overdue_message(state, overdue)),
        ScheduleTarget::Job(_) => format!("overdue: {}", site_state.target_path(&state.target)),
    });
    let stalled = site_state.stalled_in(id).map(|(job, _)| format!("stalled: {}", job.path()));
    let mut notes = overdue.chain(stalled);
    match (notes.next(), notes.count()) {
        (None, _) => String::new(),
        (Some(note), 0) => note,
        (Some(note), more) => format!("{note}, and {more} more"),
    }
}
