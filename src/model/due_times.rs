//! Decides due times: each one that has come is recorded as ran, skipped or missed, once, and at most one run starts at a time.
//!
//! The next due time follows from the last one decided, so it does not matter which process decides, or how late.

use std::collections::{BTreeSet, VecDeque};
use std::mem;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::needs::needs_status;
use super::{
    DueRecord, DueResult, Event, Job, JobId, JobState, MissedPolicy, NeedStatus, OverlapPolicy, Phase, QueueId,
    QueueMode, Schedule, ScheduleState, ScheduleTarget, StateReader, WaitConditions,
};

/// How many due times one decision steps through. The rest are due at once.
const MAX_STEPS: usize = 200_000;
/// How many due times one decision records one by one. Before these, only the number is recorded.
const MAX_RECORDED: usize = 1_000;
/// How many due times wait at most with `missed: all`, and how old they may be.
const MAX_HELD: usize = 100;
const CATCH_UP_WINDOW: TimeDelta = TimeDelta::days(7);

/// Why due times were missed that came while no worker was running, or while it was suspended.
const NO_WORKER: &str = "no worker was running";
const TOO_OLD: &str = "no worker was running, and it is more than 7 days ago";
const TOO_MANY: &str = "more than 100 due times were waiting";
/// Why due times were missed that came in quick succession while a worker was running.
const SUPERSEDED: &str = "the next due time had come already";
const STILL_RUNNING: &str = "the previous run had not finished";
pub(super) const PAUSED: &str = "the queue was paused";

/// Decides the due times of all schedules that have come by `now`.
pub(super) fn decide_due_times<R: StateReader>(reader: &R, now: DateTime<Utc>) -> Result<Vec<Event>, R::Error> {
    let mut events = Vec::new();
    for state in reader.schedules()? {
        events.extend(DueDecision::new(reader, state, now)?.decide()?);
    }
    Ok(events)
}

/// Records the due times that came while a queue was paused, before it is processed again.
pub(super) fn skip_paused_due_times<R: StateReader>(
    reader: &R,
    queue: &QueueId,
    now: DateTime<Utc>,
) -> Result<Vec<Event>, R::Error> {
    let mut events = Vec::new();
    for state in reader.schedules()?.into_iter().filter(|state| state.queue == *queue) {
        let decision = DueDecision::new(reader, state, now)?;
        events.extend(decision.close(&DueResult::Skipped { reason: PAUSED.to_owned() }));
    }
    Ok(events)
}

/// The earliest time at which a due time of these queues, or of all, has to be decided.
pub(super) fn next_decision_time<R: StateReader>(
    reader: &R,
    queues: Option<&[QueueId]>,
    now: Option<DateTime<Utc>>,
) -> Result<Option<DateTime<Utc>>, R::Error> {
    let mut earliest = None;
    for state in reader.schedules()? {
        if queues.is_some_and(|queues| !queues.contains(&state.queue)) {
            continue;
        }
        let is_clock_behind = now.is_some_and(|now| state.decided_until > now);
        let starts_held = !state.held.is_empty() && !is_active(reader, &state)?;
        let next = if is_clock_behind || starts_held { Some(DateTime::UNIX_EPOCH) } else { state.next_start() };
        earliest = earliest.into_iter().chain(next).min();
    }
    Ok(earliest)
}

/// Starts, changes and ends the schedules that these events have added, changed and removed.
pub(super) fn schedule_changes<R: StateReader>(
    reader: &R,
    events: &[Event],
    now: DateTime<Utc>,
) -> Result<Vec<Event>, R::Error> {
    let mut targets: BTreeSet<ScheduleTarget> = BTreeSet::new();
    for event in events {
        let (target, has_schedule) = match event {
            Event::QueueDefined { queue, settings } => {
                (ScheduleTarget::Queue(queue.clone()), settings.schedule.is_some())
            }
            Event::Added { job } | Event::Restored { job } => {
                (ScheduleTarget::Job(job.id), job.definition.scheduling.schedule.is_some())
            }
            Event::Redefined { job, definition, .. } => {
                (ScheduleTarget::Job(*job), definition.scheduling.schedule.is_some())
            }
            Event::Removed { job, .. } => (ScheduleTarget::Job(*job), false),
            _ => continue,
        };
        if has_schedule || reader.schedule(&target)?.is_some() {
            targets.insert(target);
        }
    }
    let mut changes = Vec::new();
    for target in targets {
        let state = reader.schedule(&target)?;
        changes.extend(change_schedule(reader, &target, state.as_ref(), now)?);
    }
    Ok(changes)
}

/// The queue and the schedule that a target should have; `None` if it has none.
fn desired_schedule<R: StateReader>(
    reader: &R,
    target: &ScheduleTarget,
) -> Result<Option<(QueueId, Arc<Schedule>)>, R::Error> {
    Ok(match target {
        ScheduleTarget::Queue(id) => {
            reader.queue(id)?.and_then(|queue| queue.settings.schedule).map(|schedule| (id.clone(), schedule))
        }
        ScheduleTarget::Job(id) => {
            reader.job(*id)?.filter(|job| !job.definition.is_removed_from_file).and_then(|job| {
                let schedule = job.definition.scheduling.schedule.clone()?;
                Some((job.queue, schedule))
            })
        }
    })
}

fn change_schedule<R: StateReader>(
    reader: &R,
    target: &ScheduleTarget,
    state: Option<&ScheduleState>,
    now: DateTime<Utc>,
) -> Result<Vec<Event>, R::Error> {
    let desired = desired_schedule(reader, target)?;
    let close = |state: &ScheduleState, reason: &str| {
        let decision = DueDecision::new(reader, state.clone(), now)?;
        let mut events = decision.close(&DueResult::Missed { reason: reason.to_owned() });
        events.retain(|event| !matches!(event, Event::ScheduleChanged { .. }));
        Ok(events)
    };
    let mut events = Vec::new();
    let new_state = match (desired, state) {
        (None, None) => None,
        (None, Some(state)) => {
            events = close(state, "the schedule was removed before a worker was running")?;
            events.push(Event::ScheduleEnded { target: target.clone() });
            None
        }
        (Some((queue, schedule)), Some(state)) if state.schedule.times == schedule.times && state.queue == queue => {
            (state.schedule != schedule).then(|| ScheduleState { schedule, ..state.clone() })
        }
        (Some((queue, schedule)), state) => {
            let mut running = None;
            if let Some(state) = state {
                events = close(state, "the schedule was changed before a worker was running")?;
                running.clone_from(&state.running);
            }
            let target = target.clone();
            Some(ScheduleState { target, queue, schedule, since: now, decided_until: now, held: Vec::new(), running })
        }
    };
    events.extend(new_state.map(|state| Event::ScheduleChanged { state: Box::new(state) }));
    Ok(events)
}

/// The due times of one schedule that have come, and what becomes of them.
struct DueDecision<'r, R> {
    reader: &'r R,
    before: ScheduleState,
    state: ScheduleState,
    now: DateTime<Utc>,
    events: Vec<Event>,
    records: Vec<DueRecord>,
    /// The due times to decide, in order.
    due: VecDeque<DateTime<Utc>>,
    /// How many came before these.
    earlier: u64,
    /// Whether more have come after these.
    has_more: bool,
}

impl<'r, R: StateReader> DueDecision<'r, R> {
    fn new(reader: &'r R, state: ScheduleState, now: DateTime<Utc>) -> Result<Self, R::Error> {
        let mut decision = Self {
            reader,
            before: state.clone(),
            state,
            now,
            events: Vec::new(),
            records: Vec::new(),
            due: VecDeque::new(),
            earlier: 0,
            has_more: false,
        };
        if decision.state.decided_until > now {
            decision.go_back()?;
        }
        decision.collect_due()?;
        Ok(decision)
    }

    /// The clock was set back: what was decided for times that have not come yet is withdrawn, except for runs.
    fn go_back(&mut self) -> Result<(), R::Error> {
        let Self { state, now, .. } = self;
        let last = self.reader.last_due_record(&state.target, *now)?;
        state.since = state.since.min(*now);
        state.held.retain(|due| *due <= *now);
        state.decided_until = last.into_iter().chain(state.held.last().copied()).fold(state.since, DateTime::max);
        self.events.push(Event::DueWithdrawn { target: state.target.clone(), after: *now });
        Ok(())
    }

    /// Steps through the due times that have come.
    fn collect_due(&mut self) -> Result<(), R::Error> {
        let Self { state, now, .. } = self;
        let Some(first) = state.next_due().filter(|due| due <= now) else { return Ok(()) };
        // Only after the clock was set back.
        let already_ran = self.reader.due_times_run_after(&state.target, state.decided_until)?;
        let mut next = Some(first);
        let mut steps = 0;
        while let Some(due) = next.filter(|due| state.schedule.start_time(&state.target, *due) <= *now) {
            if steps == MAX_STEPS {
                self.has_more = true;
                break;
            }
            steps += 1;
            state.decided_until = due;
            if !already_ran.contains(&due) {
                self.due.push_back(due);
                if self.due.len() > MAX_RECORDED {
                    self.due.pop_front();
                    self.earlier += 1;
                }
            }
            next = state.schedule.next_after(due);
        }
        Ok(())
    }

    /// Gives all due times that have come, also those that are held, the same result. Returns the events and the new state.
    fn close(mut self, result: &DueResult) -> Vec<Event> {
        for due in mem::take(&mut self.state.held).into_iter().chain(mem::take(&mut self.due)) {
            self.record(due, result.clone());
        }
        self.into_events()
    }

    fn decide(mut self) -> Result<Vec<Event>, R::Error> {
        if self.due.is_empty() && self.state.held.is_empty() {
            return Ok(self.into_events());
        }
        let mode = self.reader.queue(&self.state.queue)?.map(|queue| queue.mode);
        if mode == Some(QueueMode::Paused) {
            return Ok(self.close(&DueResult::Skipped { reason: PAUSED.to_owned() }));
        }
        let is_active = is_active(self.reader, &self.state)?;
        // All due times of an outage are missed for the same reason, also those shortly before its end.
        let is_outage = self.due.front().is_some_and(|due| self.is_late(*due));
        while let Some(due) = self.due.pop_front() {
            let is_last = self.due.is_empty() && !self.has_more;
            match self.rejection(due, is_last, is_active, is_outage) {
                Some(result) => self.record(due, result),
                None => self.hold(due),
            }
        }
        if !is_active && !self.state.held.is_empty() {
            let due = self.state.held.remove(0);
            self.start(due)?;
        }
        Ok(self.into_events())
    }

    /// Whether it is too late to start a due time in time.
    fn is_late(&self, due: DateTime<Utc>) -> bool {
        self.now - self.state.schedule.start_time(&self.state.target, due) > DueRecord::LATE
    }

    /// Why a due time does not start, now or later.
    fn rejection(&self, due: DateTime<Utc>, is_last: bool, is_active: bool, is_outage: bool) -> Option<DueResult> {
        let Schedule { missed, overlap, .. } = &*self.state.schedule;
        let missed_because = |reason: &str| Some(DueResult::Missed { reason: reason.to_owned() });
        let overlaps = is_active && *overlap == OverlapPolicy::Skip && !self.is_catching_up();
        match missed {
            MissedPolicy::All if self.now - due > CATCH_UP_WINDOW => missed_because(TOO_OLD),
            MissedPolicy::All if self.is_late(due) => None,
            MissedPolicy::Once | MissedPolicy::Skip if !is_last => {
                missed_because(if is_outage { NO_WORKER } else { SUPERSEDED })
            }
            MissedPolicy::Skip if self.is_late(due) => missed_because(NO_WORKER),
            _ if overlaps => Some(DueResult::Skipped { reason: STILL_RUNNING.to_owned() }),
            _ => None,
        }
    }

    /// Whether earlier due times are made up for, one after the other; the ones that come meanwhile wait for them.
    fn is_catching_up(&self) -> bool {
        let is_late_run = || self.state.running.as_ref().is_some_and(DueRecord::is_late);
        self.state.schedule.missed == MissedPolicy::All && (!self.state.held.is_empty() || is_late_run())
    }

    /// Lets a due time wait until the previous run has finished.
    fn hold(&mut self, due: DateTime<Utc>) {
        self.state.held.push(due);
        let (max, result) = match self.state.schedule.missed {
            MissedPolicy::All => (MAX_HELD, DueResult::Missed { reason: TOO_MANY.to_owned() }),
            _ => (1, DueResult::Skipped { reason: STILL_RUNNING.to_owned() }),
        };
        while self.state.held.len() > max {
            let oldest = self.state.held.remove(0);
            self.record(oldest, result.clone());
        }
    }

    fn record(&mut self, due: DateTime<Utc>, result: DueResult) {
        let start = self.state.schedule.start_time(&self.state.target, due);
        let earlier = mem::take(&mut self.earlier);
        self.records.push(DueRecord { due, start, at: self.now, result, outcome: None, earlier });
    }

    /// Starts the jobs of the target.
    fn start(&mut self, due: DateTime<Utc>) -> Result<(), R::Error> {
        let started = match self.state.target.clone() {
            ScheduleTarget::Queue(queue) => self.start_queue(&queue)?,
            ScheduleTarget::Job(job) => self.start_job(job)?,
        };
        match started {
            Ok(events) => {
                self.events.extend(events);
                self.record(due, DueResult::Ran);
                self.state.running = self.records.last().cloned();
            }
            Err(reason) => self.record(due, DueResult::Skipped { reason: reason.to_owned() }),
        }
        Ok(())
    }

    /// Makes the finished jobs of the queue pending that are in the file and have no schedule of their own, and processes it.
    fn start_queue(&self, queue: &QueueId) -> Result<Result<Vec<Event>, &'static str>, R::Error> {
        let reserved = self.reader.reserved_jobs()?;
        let mut events = Vec::new();
        for job in self.reader.file_jobs(queue)? {
            let definition = &job.definition;
            let is_part = job.removed.is_none()
                && job.phase == Phase::Finished
                && definition.name.is_some()
                && !definition.is_removed_from_file
                && definition.scheduling.schedule.is_none();
            if is_part && !reserved.contains(&job.id) {
                let wait = WaitConditions::initial(&definition.scheduling, self.now);
                events.push(Event::Requeued { job: job.id, requested: false, wait });
            }
        }
        if events.is_empty() && self.reader.jobs_in_phase(queue, Phase::Pending)?.is_empty() {
            return Ok(Err("the queue has no jobs"));
        }
        events.push(Event::ModeChanged { queue: queue.clone(), mode: QueueMode::Processing });
        Ok(Ok(events))
    }

    /// Makes the job pending and requests it. It still waits for its needs and for approval.
    fn start_job(&self, id: JobId) -> Result<Result<Vec<Event>, &'static str>, R::Error> {
        let Some(job) = self.reader.job(id)? else { return Ok(Err("the job was removed")) };
        let needs = needs_status(self.reader, &job)? != NeedStatus::Met;
        let wait = WaitConditions { needs, ..WaitConditions::initial(&job.definition.scheduling, self.now) };
        Ok(Ok(vec![Event::Requeued { job: id, requested: true, wait }]))
    }

    fn into_events(mut self) -> Vec<Event> {
        if self.state != self.before {
            self.events.push(Event::ScheduleChanged { state: Box::new(self.state.clone()) });
        }
        if !self.records.is_empty() {
            self.events.push(Event::DueRecorded { target: self.state.target, records: self.records });
        }
        self.events
    }
}

/// Whether the previous run of a target has not finished.
pub(super) fn is_active<R: StateReader>(reader: &R, state: &ScheduleState) -> Result<bool, R::Error> {
    match &state.target {
        ScheduleTarget::Queue(id) => {
            let is_processing = reader.queue(id)?.is_some_and(|queue| queue.is_processing());
            Ok(is_processing || reader.used_slots(id)? > 0)
        }
        ScheduleTarget::Job(id) => {
            let is_reserved = reader.reserved_jobs()?.contains(id);
            Ok(is_reserved || reader.job(*id)?.is_some_and(|job| is_job_active(&job)))
        }
    }
}

fn is_job_active(job: &Job) -> bool {
    match &job.state {
        JobState::Running { .. } => true,
        JobState::Pending { requested, wait } => *requested || (wait.until.is_some() && job.current_attempt() > 0),
        JobState::Finished { .. } => false,
    }
}
