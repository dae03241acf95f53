//! `setlist list`: jobs by queue, a page at a time.

use std::collections::{BTreeSet, VecDeque};
use std::io::{BufWriter, Write};

use chrono::{DateTime, Utc};

use super::args::{ListArgs, StateFilter};
use super::error::CliError;
use super::exit::ExitStatus;
use super::job_pages::JobPages;
use super::job_selection::SelectionFilter;
use super::json_records::{JobRecord, write_json};
use super::open_site::OpenSite;
use super::time_text::local_time;
use super::time_text::short_time;
use super::usage_now::{RunningUsages, UsageNowRecord};
use super::{safe_output, status_check};
use crate::clock;
use crate::model::result_value::ValueComparison;
use crate::model::{Job, JobState, Outcome, Overdue, Phase, Run, RunEnd, SiteState, WaitReason};
use crate::store::{JobListPage, SiteOverview};
use crate::text;

/// How many pages are kept in memory between fitting the columns and printing: about 100,000 jobs.
const MAX_KEPT_PAGES: usize = 25;

/// Prints jobs by queue: finished, running, pending.
pub(super) fn list(mut site: OpenSite, options: &ListArgs) -> Result<ExitStatus, CliError> {
    let (SiteOverview { state, .. }, queues) = site.overview_of(&options.queues)?;
    let now = clock::now();
    let tags = if SelectionFilter::names_tags(&options.filter) { site.store.job_tags()? } else { BTreeSet::new() };
    let filter = SelectionFilter::with_tags(&options.filter, &state, &tags.iter().map(String::as_str).collect())?;
    let listing = Listing { options, filter, since: options.since.map(|since| now - since), now };
    let mut out = BufWriter::new(safe_output::stdout());
    let mut pages = JobPages::new(queues);
    let (columns, mut kept) =
        if options.json { Default::default() } else { listing.fit_columns(&mut site, &mut pages)? };
    if safe_output::is_stdout_terminal() && !options.json && !options.no_header && columns.path > 0 {
        print_list_header(&mut out, &columns)?;
    }
    let mut next_page = |site: &mut OpenSite| {
        kept.pop_front().map_or_else(|| pages.next_page(site.store.as_mut()), |page| Ok(Some(page)))
    };
    while let Some(page) = next_page(&mut site)? {
        let usages = RunningUsages::look(&mut site, listing.jobs_of(&page).filter(|_| options.json))?;
        for job in listing.jobs_of(&page) {
            listing.print(&mut out, &page.state, job, &columns, usages.of(job, site.store.as_ref()))?;
        }
    }
    out.flush()?;
    drop(out);
    site.finish(ExitStatus::Success)
}

/// Which jobs are listed.
struct Listing<'a> {
    options: &'a ListArgs,
    filter: SelectionFilter<'a>,
    since: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
}

impl Listing<'_> {
    fn includes(&self, job: &Job) -> bool {
        matches(job, self.options, self.since) && self.filter.matches(job)
    }

    /// The jobs of a page that are listed.
    fn jobs_of<'p>(&self, page: &'p JobListPage) -> impl Iterator<Item = &'p Job> {
        page.jobs.iter().filter_map(|id| page.state.job(*id)).filter(|job| self.includes(job))
    }

    /// The widths that all jobs need, and the first pages, which were read for that. The pages behind these are read again
    /// when they are printed: together they may be large.
    fn fit_columns(
        &self,
        site: &mut OpenSite,
        pages: &mut JobPages,
    ) -> Result<(ListColumns, VecDeque<JobListPage>), CliError> {
        let (mut columns, mut kept) = (ColumnFit::default(), VecDeque::new());
        while kept.len() < MAX_KEPT_PAGES
            && let Some(page) = pages.next_page(site.store.as_mut())?
        {
            self.jobs_of(&page).for_each(|job| columns.add(job));
            kept.push_back(page);
        }
        let mut later = pages.clone();
        while let Some(page) = later.next_page(site.store.as_mut())? {
            self.jobs_of(&page).for_each(|job| columns.add(job));
        }
        Ok((columns.finish(), kept))
    }

    fn print(
        &self,
        out: &mut impl Write,
        site_state: &SiteState,
        job: &Job,
        columns: &ListColumns,
        usage_now: Option<UsageNowRecord>,
    ) -> Result<(), CliError> {
        let waiting = site_state.wait_reason(job);
        let overdue = site_state.overdue_job(job, self.now);
        if self.options.json {
            let record = JobRecord::new(job, waiting.as_ref(), self.now).with_overdue(overdue);
            write_json(out, &record.with_usage_now(usage_now))
        } else {
            print_row(out, job, waiting.as_ref(), overdue, self.now, columns)
        }
    }
}

fn matches(job: &Job, options: &ListArgs, since: Option<DateTime<Utc>>) -> bool {
    const FAILED: [StateFilter; 2] = [StateFilter::Failed, StateFilter::Interrupted];
    let has_state = |state: &StateFilter| match state {
        StateFilter::Pending => job.phase() == Phase::Pending,
        StateFilter::Running => job.phase() == Phase::Running,
        StateFilter::Finished => job.phase() == Phase::Finished,
        StateFilter::Succeeded => job.outcome() == Some(&Outcome::Succeeded),
        StateFilter::Failed => job.has_failed(),
        StateFilter::Cancelled => job.outcome() == Some(&Outcome::Cancelled),
        StateFilter::Skipped => matches!(job.outcome(), Some(Outcome::Skipped { .. })),
        StateFilter::Interrupted => job.outcome().is_some_and(Outcome::is_interrupted),
    };
    let failed = !options.failed || FAILED.iter().any(has_state);
    let state = failed && (options.state.is_empty() || options.state.iter().any(has_state));
    let latest = match &job.state {
        JobState::Finished { at, .. } => *at,
        _ => job.enqueued,
    };
    state && since.is_none_or(|since| latest >= since)
}

/// The width of a whole time.
const TIME_WIDTH: usize = 19;

/// The widths of the columns of a list. On a terminal they are limited; elsewhere nothing is truncated.
#[derive(Default)]
struct ListColumns {
    /// 0 if no job is listed.
    path: usize,
    max_time: usize,
    /// The width of the values; 0 if they are not printed.
    value: usize,
    max_failure: usize,
    /// The width of the terminal.
    terminal: Option<usize>,
}

impl ListColumns {
    /// Whether the terminal has no room for whole times and titles.
    fn is_narrow(&self) -> bool {
        self.max_time < TIME_WIDTH
    }

    /// The width of the column of times.
    fn time(&self) -> usize {
        self.max_time.min(TIME_WIDTH)
    }
}

/// What the widths depend on, of the jobs until now.
#[derive(Default)]
struct ColumnFit {
    path: usize,
    value: usize,
    values: ValueComparison,
}

impl ColumnFit {
    const MIN_PATH: usize = 24;
    /// On narrower terminals, the names take no more room than they need.
    const WIDE_TERMINAL: usize = 100;
    const MAX_NARROW_PATH: usize = 18;
    const NARROW_TIME: usize = 14;

    fn add(&mut self, job: &Job) {
        self.path = self.path.max(text::width(&text::sanitize_line(&job.path()))).max("NAME".len());
        if job.result().is_some() {
            self.value = self.value.max(text::width(&job.result_line()));
            self.values.add(job);
        }
    }

    fn finish(self) -> ListColumns {
        let Self { path, value, values } = self;
        let value = if values.is_useful() { value } else { 0 };
        let least = if path > 0 { Self::MIN_PATH } else { 0 };
        let terminal = safe_output::stdout_width();
        match terminal {
            Some(width) if width < Self::WIDE_TERMINAL => ListColumns {
                path: path.min(Self::MAX_NARROW_PATH),
                max_time: Self::NARROW_TIME,
                value: value.min(12),
                max_failure: 60,
                terminal,
            },
            _ if safe_output::is_stdout_terminal() => {
                let path = path.max(least).min(40);
                ListColumns { path, max_time: 19, value: value.min(20), max_failure: 60, terminal }
            }
            _ => {
                let path = path.max(least);
                ListColumns { path, max_time: usize::MAX, value, max_failure: usize::MAX, terminal: None }
            }
        }
    }
}

fn print_list_header(out: &mut impl Write, columns: &ListColumns) -> Result<(), CliError> {
    let name = text::pad("NAME", columns.path, text::ELLIPSIS);
    let value =
        if columns.value > 0 { text::pad("VALUE", columns.value, text::ELLIPSIS) + "  " } else { String::new() };
    let width = columns.time();
    let header = format!("{:>6}  {name}  {:<11}  {:<width$}  {:>7}  {value}TITLE", "JOB", "STATE", "TIME", "TOOK");
    Ok(writeln!(out, "{}", safe_output::fit_line(&header, columns.terminal))?)
}

/// When it finished, or when its run started: the time shown in a list.
fn listed_time(job: &Job) -> Option<DateTime<Utc>> {
    match &job.state {
        JobState::Finished { at, .. } => Some(*at),
        JobState::Running { .. } => job.last_run.as_ref().map(|run| run.started),
        JobState::Pending { .. } => None,
    }
}

fn print_row(
    out: &mut impl Write,
    job: &Job,
    waiting: Option<&WaitReason>,
    overdue: Option<Overdue>,
    now: DateTime<Utc>,
    columns: &ListColumns,
) -> Result<(), CliError> {
    let state = job.outcome().map_or(job.phase().as_str(), Outcome::as_str);
    let when = match (waiting, job.failure()) {
        _ if overdue.is_some() => {
            let since = overdue.filter(|_| !columns.is_narrow()).map(|overdue| short_time(overdue.expected));
            format!("overdue {}", since.unwrap_or_default())
        }
        (None, _) if job.stalled_since().is_some() => status_check::stalled_text(job, now).unwrap_or_default(),
        // A failed job that stopped its queue is pending again.
        (Some(WaitReason::QueueStopped | WaitReason::QueueIdle), Some(failure)) => {
            text::fit(&text::sanitize_line(&failure.message), columns.max_time, text::ELLIPSIS).into_owned()
        }
        (Some(waiting), _) => {
            text::fit(&text::sanitize_line(&waiting.describe(now)), columns.max_time, text::ELLIPSIS).into_owned()
        }
        (None, _) => {
            let shown = if columns.is_narrow() { short_time } else { local_time };
            listed_time(job).map(shown).unwrap_or_default()
        }
    };
    let when_width = columns.time();
    let took = job.result_run().and_then(Run::duration).map(text::duration).unwrap_or_default();
    let (id, path) = (job.id.to_string(), text::sanitize_line(&job.path()));
    let label = text::sanitize_line(&job.display_title());
    // A job that was added since the columns were fitted may be wider.
    let width = if columns.max_time == usize::MAX { columns.path.max(text::width(&path)) } else { columns.path };
    let path = text::pad(&path, width, text::ELLIPSIS);
    let mut line = format!("{id:>6}  {path}  {state:<11}  {when:<when_width$}  {took:>7}  ");
    if columns.value > 0 {
        line += &text::pad(&job.result_line(), columns.value, text::ELLIPSIS);
        line += "  ";
    }
    let end = job.result_run().and_then(|run| run.end.as_ref());
    if let Some(failure) = end.and_then(RunEnd::failure_line).filter(|failure| *failure != when) {
        let failure = text::fit(&text::sanitize_line(&failure), columns.max_failure, text::ELLIPSIS).into_owned();
        // Where there is little room, the failure says more than the title.
        let described =
            if columns.is_narrow() { format!("({failure})  {label}") } else { format!("{label}  ({failure})") };
        line += &described;
    } else {
        line += &label;
    }
    Ok(writeln!(out, "{}", safe_output::fit_line(&line, columns.terminal))?)
}
