//! `setlist schedule`: what is due next, and what became of earlier due times.

use std::io::{BufWriter, Write};

use chrono::{DateTime, Local, SecondsFormat, Utc};
use serde::Serialize;

use super::args::ScheduleArgs;
use super::error::{CliError, warn};
use super::exit::ExitStatus;
use super::json_records::write_json;
use super::open_site::OpenSite;
use super::safe_output;
use super::target::Target;
use crate::clock;
use crate::model::{DueRecord, DueResult, JobId, ScheduleState, ScheduleTarget, SiteState};
use crate::site::{self, SitePaths, open_store};
use crate::text;

/// How many past due times of each schedule are listed unless `--since` is given.
const MAX_PAST: usize = 10;

/// What to do when no worker keeps the schedules.
const KEEP_HINT: &str = "`setlist service install` keeps one, and `setlist process` leaves one";

/// A due time that is listed.
struct DueEntry<'a> {
    target: &'a ScheduleTarget,
    due: DateTime<Utc>,
    /// `None` for one that is to come.
    record: Option<&'a DueRecord>,
}

/// A due time as JSON.
#[derive(Serialize)]
struct DueEntryRecord {
    queue: String,
    job: Option<String>,
    due_at: String,
    state: &'static str,
    late: bool,
    decided_at: Option<String>,
    reason: Option<String>,
    /// How many more due times before this one the entry stands for.
    earlier: u64,
    schedule: Option<Vec<String>>,
}

/// Prints due times.
pub(super) fn print(mut site: OpenSite, args: &ScheduleArgs) -> Result<ExitStatus, CliError> {
    let site_state = site.site_state()?;
    let now = clock::now();
    let targets = selected_targets(&mut site, &site_state, &args.names)?;
    warn_if_not_kept(&mut site)?;
    let mut past = past_entries(&site_state, &targets, args, now);
    past.sort_by_key(|entry| entry.due);
    let mut next = next_entries(&site_state, &targets, args.next.into(), now);
    next.sort_by_key(|entry| entry.due);
    if targets.is_empty() && !args.json {
        let what = if args.names.is_empty() { "no queue and no job has a schedule" } else { "they have no schedule" };
        warn(what);
    }
    let mut out = BufWriter::new(safe_output::stdout());
    let entries = past.iter().chain(&next);
    let width = entries.clone().map(|entry| text::width(&plain_path(&site_state, entry.target))).max().unwrap_or(0);
    for entry in entries {
        if args.json {
            write_json(&mut out, &DueEntryRecord::new(entry, &site_state))?;
        } else {
            print_entry(&mut out, entry, &site_state, width, now)?;
        }
    }
    out.flush()?;
    drop(out);
    site.finish(ExitStatus::Success)
}

/// Warns that due times will be missed because no worker is running.
pub(super) fn warn_if_not_kept(site: &mut OpenSite) -> Result<(), CliError> {
    if !site::keeps_schedules(site.store.as_mut(), &site.paths)? {
        warn(&format!("no worker keeps the schedules: {KEEP_HINT}"));
    }
    Ok(())
}

/// Warns that the schedules of a checked file are not kept.
pub(super) fn warn_if_file_not_kept(paths: &SitePaths) {
    let is_kept = site::open_store_to_read(&paths.state).is_ok_and(|mut store| {
        let has_schedules = store.schedules().is_ok_and(|schedules| !schedules.is_empty());
        has_schedules && site::keeps_schedules(store.as_mut(), paths).unwrap_or(false)
    });
    if !is_kept {
        warn(&format!("no worker keeps the schedules: {KEEP_HINT}"));
    }
}

/// Starts a worker for the schedules of a site that was used, unless one is running.
pub(super) fn leave_schedule_worker(paths: &SitePaths) {
    // Opening the store would create it again where the site was removed or moved meanwhile.
    if !paths.state.has_database() {
        return;
    }
    let started = open_store(&paths.state)
        .map_err(Into::into)
        .and_then(|mut store| site::ensure_schedule_worker(store.as_mut(), paths));
    if let Err(error) = started {
        warn(&format!("cannot start a worker for the schedules: {error}"));
    }
}

/// The schedules of these queues and of these jobs; all if there are no names.
fn selected_targets(
    site: &mut OpenSite,
    site_state: &SiteState,
    names: &[String],
) -> Result<Vec<ScheduleTarget>, CliError> {
    let active = site_state.active_schedules().map(|state| &state.target);
    let mut all: Vec<&ScheduleTarget> = active.chain(site_state.recorded_targets()).collect();
    all.sort();
    all.dedup();
    if names.is_empty() {
        return Ok(all.into_iter().cloned().collect());
    }
    let wanted = site.targets(site_state, names)?;
    let is_wanted = |target: &&ScheduleTarget| {
        wanted.iter().any(|wanted| match (wanted, target) {
            (Target::Queue(queue), ScheduleTarget::Queue(id)) => queue == id,
            (Target::Queue(queue), ScheduleTarget::Job(id)) => {
                site_state.job(*id).is_some_and(|job| job.queue == *queue)
            }
            (Target::Job(job), ScheduleTarget::Job(id)) => job == id,
            // A job is due when its queue is, unless it has a schedule of its own.
            (Target::Job(job), ScheduleTarget::Queue(_)) => is_due_with(site_state, *job, target),
        })
    };
    Ok(all.into_iter().filter(is_wanted).cloned().collect())
}

fn is_due_with(site_state: &SiteState, job: JobId, target: &ScheduleTarget) -> bool {
    let schedule = site_state.job(job).and_then(|job| site_state.schedule_of_job(job));
    schedule.is_some_and(|schedule| schedule.target == *target)
}

fn past_entries<'a>(
    site_state: &'a SiteState,
    targets: &'a [ScheduleTarget],
    args: &ScheduleArgs,
    now: DateTime<Utc>,
) -> Vec<DueEntry<'a>> {
    let since = args.since.map(|since| now - since);
    let mut entries = Vec::new();
    for target in targets {
        let records = site_state.due_records(target).rev();
        let records = records.filter(|record| since.is_none_or(|since| record.due >= since));
        let most = if since.is_some() { usize::MAX } else { MAX_PAST };
        entries.extend(records.take(most).map(|record| DueEntry { target, due: record.due, record: Some(record) }));
    }
    entries
}

fn next_entries<'a>(
    site_state: &'a SiteState,
    targets: &'a [ScheduleTarget],
    most: usize,
    now: DateTime<Utc>,
) -> Vec<DueEntry<'a>> {
    let mut entries = Vec::new();
    for state in targets.iter().filter_map(|target| site_state.schedule(target)) {
        let following = |due: &DateTime<Utc>| state.schedule.next_after(*due);
        let times = std::iter::successors(state.upcoming(now), following);
        entries.extend(times.take(most).map(|due| DueEntry { target: &state.target, due, record: None }));
    }
    entries
}

fn print_entry(
    out: &mut impl Write,
    entry: &DueEntry<'_>,
    site_state: &SiteState,
    width: usize,
    now: DateTime<Utc>,
) -> Result<(), CliError> {
    let time = entry.due.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S %:z");
    let path = text::pad(&plain_path(site_state, entry.target), width, text::ELLIPSIS);
    let (state, note) = match entry.record {
        None => {
            let left = text::time_left((entry.due - now).to_std().unwrap_or_default());
            let schedule = site_state.schedule(entry.target).map(describe).unwrap_or_default();
            ("next", format!("in {left}  {schedule}"))
        }
        Some(record) if record.is_late() => {
            let late = text::time_left((record.at - record.due).to_std().unwrap_or_default());
            ("ran", format!("{late} late"))
        }
        Some(record) => (record.result.as_str(), past_note(record)),
    };
    let line = format!("{time}  {state:<7}  {path}  {}", text::plain_line(&note));
    writeln!(out, "{}", line.trim_end())?;
    Ok(())
}

fn past_note(record: &DueRecord) -> String {
    let reason = record.result.reason().unwrap_or_default();
    match record.earlier {
        0 => reason.to_owned(),
        earlier => format!("{reason} (and {} before)", text::count_noun(earlier, "due time")),
    }
}

/// The expressions of a schedule with their time zones.
pub(super) fn describe(state: &ScheduleState) -> String {
    let times: Vec<String> = state.schedule.times.iter().map(ToString::to_string).collect();
    times.join(", ")
}

/// The schedule of a job as lines of `show`: its expressions and next due time, and the latest due times.
pub(super) fn describe_lines(state: &ScheduleState, site_state: &SiteState, now: DateTime<Utc>) -> String {
    let mut lines = vec![describe(state)];
    if let Some(next) = state.upcoming(now) {
        lines.push(format!("next  {}", next.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S")));
    }
    let last = site_state.due_records(&state.target).next_back();
    lines.extend(last.map(|record| {
        let due = record.due.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S");
        format!("last  {due}  {}  {}", record.result.as_str(), past_note(record)).trim_end().to_owned()
    }));
    lines.join("\n")
}

fn plain_path(site_state: &SiteState, target: &ScheduleTarget) -> String {
    text::plain_line(&site_state.target_path(target))
}

impl DueEntryRecord {
    fn new(entry: &DueEntry<'_>, site_state: &SiteState) -> Self {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let path = site_state.target_path(entry.target);
        let (queue, job) = match entry.target {
            ScheduleTarget::Queue(queue) => (queue.to_string(), None),
            ScheduleTarget::Job(_) => {
                let (queue, _) = path.rsplit_once('/').unwrap_or((&path, ""));
                (queue.to_owned(), Some(path.clone()))
            }
        };
        let schedule = site_state.schedule(entry.target);
        let expressions = |state: &ScheduleState| state.schedule.times.iter().map(ToString::to_string).collect();
        Self {
            queue,
            job,
            due_at: time(entry.due),
            state: entry.record.map_or("next", |record| DueResult::as_str(&record.result)),
            late: entry.record.is_some_and(DueRecord::is_late),
            decided_at: entry.record.map(|record| time(record.at)),
            reason: entry.record.and_then(|record| record.result.reason()).map(str::to_owned),
            earlier: entry.record.map_or(0, |record| record.earlier),
            schedule: schedule.map(expressions),
        }
    }
}
