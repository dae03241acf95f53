//! Decides expectations: each expected time that has come without a success is recorded as overdue, once; the next success
//! clears it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{
    AfterRun, Event, Expectation, ExpectationState, JobId, Outcome, Phase, QueueId, QueueMode, Readiness,
    ScheduleTarget, StateReader,
};

/// Decides the expected times that have come by `now`.
pub(super) fn decide_expectations<R: StateReader>(reader: &R, now: DateTime<Utc>) -> Result<Vec<Event>, R::Error> {
    let mut events = Vec::new();
    for before in reader.expectations()? {
        let mut state = before.clone();
        let missed = state.advance(now);
        let runs_hook = state.take_hook(before.overdue);
        if state == before {
            continue;
        }
        let overdue = state.overdue.filter(|_| missed > 0);
        let target = state.target.clone();
        events.push(Event::ExpectationChanged { state: Box::new(state) });
        events.extend(overdue.map(|overdue| Event::Overdue { target, overdue, runs_hook }));
    }
    Ok(events)
}

/// The earliest time at which an expectation of these queues, or of all, has to be decided.
pub(super) fn next_expected_time<R: StateReader>(
    reader: &R,
    queues: Option<&[QueueId]>,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, R::Error> {
    let served = |state: &ExpectationState| queues.is_none_or(|queues| queues.contains(&state.queue));
    let next = |state: ExpectationState| {
        if state.is_clock_behind(now) { Some(DateTime::UNIX_EPOCH) } else { state.next_expected() }
    };
    Ok(reader.expectations()?.into_iter().filter(served).filter_map(next).min())
}

/// Starts, changes and ends the expectations that these events have added, changed and removed, and notes successes.
pub(super) fn expectation_changes<R: StateReader>(
    reader: &R,
    events: &[Event],
    now: DateTime<Utc>,
) -> Result<Vec<Event>, R::Error> {
    if !events.iter().any(may_affect) {
        return Ok(Vec::new());
    }
    let states: BTreeMap<ScheduleTarget, ExpectationState> =
        reader.expectations()?.into_iter().map(|state| (state.target.clone(), state)).collect();
    let targets = ExpectationTargets::by(reader, events, &states)?;
    let mut changes = Vec::new();
    let mut redefined = BTreeSet::new();
    for target in targets.defined {
        if let Some(change) = redefine(reader, &target, states.get(&target), now)? {
            changes.push(change);
            redefined.insert(target);
        }
    }
    for target in targets.successes {
        let Some(before) = states.get(&target).filter(|_| !redefined.contains(&target)) else { continue };
        let success = match &target {
            ScheduleTarget::Job(_) => Some(now),
            ScheduleTarget::Queue(queue) => queue_success(reader, queue)?,
        };
        let Some(success) = success.filter(|success| Some(*success) > before.last_success) else { continue };
        let mut state = before.clone();
        state.succeed(success, now);
        changes.push(Event::ExpectationChanged { state: Box::new(state) });
    }
    Ok(changes)
}

/// Whether an event may start, change, end or meet an expectation.
fn may_affect(event: &Event) -> bool {
    match event {
        Event::Added { job } => job.definition.scheduling.expect.is_some(),
        Event::Ended { report, after_run: AfterRun::Finish, .. } => report.outcome.is_success(),
        Event::ModeChanged { mode, .. } => *mode == QueueMode::Idle,
        Event::QueueDefined { .. } | Event::Restored { .. } | Event::Redefined { .. } | Event::Removed { .. } => true,
        _ => false,
    }
}

/// The targets that events affect.
#[derive(Default)]
struct ExpectationTargets {
    /// Those whose expectation may have been added, changed or removed.
    defined: BTreeSet<ScheduleTarget>,
    /// Those that may have succeeded.
    successes: BTreeSet<ScheduleTarget>,
}

impl ExpectationTargets {
    fn by<R: StateReader>(
        reader: &R,
        events: &[Event],
        states: &BTreeMap<ScheduleTarget, ExpectationState>,
    ) -> Result<Self, R::Error> {
        let mut targets = Self::default();
        for event in events.iter().filter(|event| may_affect(event)) {
            let (target, is_expected) = match event {
                Event::QueueDefined { queue, settings } => {
                    (ScheduleTarget::Queue(queue.clone()), settings.expect.is_some())
                }
                Event::Added { job } | Event::Restored { job } => {
                    (ScheduleTarget::Job(job.id), job.definition.scheduling.expect.is_some())
                }
                Event::Redefined { job, definition, .. } => {
                    (ScheduleTarget::Job(*job), definition.scheduling.expect.is_some())
                }
                Event::Removed { job, .. } => (ScheduleTarget::Job(*job), false),
                Event::Ended { job, .. } if !states.is_empty() => {
                    targets.successes.insert(ScheduleTarget::Job(*job));
                    let queue = reader.job(*job)?.map(|job| ScheduleTarget::Queue(job.queue));
                    targets.successes.extend(queue);
                    continue;
                }
                Event::ModeChanged { queue, .. } => {
                    targets.successes.insert(ScheduleTarget::Queue(queue.clone()));
                    continue;
                }
                _ => continue,
            };
            if is_expected || states.contains_key(&target) {
                targets.defined.insert(target);
            }
        }
        Ok(targets)
    }
}

/// Starts, changes or ends the expectation of one target.
fn redefine<R: StateReader>(
    reader: &R,
    target: &ScheduleTarget,
    state: Option<&ExpectationState>,
    now: DateTime<Utc>,
) -> Result<Option<Event>, R::Error> {
    let Some((queue, expectation)) = desired_expectation(reader, target)? else {
        return Ok(state.map(|_| Event::ExpectationEnded { target: target.clone() }));
    };
    if state.is_some_and(|state| state.expectation == expectation && state.queue == queue) {
        return Ok(None);
    }
    let known = match target {
        ScheduleTarget::Queue(queue) => queue_success(reader, queue)?,
        ScheduleTarget::Job(id) => job_success(reader, *id)?,
    };
    let last_success = known.max(state.and_then(|state| state.last_success));
    let state = ExpectationState::new(target.clone(), queue, expectation, last_success, now);
    Ok(Some(Event::ExpectationChanged { state: Box::new(state) }))
}

/// The queue and the expectation that a target should have; `None` if it has none.
fn desired_expectation<R: StateReader>(
    reader: &R,
    target: &ScheduleTarget,
) -> Result<Option<(QueueId, Arc<Expectation>)>, R::Error> {
    Ok(match target {
        ScheduleTarget::Queue(id) => {
            let expectation = reader.queue(id)?.and_then(|queue| queue.settings.expect);
            expectation.map(|expectation| (id.clone(), expectation))
        }
        ScheduleTarget::Job(id) => {
            reader.job(*id)?.filter(|job| !job.definition.is_removed_from_file).and_then(|job| {
                let expectation = job.definition.scheduling.expect.clone()?;
                Some((job.queue, expectation))
            })
        }
    })
}

/// When the last run of a job succeeded, if it did.
fn job_success<R: StateReader>(reader: &R, id: JobId) -> Result<Option<DateTime<Utc>>, R::Error> {
    let end = reader.job(id)?.and_then(|job| job.last_run?.end);
    Ok(end.filter(|end| end.outcome.is_success()).map(|end| end.at))
}

/// When the first of the jobs of a queue succeeded, if the last run of each has succeeded and none runs or will run. Jobs with
/// a schedule of their own don't count, nor do those that were skipped.
fn queue_success<R: StateReader>(reader: &R, id: &QueueId) -> Result<Option<DateTime<Utc>>, R::Error> {
    let is_active = reader.queue(id)?.is_none_or(|queue| queue.is_processing())
        || reader.used_slots(id)? > 0
        || !reader.next_jobs(id, Readiness::Requested, 1, &[])?.is_empty();
    if is_active {
        return Ok(None);
    }
    let outcomes: HashMap<JobId, (Outcome, DateTime<Utc>)> =
        reader.finished_jobs(id)?.into_iter().map(|(job, outcome, at)| (job, (outcome, at))).collect();
    let mut earliest = None;
    for job in reader.file_jobs(id)? {
        let definition = &job.definition;
        let is_part = job.removed.is_none()
            && definition.name.is_some()
            && !definition.is_removed_from_file
            && definition.scheduling.schedule.is_none();
        match outcomes.get(&job.id).filter(|_| job.phase == Phase::Finished) {
            _ if !is_part => {}
            Some((outcome, at)) if outcome.is_success() => earliest = earliest.into_iter().chain([*at]).min(),
            Some((Outcome::Skipped { .. }, _)) => {}
            _ => return Ok(None),
        }
    }
    Ok(earliest)
}
