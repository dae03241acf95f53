//! The words for what became of a command.

use crate::model::{Event, Job, JobId, Ledger, Mode, Phase, QueueId, Recorded};
use crate::store::Answer;

use super::action::Action;
use super::keymap::Keymap;
use super::link::{Succession, Tended};
use super::notice::Tone;
use super::wake::{Answered, Asked, Doing};

/// What an answer means for the screen.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) tone: Tone,
    /// What is said; nothing when it is empty.
    pub(super) text: String,
    /// What was removed, and can be put back.
    pub(super) removed: Option<Vec<JobId>>,
    /// What was removed is back.
    pub(super) undone: bool,
    /// A job that the person has just added.
    pub(super) added: Option<JobId>,
}

/// What to say when somebody has looked after the workers, if anything.
pub(super) fn tended(tended: &Tended, keymap: &Keymap) -> Option<String> {
    let again = keymap.key(Action::RunFailed);
    let interrupted = jobs(tended.interrupted, "job");
    Some(match (tended.work, tended.interrupted) {
        (Succession::Settled, 0) => return None,
        (Succession::Settled, _) => {
            format!("a worker has died: {interrupted} interrupted; {again} runs what failed again")
        }
        (Succession::Hired, 0) => "a worker has died, another goes on".to_owned(),
        (Succession::Hired, _) => {
            format!("a worker has died: {interrupted} interrupted, another goes on; {again} runs what failed again")
        }
        (Succession::Hopeless, _) => {
            let key = keymap.key(Action::Process);
            format!("workers keep dying, nobody goes on: see .setlist/worker.log; {key} tries again")
        }
    })
}

/// What to say about an answer, over the site as it is afterwards.
pub(super) fn told(answered: &Answered, ledger: &Ledger, keymap: &Keymap) -> Told {
    let answers = match &answered.outcome {
        Ok(answers) => answers,
        Err(trouble) => return said(Tone::Failed, trouble.clone()),
    };
    let events: Vec<&Event> = answers.iter().flatten().flatten().collect();
    let refusal = answers.iter().find_map(|answer| answer.as_ref().err());
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    if let (0, Some(refusal)) = (accepted, refusal) {
        return said(Tone::Refused, refusal.to_string());
    }
    let done = |text: String| said(Tone::Done, text);
    match &answered.asked {
        Asked::Process(queues) => done(format!("processing {}", names(queues, answers))),
        Asked::GoOn(queues) => {
            let names: Vec<&str> = queues.iter().map(QueueId::as_str).collect();
            done(format!("starting a worker for {}", names.join(", ")))
        }
        Asked::Pause(queues) => done(format!("paused {}; what runs may finish", names(queues, answers))),
        Asked::Run(job) => done(ledger.job(*job).map(|job| run(job, ledger, keymap)).unwrap_or_default()),
        Asked::RunFailed => done(format!("running {} again", jobs(accepted, "failed job"))),
        Asked::Cancel(job) if events.iter().any(|event| matches!(event, Event::StopAsked { .. })) => {
            done(format!("asked {job} to stop; {} kills it", keymap.key(Action::Kill)))
        }
        Asked::Cancel(job) => done(format!("cancelled {job}")),
        Asked::Kill(job) => done(format!("killing {job}")),
        Asked::These(doing) => done(these(*doing, accepted, &events)),
        Asked::Parallel(queue, parallel) => {
            let file = ledger.queue(queue).is_some_and(|queue| queue.settings.declared);
            let until = if file { ", until jobs.yaml is saved again" } else { "" };
            done(format!("{queue} runs {parallel} at once{until}"))
        }
        Asked::Remove => {
            let removed: Vec<_> = events.iter().filter_map(|event| removed(event)).collect();
            let text = format!("removed {}; {} undoes", jobs(removed.len(), "job"), keymap.key(Action::Undo));
            Told { removed: Some(removed), ..done(text) }
        }
        Asked::Undo => {
            let restored = events.iter().filter(|event| matches!(event, Event::Restored { .. })).count();
            Told { undone: true, ..done(format!("restored {}", jobs(restored, "job"))) }
        }
        Asked::Add(queue) => {
            let added = events.iter().find_map(|event| match event {
                Event::Added { job } => Some(job.id),
                _ => None,
            });
            let number = added.map(|id| id.to_string()).unwrap_or_default();
            Told { added, ..done(format!("added {number} to {queue}")) }
        }
        Asked::Save(job, name) => done(format!("{job} stands in jobs.yaml as {name}")),
        // When there is nothing more to do, what the news said of it stands: a worker may have been quicker.
        Asked::Reload if events.is_empty() => done(String::new()),
        Asked::Reload => reload(&events, ledger.stamp() == Some("")),
        // What has moved is seen to have moved.
        Asked::Open | Asked::Move | Asked::StopAndLeave => done(String::new()),
    }
}

/// What to say when the file has been read, by whomever.
pub(super) fn reloaded(news: &[Recorded]) -> Option<Told> {
    let (at, stamp) = news.iter().rev().find_map(|recorded| match &recorded.event {
        Event::FileRead { stamp } => Some((recorded.at, stamp)),
        _ => None,
    })?;
    // What is decided together has one time.
    let events: Vec<&Event> = news.iter().filter(|other| other.at == at).map(|other| &other.event).collect();
    Some(reload(&events, stamp.is_empty()))
}

/// What has become of marked jobs.
fn these(doing: Doing, accepted: usize, events: &[&Event]) -> String {
    let count = jobs(accepted, "job");
    match doing {
        Doing::Run => format!("running {count}"),
        Doing::Kill => format!("killing {count}"),
        Doing::Cancel => match events.iter().filter(|event| matches!(event, Event::StopAsked { .. })).count() {
            0 => format!("cancelled {count}"),
            stopping if stopping == accepted => format!("asked {count} to stop"),
            stopping => format!("cancelled {}, asked {stopping} to stop", jobs(accepted - stopping, "job")),
        },
    }
}

fn said(tone: Tone, text: String) -> Told {
    Told { tone, text, removed: None, undone: false, added: None }
}

fn removed(event: &Event) -> Option<JobId> {
    match event {
        Event::Removed { job, .. } => Some(*job),
        _ => None,
    }
}

fn names(queues: &[QueueId], answers: &[Answer]) -> String {
    // The answers about the queues are the last ones: a person may have confirmed something first.
    let answers = &answers[answers.len().saturating_sub(queues.len())..];
    let accepted = queues.iter().zip(answers).filter(|(_, answer)| answer.is_ok());
    accepted.map(|(queue, _)| queue.as_str()).collect::<Vec<_>>().join(", ")
}

/// `1 job`, `2 jobs`.
pub(super) fn jobs(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Why a job that was asked for runs now, or not yet.
fn run(job: &Job, ledger: &Ledger, keymap: &Keymap) -> String {
    let (id, queue) = (job.id, &job.queue);
    let Some(record) = ledger.queue(queue) else { return String::new() };
    let room = usize::try_from(record.settings.parallel).unwrap_or(usize::MAX);
    match job.phase() {
        Phase::Pending if record.mode == Mode::Paused => {
            format!("{id} waits: {queue} is paused; {} goes on", keymap.key(Action::Process))
        }
        Phase::Pending if record.running.len() >= room => format!("{id} runs as soon as {queue} has room"),
        _ => format!("running {id}"),
    }
}

/// What a new version of the file has changed; `deferred` when a running job has still to change.
fn reload(events: &[&Event], deferred: bool) -> Told {
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    let more = count(|event| matches!(event, Event::Added { .. } | Event::Restored { .. }));
    let changed = count(|event| matches!(event, Event::Redefined { .. }));
    let less = count(|event| matches!(event, Event::Removed { .. }));
    let settings = count(|event| matches!(event, Event::QueueDefined { .. } | Event::Moved { .. }));
    let what = match (more + changed + less, settings) {
        (0, 0) if deferred => {
            return said(Tone::Done, "jobs.yaml reloaded: a running job changes at its end".to_owned());
        }
        (0, 0) => "nothing changed".to_owned(),
        (0, _) => "settings or order changed".to_owned(),
        _ => format!("+{more} ~{changed} -{less}"),
    };
    let rest = if deferred { "; a running job changes at its end" } else { "" };
    said(Tone::Done, format!("jobs.yaml reloaded: {what}{rest}"))
}
