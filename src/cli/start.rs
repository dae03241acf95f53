//! Starts to process queues: `setlist start`, which leaves them to a worker, and the first steps of `setlist process`.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use super::args::{ProcessArgs, StartArgs};
use super::error::{CliError, warn};
use super::exit::ExitStatus;
use super::input_args::report_kept_values;
use super::json_records::{QueueRecord, write_json};
use super::open_site::OpenSite;
use super::queue_or_job::sync_state;
use super::safe_output;
use super::time_text::local_time;
use crate::clock;
use crate::definition::{self, look_for_arrivals};
use crate::model::{
    Command, Event, EventRecord, Job, JobId, NothingToDo, QueueId, QueueMode, QueueState, Refusal, SiteState,
    WaitReason,
};
use crate::site::{SitePaths, save_own_environment, user_name};
use crate::store::Store;
use crate::text;

/// The jobs of a queue that are named in the message that it starts.
const MAX_NAMED_JOBS: usize = 3;

impl StartArgs {
    /// The arguments of `process --detach`.
    pub(super) fn detached(options: &ProcessArgs) -> Self {
        let ProcessArgs { resume, again, yes, quiet, json, .. } = *options;
        Self { queues: options.queues.clone(), resume, again, yes, quiet, json, inputs: options.inputs.clone() }
    }
}

/// Processes queues in the background.
pub(super) fn start(site: OpenSite, options: &StartArgs) -> Result<ExitStatus, CliError> {
    let mut site = site.require_valid_file()?;
    let mut site_state = site.site_state()?;
    let queues = queues_to_process(&site, &site_state, &options.queues)?;
    site.inputs = options.inputs.for_queues(&site_state, &queues, options.again, false)?;
    if options.again {
        if !options.quiet && !options.json {
            report_kept_values(&site_state, &queues, &options.inputs, &site.inputs);
        }
        requeue_finished(site.store.as_mut(), &site_state, &queues)?;
        sync_state(&mut site_state, site.store.as_mut())?;
    }
    if options.yes {
        approve_all(site.store.as_mut(), &site_state, &queues)?;
    }
    let StartedJobs { open, mut has_blocked_queue, shared, events } =
        start_queues(&mut site, &site_state, &queues, options.resume)?;
    if open == 0 {
        if !has_blocked_queue {
            report_no_pending_jobs(&site_state, &queues, options.quiet);
        }
        return Ok(if has_blocked_queue { ExitStatus::JobFailed } else { ExitStatus::Success });
    }
    // What will run is printed as it is before the worker starts any of it.
    sync_state(&mut site_state, site.store.as_mut())?;
    let worker = site.ensure_worker();
    has_blocked_queue |= report_skipped_jobs(&site_state, &queues, &events);
    print_started(&site, &site_state, &queues, &shared, options)?;
    worker?;
    Ok(if has_blocked_queue { ExitStatus::JobFailed } else { ExitStatus::Success })
}

/// Says which jobs were skipped at once, because a job that they need has failed. Returns whether a queue has no other jobs.
fn report_skipped_jobs(site_state: &SiteState, queues: &[QueueId], events: &[EventRecord]) -> bool {
    let mut is_blocked = false;
    for id in queues {
        let mut skipped = events.iter().filter_map(|record| match &record.event {
            Event::Skipped { job, reason } if site_state.job(*job)?.queue == *id => Some(reason),
            _ => None,
        });
        let Some(reason) = skipped.next() else { continue };
        let count = skipped.count() + 1;
        is_blocked |= !site_state.queue(id).is_some_and(is_started);
        warn(&text::sanitize_line(&format!("{} of {id} skipped: {reason}", text::count_noun(count, "job"))));
    }
    is_blocked
}

/// Whether a queue is being processed and has jobs left.
fn is_started(queue: &QueueState) -> bool {
    queue.mode == QueueMode::Processing && !(queue.pending.is_empty() && queue.running.is_empty())
}

/// The queues of these names; all of them if there are none. The name of a job gets the command that runs it.
pub(super) fn queues_to_process(
    site: &OpenSite,
    site_state: &SiteState,
    names: &[String],
) -> Result<Vec<QueueId>, CliError> {
    site.queues(site_state, names).map_err(|error| {
        match names.iter().find_map(|name| site.job_meant(site_state, name)) {
            Some(job) => {
                let path = job.path();
                CliError::Usage(text::sanitize_line(&format!(
                    "{path} is a job, not a queue; `setlist retry {path}` runs it"
                )))
            }
            None => error,
        }
    })
}

/// Prints what runs in the queues that were started, and how to follow it.
fn print_started(
    site: &OpenSite,
    site_state: &SiteState,
    queues: &[QueueId],
    shared: &[QueueId],
    options: &StartArgs,
) -> Result<(), CliError> {
    let started: Vec<(&QueueId, &QueueState)> =
        queues.iter().filter_map(|id| Some((id, site_state.queue(id).filter(|queue| is_started(queue))?))).collect();
    let file = site.paths.file.to_string_lossy();
    let mut out = BufWriter::new(safe_output::stdout());
    for (id, queue) in &started {
        if options.json {
            write_json(&mut out, &QueueRecord::new(id, queue, site_state, &file, clock::now()))?;
        } else if !options.quiet {
            let description = describe_started(site_state, id, queue, shared.contains(id));
            writeln!(out, "{}", text::sanitize_line(&format!("{id}  {description}")))?;
        }
    }
    out.flush()?;
    if options.json || options.quiet || started.is_empty() {
        return Ok(());
    }
    report_scheduled_jobs(site_state, queues);
    let command = |words: &[&str]| {
        let names = started.iter().map(|(id, _)| id.as_str());
        text::shell_command(&words.iter().copied().chain(names).map(str::to_owned).collect::<Vec<_>>())
    };
    let (wait, log) = (command(&["setlist", "wait"]), command(&["setlist", "log", "-f"]));
    warn(&text::sanitize_line(&format!("`{wait}` waits for the end, `{log}` prints the output")));
    Ok(())
}

/// Says what runs in a queue.
fn describe_started(site_state: &SiteState, id: &QueueId, queue: &QueueState, is_shared: bool) -> String {
    let count = queue.running.len() + queue.pending.len();
    let jobs = queue.running.iter().chain(&queue.pending).take(MAX_NAMED_JOBS).filter_map(|id| site_state.job(*id));
    let names: Vec<String> = jobs.map(|job| job.name().map_or_else(|| job.id.to_string(), str::to_owned)).collect();
    let mut list = names.join(", ");
    if let more @ 1.. = count.saturating_sub(MAX_NAMED_JOBS) {
        list = format!("{list} and {more} more");
    }
    let count = text::count_noun(count, "job");
    if site_state.waits_for_approval(id)
        && let Some(job) = site_state.approvals_due(id).next()
    {
        return format!("{count} left: {list}; `setlist approve {}` approves it", job.path());
    }
    if is_shared {
        return format!("is already being processed, {count} left: {list}");
    }
    let approvals = site_state.awaiting_approval(id).count();
    let note = match approvals {
        0 => String::new(),
        1 => "; 1 needs approval".to_owned(),
        _ => format!("; {approvals} need approval"),
    };
    format!("runs {count}: {list}{note}")
}

/// Makes the finished jobs of queues pending again.
pub(super) fn requeue_finished(
    store: &mut dyn Store,
    site_state: &SiteState,
    queues: &[QueueId],
) -> Result<(), CliError> {
    let commands = requeue_commands(site_state, queues);
    // A job that another process has requeued meanwhile is refused, and pending as well.
    store.execute(&commands, store.clock().now())?;
    Ok(())
}

/// The commands that make the finished jobs of queues pending again, as far as they are in the file: a command that was added
/// or run once is not repeated.
pub(super) fn requeue_commands(site_state: &SiteState, queues: &[QueueId]) -> Vec<Command> {
    finished_in_file(site_state, queues).map(|job| Command::Reset { job: job.id }).collect()
}

/// The finished jobs of queues that are in the file.
fn finished_in_file<'s>(site_state: &'s SiteState, queues: &'s [QueueId]) -> impl Iterator<Item = &'s Job> {
    let finished = queues.iter().filter_map(|id| site_state.queue(id)).flat_map(|queue| &queue.finished);
    finished.filter_map(|id| site_state.job(*id)).filter(|job| job.definition.is_in_file())
}

/// Approves all jobs of queues that need approval.
pub(super) fn approve_all(store: &mut dyn Store, site_state: &SiteState, queues: &[QueueId]) -> Result<(), CliError> {
    let jobs: Vec<JobId> =
        queues.iter().flat_map(|queue| site_state.awaiting_approval(queue)).map(|job| job.id).collect();
    if !jobs.is_empty() {
        store.execute(&[Command::Approve { jobs, by: user_name() }], store.clock().now())?;
    }
    Ok(())
}

/// The result of starting to process queues.
#[derive(Default)]
pub(super) struct StartedJobs {
    /// The number of jobs that are pending or running.
    pub open: usize,
    /// A queue is paused, or has only jobs that can't start.
    pub has_blocked_queue: bool,
    /// The queues that were processing already, for another caller.
    pub shared: Vec<QueueId>,
    /// What happened at once: jobs that can't run any more are skipped.
    pub events: Vec<EventRecord>,
}

/// Asks for the queues to be processed.
pub(super) fn start_queues(
    site: &mut OpenSite,
    site_state: &SiteState,
    queues: &[QueueId],
    resume: bool,
) -> Result<StartedJobs, CliError> {
    let mut started = StartedJobs::default();
    let is_paused = |id: &&QueueId| {
        let is_paused = |queue: &QueueState| queue.mode == QueueMode::Paused && !queue.pending.is_empty();
        !resume && site_state.queue(id).is_some_and(is_paused)
    };
    let (paused, queues): (Vec<_>, Vec<_>) = queues.iter().partition(is_paused);
    for queue in paused {
        warn(&text::sanitize_line(&format!("{queue} is paused; --resume processes it")));
        started.has_blocked_queue = true;
    }
    let commands: Vec<_> = queues.iter().map(|queue| Command::Process { queue: (*queue).clone() }).collect();
    let now = clock::now();
    for (queue, answer) in queues.into_iter().zip(site.execute(commands)?) {
        started.events.extend(answer.iter().flatten().cloned().map(|event| EventRecord { seq: 0, at: now, event }));
        if let Err(Refusal::AlreadyInMode { .. }) = &answer {
            started.shared.push(queue.clone());
            report_other_environment(site, site_state, queue)?;
        }
        match answer {
            // Another caller processes it, too: both share the work.
            Ok(_) | Err(Refusal::AlreadyInMode { .. }) => {
                started.open += site_state.queue(queue).map_or(0, |queue| queue.pending.len() + queue.running.len());
            }
            Err(Refusal::NothingToDo(NothingToDo::Process(_))) => {}
            Err(refusal @ Refusal::Blocked { .. }) => {
                warn(&refusal.to_string());
                started.has_blocked_queue = true;
            }
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(started)
}

/// Warns that the jobs of a queue don't run with the environment of this process, because another one has asked first.
fn report_other_environment(site: &OpenSite, site_state: &SiteState, queue: &QueueId) -> Result<(), CliError> {
    let first = site_state.queue(queue).and_then(|queue| queue.environment);
    if first != Some(save_own_environment(&site.paths.state)?.id()) {
        let reason = match site_state.approvals_due(queue).next() {
            Some(job) if site_state.waits_for_approval(queue) => {
                format!("only waits for the approval of {} by now", job.path())
            }
            _ => "is already being processed".to_owned(),
        };
        let message = format!(
            "{queue} {reason}: its jobs get the environment of that request, not yours (`setlist pause` it first to \
             process it with yours)"
        );
        warn(&text::sanitize_line(&message));
    }
    Ok(())
}

/// Says that there is nothing to process. For cron, where no message means that all is well, this matters if jobs have
/// finished that were meant to run again.
pub(super) fn report_no_pending_jobs(site_state: &SiteState, queues: &[QueueId], quiet: bool) {
    let finished: Vec<&Job> = finished_in_file(site_state, queues).collect();
    if finished.is_empty() {
        if !quiet {
            warn("no pending jobs");
        }
        return;
    }
    let count =
        |number: usize| format!("{} {}", text::count_noun(number, "job"), if number == 1 { "has" } else { "have" });
    let them = if finished.len() == 1 { "it" } else { "them" };
    let mut message = format!("no pending jobs; {} finished, and `--again` runs {them} again", count(finished.len()));
    match finished.iter().filter(|job| site_state.counts_as_failure(job)).count() {
        0 => {}
        failed => {
            let them = if failed == 1 { "it" } else { "them" };
            let failed = count(failed);
            message = format!("{message}; {failed} failed earlier: `setlist retry --failed` runs only {them}");
        }
    }
    warn(&message);
}

/// Says which files of `for_each: {watch}` may still be written, since they become jobs later.
pub(super) fn report_settling_files(paths: &SitePaths) {
    let rules = definition::read(&paths.file).map(|desired| desired.arrivals).unwrap_or_default();
    let folder = paths.file.parent().unwrap_or(Path::new("."));
    for rule in rules {
        let found = look_for_arrivals(folder, &rule);
        let Some(left) = found.all_settle_in else { continue };
        let (files, verb) = (text::count_noun(found.settling, "file"), if found.settling == 1 { "is" } else { "are" });
        let (patterns, left) = (rule.patterns.join(" and "), text::time_left(left));
        let message = format!(
            "{files} of {patterns} {verb} still settling, for {left}; `setlist process` runs {} then, and \
             `setlist worker` stays and runs files as they arrive",
            if found.settling == 1 { "it" } else { "them" }
        );
        warn(&text::sanitize_line(&message));
    }
}

/// Prints which jobs are scheduled for later, since the command waits for them.
pub(super) fn report_scheduled_jobs(site_state: &SiteState, queues: &[QueueId]) {
    const MAX_LISTED: usize = 3;
    let now = clock::now();
    let pending = queues.iter().filter_map(|id| site_state.queue(id)).flat_map(|queue| &queue.pending);
    let due_time = |job: &Job| match site_state.wait_reason(job) {
        Some(WaitReason::Time(at) | WaitReason::Retry { at, .. }) if at > now => Some(at),
        _ => None,
    };
    let mut scheduled: Vec<_> =
        pending.filter_map(|id| site_state.job(*id)).filter_map(|job| Some((due_time(job)?, job))).collect();
    scheduled.sort_by_key(|(at, _)| *at);
    for (at, job) in scheduled.iter().take(MAX_LISTED) {
        let left = text::time_left((*at - now).to_std().unwrap_or_default().max(Duration::from_secs(1)));
        let at = local_time(*at);
        warn(&format!("waiting until {at} ({left}) to start {}", job.path()));
    }
    if let more @ 1.. = scheduled.len().saturating_sub(MAX_LISTED) {
        warn(&format!("{} to start later", text::count_noun(more, "more job")));
    }
}
