//! The status texts for results of commands.

use chrono::{DateTime, Utc};

use crate::model::{Event, EventRecord, InputError, Job, JobId, NothingToDo, Outcome, QueueId, Refusal, SiteState};
use crate::site::{Respawn, SiteError, WorkerCheck};
use crate::store::CommandResult;
use crate::store::job_folders::RemoteArtifacts;

use super::action::Action;
use super::effect::{BulkAction, Intent};
use super::keymap::Keymap;
use super::message::Reply;
use super::status_line::Severity;
use crate::text::{count_noun, sanitize_line};

/// What is said to have changed something when a new version of the file was applied.
const RELOADED: &str = "Reloaded jobs.yaml";

/// The status text for a reply, and what else follows from it.
#[derive(Debug)]
pub(super) struct ReplyText {
    pub(super) severity: Severity,
    /// The text; none when it is empty.
    pub(super) text: String,
    /// The removed jobs, which can be restored.
    pub(super) removed: Option<Vec<JobId>>,
    /// Whether removed jobs were restored.
    pub(super) undone: bool,
    /// The added job.
    pub(super) added: Option<JobId>,
}

/// The text for a check of the workers, if it needs one.
pub(super) fn worker_check_text(check: &WorkerCheck, keymap: &Keymap) -> Option<String> {
    let again = keymap.key(Action::RunFailed);
    let interrupted = count_noun(check.reaped.interrupted_jobs.len(), "job");
    Some(match (check.respawn, check.reaped.interrupted_jobs.len()) {
        (Respawn::NotNeeded, 0) => return None,
        (Respawn::NotNeeded, _) => {
            format!("A worker died: {interrupted} interrupted. Press {again} to run failed jobs again.")
        }
        (Respawn::Spawned, 0) => "A worker died; another one took over.".to_owned(),
        (Respawn::Spawned, _) => {
            format!(
                "A worker died: {interrupted} interrupted; another one took over. Press {again} to run failed jobs again."
            )
        }
        (Respawn::LimitReached, _) => {
            let key = keymap.key(Action::Process);
            format!("Workers keep crashing; not restarting (see .setlist/worker.log). Press {key} to try again.")
        }
    })
}

/// The text for a worker that could not be started.
pub(super) fn worker_error_text(error: &SiteError) -> String {
    match error {
        SiteError::Store(error) => format!("Can't start a worker: {error}"),
        SiteError::NoWorker => "No worker is running for this site. Start one with `setlist worker`.".to_owned(),
        SiteError::Spawn(error) => format!("Can't start a worker: {error}"),
        SiteError::WorkerFailed { reason, .. } => format!("Can't start a worker: {reason} (see .setlist/worker.log)"),
        SiteError::WorkerNotReady { pid, waited, .. } => {
            format!("The worker (process {pid}) has not started after {waited:?} (see .setlist/worker.log).")
        }
    }
}

/// The text for a reply; `site_state` is the site afterwards.
pub(super) fn reply_text(reply: &Reply, site_state: &SiteState, keymap: &Keymap, now: DateTime<Utc>) -> ReplyText {
    let answers = match &reply.outcome {
        Ok(answers) => answers,
        Err(error) => return text(Severity::Error, error.clone()),
    };
    let events: Vec<&Event> = answers.iter().flatten().flatten().collect();
    let refusal = answers.iter().find_map(|answer| answer.as_ref().err());
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    if let (0, Some(refusal)) = (accepted, refusal) {
        let text_of_refusal = match &reply.intent {
            Intent::Run(job) => run_refusal_text(refusal, &path_of(*job, site_state)),
            _ => refusal_text(refusal),
        };
        return text(Severity::Warning, text_of_refusal);
    }
    match &reply.intent {
        Intent::Process(queues) => info(format!("Processing {}.", names(queues, answers))),
        Intent::StartWorker(queues) => {
            let names: Vec<&str> = queues.iter().map(QueueId::as_str).collect();
            info(format!("Starting a worker for {}.", names.join(", ")))
        }
        Intent::Approve(job) => info(format!("Approved {}.", path_of(*job, site_state))),
        Intent::Refuse(job) => info(format!("Refused {}.", path_of(*job, site_state))),
        Intent::Pause(queues) => info(format!("Paused {}; running jobs may finish.", names(queues, answers))),
        Intent::Run(job) => info(site_state.job(*job).map(|job| run_text(job, site_state, now)).unwrap_or_default()),
        Intent::RunFailed => info(format!("Running {} again.", count_noun(accepted, "failed job"))),
        Intent::Cancel(job) if events.iter().any(|event| matches!(event, Event::StopRequested { .. })) => {
            let job = path_of(*job, site_state);
            info(format!("Asked {job} to stop. Press {} to kill it.", keymap.key(Action::Kill)))
        }
        Intent::Cancel(job) => info(format!("Cancelled {}.", path_of(*job, site_state))),
        Intent::Kill(job) => info(format!("Killing {}.", path_of(*job, site_state))),
        Intent::Marked(action) => info(marked_text(*action, accepted, &events)),
        Intent::SetParallel(queue, parallel) => {
            let file = site_state.queue(queue).is_some_and(|queue| queue.settings.is_in_file);
            let until = if file { ", until jobs.yaml is saved again" } else { "" };
            let count = count_noun(parallel.get(), "job");
            info(format!("{queue} runs up to {count} at once{until}."))
        }
        Intent::Remove => {
            let removed: Vec<_> = events.iter().filter_map(|event| removed(event)).collect();
            let text =
                format!("Removed {}. Press {} to undo.", count_noun(removed.len(), "job"), keymap.key(Action::Undo));
            ReplyText { removed: Some(removed), ..info(text) }
        }
        Intent::Undo => {
            let restored = events.iter().filter(|event| matches!(event, Event::Restored { .. })).count();
            ReplyText { undone: true, ..info(format!("Restored {}.", count_noun(restored, "job"))) }
        }
        Intent::Add(queue) => {
            let added = events.iter().find_map(|event| match event {
                Event::Added { job } => Some(job.id),
                _ => None,
            });
            let number = added.map(|id| id.to_string()).unwrap_or_default();
            ReplyText { added, ..info(format!("Added {number} to {queue}.")) }
        }
        Intent::Save(job, name) => info(format!("Saved {job} to jobs.yaml as {name}.")),
        // Without events, a worker has already applied the file, and the text about its events stays.
        Intent::Reload if events.is_empty() => info(String::new()),
        Intent::Reload | Intent::ReloadNow => changes_text(RELOADED, &events, site_state.file_version() == Some("")),
        // The result is visible.
        Intent::Open | Intent::Move | Intent::StopAndQuit => info(String::new()),
    }
}

/// The path of a job, such as `build/lint`.
fn path_of(job: JobId, site_state: &SiteState) -> String {
    site_state.job(job).map_or_else(|| job.to_string(), |job| sanitize_line(&job.path()))
}

/// The refusal to run one job as a sentence.
fn run_refusal_text(refusal: &Refusal, job: &str) -> String {
    let Refusal::Inputs { error: InputError::Missing { names }, .. } = refusal else { return refusal_text(refusal) };
    let options: Vec<String> = names.iter().map(|name| format!("--input {name}=…")).collect();
    format!("{job} needs {}: `setlist retry {job} {}`.", names.join(", "), options.join(" "))
}

/// A refusal as a sentence. A name at its start keeps its case.
pub(super) fn refusal_text(refusal: &Refusal) -> String {
    if let Refusal::Inputs { queue, error: InputError::Missing { names } } = refusal {
        let (queue, names) = (sanitize_line(queue.as_str()), names.join(", "));
        return format!("{queue} needs {names}: `setlist start {queue} --input NAME=VALUE`.");
    }
    let text = refusal.to_string();
    let starts_with_name = matches!(
        refusal,
        Refusal::WrongState { .. }
            | Refusal::AlreadyInMode { .. }
            | Refusal::NothingToDo(NothingToDo::Process(_) | NothingToDo::Clear(..))
    );
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if !starts_with_name => format!("{}{}.", first.to_uppercase(), letters.as_str()),
        _ => format!("{text}."),
    }
}

/// Why the artifacts of a run can't be shown: another machine has them, or there are none.
pub(super) fn missing_artifacts_text(elsewhere: Option<&RemoteArtifacts>) -> String {
    match elsewhere {
        Some(RemoteArtifacts { machine, .. }) => {
            format!("This run's artifacts are on {}; `setlist show` says how to copy them.", sanitize_line(machine))
        }
        None => "This run has left no artifacts.".to_owned(),
    }
}

/// The text for events that apply a new version of `jobs.yaml` or a list that a job has returned, by this process or another
/// one.
pub(super) fn reload_text(records: &[EventRecord], site_state: &SiteState) -> Option<ReplyText> {
    let (index, at, file_version) =
        records.iter().enumerate().rev().find_map(|(index, recorded)| match &recorded.event {
            Event::FileApplied { file_version } => Some((index, recorded.at, file_version)),
            _ => None,
        })?;
    // The jobs of a returned list are made in the transaction that records the end of the run.
    let source = records[index..].iter().find_map(|recorded| match &recorded.event {
        Event::Ended { job, report, .. } if recorded.at == at && report.outcome == Outcome::Succeeded => {
            let job = site_state.job(*job).filter(|job| !job.definition.scheduling.item_entries.is_empty())?;
            Some(format!("{} returned a list", sanitize_line(&job.path())))
        }
        _ => None,
    });
    let source = source.unwrap_or_else(|| RELOADED.to_owned());
    // Events of one transaction have the same time.
    let events: Vec<&Event> = records.iter().filter(|other| other.at == at).map(|other| &other.event).collect();
    let deferred = file_version.is_empty() || events.iter().any(|event| is_deferred_change(event));
    Some(changes_text(&source, &events, deferred))
}

/// The text for a command on the marked jobs.
fn marked_text(action: BulkAction, accepted: usize, events: &[&Event]) -> String {
    let count = count_noun(accepted, "job");
    match action {
        BulkAction::Run => format!("Running {count}."),
        BulkAction::Kill => format!("Killing {count}."),
        BulkAction::Cancel => {
            match events.iter().filter(|event| matches!(event, Event::StopRequested { .. })).count() {
                0 => format!("Cancelled {count}."),
                stopping if stopping == accepted => format!("Asked {count} to stop."),
                stopping => format!("Cancelled {}, asked {stopping} to stop.", count_noun(accepted - stopping, "job")),
            }
        }
    }
}

fn info(text: String) -> ReplyText {
    self::text(Severity::Info, text)
}

fn text(severity: Severity, text: String) -> ReplyText {
    ReplyText { severity, text, removed: None, undone: false, added: None }
}

fn removed(event: &Event) -> Option<JobId> {
    match event {
        Event::Removed { job, .. } => Some(*job),
        _ => None,
    }
}

fn names(queues: &[QueueId], answers: &[CommandResult]) -> String {
    // The answers about the queues are the last ones; a confirmation may precede them.
    let answers = &answers[answers.len().saturating_sub(queues.len())..];
    let accepted = queues.iter().zip(answers).filter(|(_, answer)| answer.is_ok());
    accepted.map(|(queue, _)| queue.as_str()).collect::<Vec<_>>().join(", ")
}

/// Whether a requested job runs now, and if not, why.
fn run_text(job: &Job, site_state: &SiteState, now: DateTime<Utc>) -> String {
    let (id, queue) = (job.id, &job.queue);
    let Some(record) = site_state.queue(queue) else { return String::new() };
    let room = usize::try_from(record.settings.max_parallel()).unwrap_or(usize::MAX);
    match site_state.wait_reason(job) {
        Some(waiting) if waiting.is_requirement() => format!("{id} runs later: it {}.", waiting.describe(now)),
        Some(_) if record.running.len() >= room => format!("{id} runs as soon as {queue} has a free slot."),
        _ => format!("Running {id}."),
    }
}

/// Whether the event changes a job only when its run ends.
fn is_deferred_change(event: &Event) -> bool {
    matches!(event, Event::Redefined { definition, .. } if definition.replacement.is_some())
}

/// What `source`, such as a new version of the file, changed; `deferred` if a change waits for the end of a running job.
fn changes_text(source: &str, events: &[&Event], deferred: bool) -> ReplyText {
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    let added = count(|event| matches!(event, Event::Added { .. } | Event::Restored { .. }));
    let changed = count(|event| {
        matches!(event, Event::Redefined { .. }) && !is_deferred_change(event) && !event.is_removal_from_file()
    });
    let removed = count(|event| matches!(event, Event::Removed { .. }));
    let settings = count(|event| matches!(event, Event::QueueDefined { .. } | Event::Moved { .. }));
    let recorded = count(Event::is_removal_from_file);
    let counts = [(added, "added"), (changed, "changed"), (removed, "removed"), (recorded, "only kept as a record")];
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let mut text = match (&counts[..], settings) {
        ([], 0) if deferred => String::new(),
        ([], 0) => "nothing changed".to_owned(),
        ([], _) => "settings or order changed".to_owned(),
        _ => counts.join(", "),
    };
    if deferred {
        text.push_str(if text.is_empty() { "" } else { "; " });
        text.push_str("a running job changes when it ends");
    }
    info(format!("{source}: {text}."))
}
