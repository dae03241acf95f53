//! What follows from what has happened: jobs that need others wait no longer, or are skipped; queues fall idle.

use std::collections::BTreeSet;

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
        let mut more = jobs(view, &events[settled..], now)?;
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
fn jobs<V: View>(view: &V, events: &[Event], now: DateTime<Utc>) -> Result<Vec<Event>, V::Error> {
    let mut affected = BTreeSet::new();
    for event in events {
        match event {
            Event::Added { job } | Event::Restored { job } => {
                affected.extend((!job.needs.is_empty()).then_some(job.id));
                affected.extend(view.dependants(job.id)?);
            }
            Event::Redefined { job, .. } => _ = affected.insert(*job),
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
    let look = |job| look_again(view, job, now).transpose();
    affected.into_iter().filter_map(look).collect()
}

/// What a job's needs make of it now.
fn look_again<V: View>(view: &V, id: JobId, now: DateTime<Utc>) -> Result<Option<Event>, V::Error> {
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
            // It was skipped when its queue was processed, so it is still wanted.
            let wait = Wait { until: None, ..Wait::fresh(&job.definition.terms, now) };
            Some(Event::Reopened { job: id, asked: !processing(&job.queue)?, wait })
        }
        _ => None,
    })
}

/// The queues that have come to their end.
fn queues<V: View>(view: &V) -> Result<Vec<Event>, V::Error> {
    let all = view.queues()?;
    let mut events = Vec::new();
    for queue in all.iter().filter(|queue| processes(queue)) {
        if !has_a_way_on(view, &all, &queue.id)? {
            events.push(Event::ModeChanged { queue: queue.id.clone(), mode: Mode::Idle });
        }
    }
    Ok(events)
}

/// Whether a queue that processes starts a job or ends one, sooner or later, without anybody's help.
pub(super) fn has_a_way_on<V: View>(view: &V, all: &[QueueView], queue: &QueueId) -> Result<bool, V::Error> {
    if view.goes_on(queue)? {
        return Ok(true);
    }
    for id in view.held(queue)? {
        if let Some(job) = view.job(id)?
            && coming(view, all, &job)?
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
        | Event::WorkerLeft { .. }
        | Event::FileRead { .. } => false,
    }
}
