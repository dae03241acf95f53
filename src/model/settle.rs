//! What follows from what has happened: jobs that need others wait no longer, or are skipped; queues fall idle.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};

use super::needs::{Standing, coming, standing};
use super::{Command, Event, JobId, Mode, Outcome, QueueId, QueueView, State, Then, Undecided, View, Wait, decide};

/// Decides a command and makes all of its changes, those that follow from it too; returns the events.
///
/// `apply` makes changes and returns the events as it made them. A command that is refused changes nothing: `apply` is
/// not called.
pub fn perform<V: View>(
    view: &mut V,
    command: &Command,
    now: DateTime<Utc>,
    mut apply: impl FnMut(&mut V, Vec<Event>) -> Result<Vec<Event>, V::Error>,
) -> Result<Vec<Event>, Undecided<V::Error>> {
    let decided = decide(view, command, now)?;
    let mut events = apply(view, decided)?;
    let mut settled = 0;
    loop {
        let mut more = jobs(view, command, &events[settled..], now)?;
        settled = events.len();
        // Whether a queue has come to its end is seen when its jobs have settled.
        if more.is_empty() && events.iter().any(may_end_a_queue) {
            more = queues(view)?;
        }
        if more.is_empty() {
            return Ok(events);
        }
        events.append(&mut apply(view, more)?);
    }
}

/// What becomes of jobs that need others, after `events`.
fn jobs<V: View>(view: &V, cause: &Command, events: &[Event], now: DateTime<Utc>) -> Result<Vec<Event>, V::Error> {
    let mut affected = BTreeSet::new();
    let mut queue_before: Option<(&QueueId, bool)> = None;
    for event in events {
        match event {
            // Nobody needs what is new but what is as new, or was redefined.
            Event::Added { job } => {
                let State::Pending { wait, .. } = &job.state else { continue };
                if !job.needs.is_empty() {
                    let busy = match queue_before {
                        Some((queue, busy)) if *queue == job.queue => busy,
                        _ => view.queue(&job.queue)?.is_some_and(|queue| processes(&queue)),
                    };
                    queue_before = Some((&job.queue, busy));
                    // One that waits for its needs already waits on, unless it has to be skipped.
                    affected.extend((busy || !wait.needs).then_some(job.id));
                }
            }
            Event::Restored { job } => {
                affected.extend((!job.needs.is_empty()).then_some(job.id));
                affected.extend(view.dependants(job.id)?);
            }
            // It may have run without regard to its needs, or they have changed meanwhile.
            Event::Redefined { job, .. } | Event::Ended { job, then: Then::Stay | Then::Retry { .. }, .. } => {
                affected.insert(*job);
            }
            Event::Reopened { job, .. } => {
                affected.insert(*job);
                affected.extend(view.dependants(*job)?);
            }
            Event::Ended { job, then: Then::Finish, .. }
            | Event::Cancelled { job }
            | Event::Skipped { job, .. }
            | Event::Removed { job, .. } => affected.extend(view.dependants(*job)?),
            Event::ModeChanged { queue, mode: Mode::Processing } => affected.extend(view.held(queue)?),
            _ => {}
        }
    }
    let look = |job| look_again(view, cause, job, now).transpose();
    affected.into_iter().filter_map(look).collect()
}

/// What a job's needs make of it now.
fn look_again<V: View>(view: &V, cause: &Command, id: JobId, now: DateTime<Utc>) -> Result<Option<Event>, V::Error> {
    let Some(job) = view.job(id)? else { return Ok(None) };
    let processing = |queue| Ok::<_, V::Error>(view.queue(queue)?.is_some_and(|queue| processes(&queue)));
    Ok(match (&job.state, standing(view, &job)?) {
        // Somebody asked for this very job: it waits for nobody.
        (State::Pending { asked: true, .. }, _) => None,
        (State::Pending { .. }, Standing::Lost(reason)) if processing(&job.queue)? => {
            Some(Event::Skipped { job: id, reason })
        }
        (State::Pending { wait, .. }, standing) => {
            let needs = standing != Standing::Met;
            (wait.needs != needs).then_some(Event::Waits { job: id, wait: Wait { needs, ..*wait } })
        }
        (State::Finished { outcome: Outcome::Skipped { .. }, .. }, Standing::Met) => {
            // It was skipped when its queue was processed, so it is still wanted; but reading a file starts nothing.
            let asked = !matches!(cause, Command::Reconcile(_)) && !processing(&job.queue)?;
            let wait = Wait { until: None, ..Wait::fresh(&job.definition.terms, now) };
            Some(Event::Reopened { job: id, asked, wait })
        }
        _ => None,
    })
}

/// The queues that have come to their end.
fn queues<V: View>(view: &V) -> Result<Vec<Event>, V::Error> {
    let mut queues = view.queues()?;
    let alive = alive(view, &queues)?;
    queues.retain(|queue| processes(queue) && !alive.contains(&queue.id));
    Ok(queues.into_iter().map(|queue| Event::ModeChanged { queue: queue.id, mode: Mode::Idle }).collect())
}

/// Those of the queues that process and in which a job starts or ends, sooner or later, without anybody's help.
///
/// Queues that wait for each other are none: each has to wait for one that goes on by itself, at last.
pub(super) fn alive<V: View>(view: &V, queues: &[QueueView]) -> Result<HashSet<QueueId>, V::Error> {
    let mut alive = HashSet::new();
    let mut waiting = Vec::new();
    for queue in queues {
        // A pause is over some time.
        if queue.mode == Mode::Paused || (processes(queue) && view.goes_on(&queue.id)?) {
            alive.insert(queue.id.clone());
        } else if processes(queue) {
            waiting.push(queue);
        }
    }
    loop {
        let before = alive.len();
        let mut still = Vec::new();
        for queue in waiting {
            if waits_for_what_comes(view, &alive, &queue.id)? {
                alive.insert(queue.id.clone());
            } else {
                still.push(queue);
            }
        }
        if alive.len() == before {
            return Ok(alive);
        }
        waiting = still;
    }
}

fn waits_for_what_comes<V: View>(view: &V, alive: &HashSet<QueueId>, queue: &QueueId) -> Result<bool, V::Error> {
    for id in view.held(queue)? {
        if let Some(job) = view.job(id)?
            && coming(view, alive, &job)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn processes(queue: &QueueView) -> bool {
    queue.mode == Mode::Processing
}

fn may_end_a_queue(event: &Event) -> bool {
    match event {
        Event::ModeChanged { .. }
        | Event::Redefined { .. }
        | Event::Reopened { .. }
        | Event::Waits { .. }
        | Event::Ended { .. }
        | Event::Cancelled { .. }
        | Event::Skipped { .. }
        | Event::Removed { .. } => true,
        Event::QueueDefined { .. }
        | Event::Added { .. }
        | Event::Restored { .. }
        | Event::Moved { .. }
        | Event::Started { .. }
        | Event::StopAsked { .. }
        | Event::WorkerJoined { .. }
        | Event::Reserved { .. }
        | Event::WorkerLeft { .. }
        | Event::FileRead { .. } => false,
    }
}
