//! `setlist schedule`: what is due next, and what became of earlier due times.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufWriter, Write};

use chrono::{DateTime, Local, TimeDelta, Timelike, Utc};
use serde::Serialize;

use super::args::ScheduleArgs;
use super::error::{CliError, warn};
use super::exit::ExitStatus;
use super::json_records::write_json;
use super::open_site::OpenSite;
use super::queue_or_job::QueueOrJob;
use super::safe_output;
use super::time_text::{iso_time, local_time};
use crate::clock;
use crate::model::{
    DueOutcome, DuePage, DueRecord, DueResult, JobId, Recurrence, ScheduleState, ScheduleTarget, SiteState,
};
use crate::site::{self, SitePaths, open_store};
use crate::store::{Store, StoreError};
use crate::text;

/// How many past due times of each schedule are listed unless `--since` is given.
const MAX_PAST: usize = 10;

/// How many past due times of a schedule are read at once.
const PAGE_LENGTH: usize = 500;

/// What to do when no worker keeps the schedules.
const KEEP_HINT: &str = "`setlist service install` keeps one, and `setlist process` leaves one";

/// A queue or a job whose due times are listed.
struct ListedTarget {
    target: ScheduleTarget,
    /// `None` if its schedule was removed.
    state: Option<ScheduleState>,
    queue: Option<String>,
    job: Option<String>,
}

/// A due time that is listed.
struct DueEntry<'a> {
    of: &'a ListedTarget,
    due: DateTime<Utc>,
    /// `None` for one that is to come.
    record: Option<DueRecord>,
}

/// A due time as JSON.
#[derive(Serialize)]
struct DueEntryRecord<'a> {
    queue: Option<&'a str>,
    job: Option<&'a str>,
    due_at: String,
    state: &'static str,
    /// How the run ended.
    outcome: Option<&'static str>,
    late: bool,
    decided_at: Option<String>,
    reason: Option<&'a str>,
    /// How many more due times before this one the entry stands for.
    earlier: u64,
    schedule: Option<Vec<String>>,
}

/// How due times are printed.
struct EntryPrinter {
    now: DateTime<Utc>,
    path_width: usize,
    /// The format of the times.
    format: &'static str,
}

/// Prints due times.
pub(super) fn print(mut site: OpenSite, args: &ScheduleArgs) -> Result<ExitStatus, CliError> {
    let now = clock::now();
    let targets = selected_targets(&mut site, &args.names)?;
    warn_if_not_kept(&mut site)?;
    if targets.is_empty() && !args.json {
        let what = if args.names.is_empty() { "no queue and no job has a schedule" } else { "they have no schedule" };
        warn(what);
    }
    let mut next = next_entries(&targets, args.next.into(), now);
    next.sort_by_key(|entry| entry.due);
    let mut past = PastDueTimes::new(site.store.as_mut(), &targets, args.since.map(|since| now - since))?;
    let printer = EntryPrinter::new(&targets, now);
    let mut out = BufWriter::new(safe_output::stdout());
    let mut next = next.into_iter();
    while let Some(entry) = past.next(site.store.as_mut())?.or_else(|| next.next()) {
        if args.json {
            write_json(&mut out, &DueEntryRecord::new(&entry))?;
        } else {
            printer.print(&mut out, &entry)?;
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
        let has_schedules = store.schedules().is_ok_and(|schedules| !schedules.is_empty())
            || store.expectations().is_ok_and(|expectations| !expectations.is_empty());
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
fn selected_targets(site: &mut OpenSite, names: &[String]) -> Result<Vec<ListedTarget>, CliError> {
    let schedules = site.store.schedules()?;
    let mut states: BTreeMap<ScheduleTarget, Option<ScheduleState>> =
        site.store.recorded_targets()?.into_iter().map(|target| (target, None)).collect();
    states.extend(schedules.into_iter().map(|state| (state.target.clone(), Some(state))));
    let mut listed = Vec::new();
    for (target, state) in states {
        listed.push(ListedTarget::new(site.store.as_mut(), target, state)?);
    }
    if !names.is_empty() {
        let site_state = site.site_state()?;
        let wanted = site.targets(&site_state, names)?;
        listed.retain(|of| wanted.iter().any(|wanted| includes(wanted, of, &site_state)));
    }
    Ok(listed)
}

fn includes(wanted: &QueueOrJob, of: &ListedTarget, site_state: &SiteState) -> bool {
    match (wanted, &of.target) {
        (QueueOrJob::Queue(queue), _) => of.queue.as_deref() == Some(queue.as_str()),
        (QueueOrJob::Job(job), ScheduleTarget::Job(id)) => job == id,
        // A job is due when its queue is, unless it has a schedule of its own.
        (QueueOrJob::Job(job), target @ ScheduleTarget::Queue(_)) => is_due_with(site_state, *job, target),
    }
}

fn is_due_with(site_state: &SiteState, job: JobId, target: &ScheduleTarget) -> bool {
    let schedule = site_state.job(job).and_then(|job| site_state.schedule_of_job(job));
    schedule.is_some_and(|schedule| schedule.target == *target)
}

impl ListedTarget {
    fn new(store: &mut dyn Store, target: ScheduleTarget, state: Option<ScheduleState>) -> Result<Self, StoreError> {
        let (queue, job) = match &target {
            ScheduleTarget::Queue(queue) => (Some(queue.to_string()), None),
            // It may have been removed from its queue.
            ScheduleTarget::Job(id) => match store.job(*id)? {
                Some(job) => (Some(job.queue.to_string()), Some(job.path())),
                None => (None, Some(id.to_string())),
            },
        };
        Ok(Self { target, state, queue, job })
    }

    /// The queue or the job as printed.
    fn path(&self) -> String {
        text::sanitize_line(self.job.as_deref().or(self.queue.as_deref()).unwrap_or_default())
    }
}

/// The recorded due times of several schedules in their order, read page by page.
struct PastDueTimes<'t> {
    cursors: Vec<Cursor<'t>>,
    /// The first unread due time of each cursor, with its index.
    heads: BTreeSet<(DateTime<Utc>, usize)>,
}

/// The unread due times of a schedule.
struct Cursor<'t> {
    of: &'t ListedTarget,
    records: VecDeque<DueRecord>,
    /// From which time on more are to be read; `None` if there are no more.
    more_since: Option<DateTime<Utc>>,
}

impl<'t> PastDueTimes<'t> {
    /// The due times since this time; without it, the last ones of each schedule.
    fn new(
        store: &mut dyn Store,
        targets: &'t [ListedTarget],
        since: Option<DateTime<Utc>>,
    ) -> Result<Self, StoreError> {
        let mut past = Self { cursors: Vec::new(), heads: BTreeSet::new() };
        for (index, of) in targets.iter().enumerate() {
            let mut cursor = Cursor { of, records: VecDeque::new(), more_since: since };
            if since.is_none() {
                let last = store.due_records(&of.target, &DuePage { limit: MAX_PAST, ..DuePage::default() })?;
                cursor.records.extend(last.into_iter().rev());
            }
            cursor.fill(store)?;
            past.heads.extend(cursor.records.front().map(|record| (record.due, index)));
            past.cursors.push(cursor);
        }
        Ok(past)
    }

    fn next(&mut self, store: &mut dyn Store) -> Result<Option<DueEntry<'t>>, StoreError> {
        let Some((due, index)) = self.heads.pop_first() else { return Ok(None) };
        let Some(cursor) = self.cursors.get_mut(index) else { return Ok(None) };
        let record = cursor.records.pop_front();
        cursor.fill(store)?;
        self.heads.extend(cursor.records.front().map(|record| (record.due, index)));
        Ok(Some(DueEntry { of: cursor.of, due, record }))
    }
}

impl Cursor<'_> {
    /// Reads the next page if there is no unread due time.
    fn fill(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        if let Some(since) = self.more_since.filter(|_| self.records.is_empty()) {
            let page = DuePage { since: Some(since), before: None, limit: PAGE_LENGTH, oldest_first: true };
            self.records.extend(store.due_records(&self.of.target, &page)?);
            let last = self.records.back().filter(|_| self.records.len() == PAGE_LENGTH);
            self.more_since = last.map(|last| last.due + TimeDelta::nanoseconds(1));
        }
        Ok(())
    }
}

fn next_entries(targets: &[ListedTarget], most: usize, now: DateTime<Utc>) -> Vec<DueEntry<'_>> {
    let mut entries = Vec::new();
    for of in targets {
        let Some(state) = &of.state else { continue };
        let following = |due: &DateTime<Utc>| state.schedule.next_after(*due);
        let times = std::iter::successors(state.upcoming(now), following);
        entries.extend(times.take(most).map(|due| DueEntry { of, due, record: None }));
    }
    entries
}

impl EntryPrinter {
    fn new(targets: &[ListedTarget], now: DateTime<Utc>) -> Self {
        let paths = targets.iter().map(|of| text::width(&of.path()));
        // Only intervals can have seconds.
        let states = targets.iter().filter_map(|of| of.state.as_ref());
        let mut intervals = states.flat_map(|state| &state.schedule.times).filter_map(Recurrence::interval);
        let has_seconds = intervals.any(|interval| interval.num_seconds() % 60 != 0);
        let format = if has_seconds { "%a %Y-%m-%d %H:%M:%S" } else { "%a %Y-%m-%d %H:%M" };
        Self { now, path_width: paths.max().unwrap_or(0), format }
    }

    fn print(&self, out: &mut impl Write, entry: &DueEntry<'_>) -> Result<(), CliError> {
        let due = entry.due.with_timezone(&Local);
        let has_seconds = due.second() != 0;
        let time = due.format(if has_seconds { "%a %Y-%m-%d %H:%M:%S" } else { self.format });
        let path = text::pad(&entry.of.path(), self.path_width, text::ELLIPSIS);
        let (state, note) = match &entry.record {
            None => {
                let left = text::time_left((entry.due - self.now).to_std().unwrap_or_default());
                let schedule = entry.of.state.as_ref().map(describe).unwrap_or_default();
                ("next", format!("in {left}  {schedule}"))
            }
            Some(record) => (state_of(record, entry.of.state.as_ref()), past_note(record)),
        };
        let line = format!("{time}  {state:<7}  {path}  {}", text::sanitize_line(&note));
        writeln!(out, "{}", line.trim_end())?;
        Ok(())
    }
}

/// What became of a due time, in one word: the outcome if its run has ended and did not succeed.
fn state_of(record: &DueRecord, state: Option<&ScheduleState>) -> &'static str {
    let is_running = state.and_then(|state| state.running.as_ref()).is_some_and(|running| running.due == record.due);
    match record.outcome {
        Some(outcome) if outcome.is_failure() => outcome.as_str(),
        None if is_running => "running",
        _ if record.is_late() => "late",
        _ => record.result.as_str(),
    }
}

fn past_note(record: &DueRecord) -> String {
    let late = record.is_late().then(|| {
        let late = text::time_left((record.at - record.start).to_std().unwrap_or_default());
        format!("{late} late")
    });
    let note = late.unwrap_or_else(|| record.result.reason().unwrap_or_default().to_owned());
    match record.earlier {
        0 => note,
        earlier => format!("{note} (and {} before)", text::count_noun(earlier, "due time")),
    }
}

/// The expressions of a schedule with their time zones.
pub(super) fn describe(state: &ScheduleState) -> String {
    let times: Vec<String> = state.schedule.times.iter().map(ToString::to_string).collect();
    times.join(", ")
}

/// The schedule of a job as lines of `show`: its expressions and next due time, and the latest due time.
pub(super) fn describe_lines(state: &ScheduleState, last: Option<&DueRecord>, now: DateTime<Utc>) -> String {
    let mut lines = vec![describe(state)];
    if let Some(next) = state.upcoming(now) {
        lines.push(format!("next  {}", local_time(next)));
    }
    lines.extend(last.map(|record| {
        let due = local_time(record.due);
        format!("last  {due}  {}  {}", state_of(record, Some(state)), past_note(record)).trim_end().to_owned()
    }));
    lines.join("\n")
}

/// The latest recorded due time of a schedule.
pub(super) fn last_due(store: &mut dyn Store, target: &ScheduleTarget) -> Result<Option<DueRecord>, StoreError> {
    Ok(store.due_records(target, &DuePage { limit: 1, ..DuePage::default() })?.pop())
}

impl<'a> DueEntryRecord<'a> {
    fn new(entry: &'a DueEntry<'_>) -> Self {
        let expressions = |state: &ScheduleState| state.schedule.times.iter().map(ToString::to_string).collect();
        let record = entry.record.as_ref();
        Self {
            queue: entry.of.queue.as_deref(),
            job: entry.of.job.as_deref(),
            due_at: iso_time(entry.due),
            state: record.map_or("next", |record| DueResult::as_str(&record.result)),
            outcome: record.and_then(|record| record.outcome).map(DueOutcome::as_str),
            late: record.is_some_and(DueRecord::is_late),
            decided_at: record.map(|record| iso_time(record.at)),
            reason: record.and_then(|record| record.result.reason()),
            earlier: record.map_or(0, |record| record.earlier),
            schedule: entry.of.state.as_ref().map(expressions),
        }
    }
}
