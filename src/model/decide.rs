//! Decides commands: from the state of a site and a command to events or a refusal.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::active_queues::{Approvals, active_queues};
use super::checks::{DecideError, Decision, existing_job, existing_queue, refuse, wrong_state};
use super::command::NothingToDo;
use super::due_times::{decide_due_times, next_decision_time, skip_paused_due_times};
use super::job_snapshots;
use super::max_time::MAX_TIME;
use super::needs;
use super::next_job::next_due_time;
use super::overdue::{decide_expectations, next_expected_time};
use super::pool_turns::has_requested_waiter;
use super::position::POSITION_STRIDE;
use super::reconcile;
use super::reorder;
use super::request;
use super::reservation::{self, not_reserved};
use super::start::run_inputs;
use super::{
    AfterRun, Approval, Command, Definition, Event, Job, JobId, JobState, Need, NeedStatus, OnFailure, Outcome,
    ParallelOverride, Phase, QueueId, QueueInfo, QueueMode, QueueSettings, Refusal, RemovalReason, ResolvedNeed, RunId,
    RunReport, StateReader, StopSignal, ValueRead, WaitConditions, WorkerId, WorkerInfo, next_ready_job,
};

const CANCEL_FIRST: &str = "cancel it first";

/// Decides `command` on the state that `reader` shows, at the time `now`. Pure: the caller applies the events.
pub(super) fn decide<R: StateReader>(reader: &R, command: &Command, now: DateTime<Utc>) -> Decision<R> {
    match command {
        Command::ReplaceFile { in_force, .. } if reader.file_version()? != *in_force => refuse(Refusal::FileReplaced),
        Command::Reconcile(plan) | Command::ReplaceFile { plan, .. } => {
            require_values(reader, &plan.values)?;
            Ok(reconcile::reconcile(reader, plan, now)?)
        }
        Command::WithValues { values, command } => {
            require_values(reader, values)?;
            decide(reader, command, now)
        }
        Command::EnsureQueue { queue } => Ok(queue_defined_if_missing(reader, queue)?.into_iter().collect()),
        Command::Add { queue, jobs } => add(reader, queue, jobs, now),
        Command::Request { environment, inputs, command } => {
            // What is refused anyway needs no inputs.
            let mut events = decide(reader, command, now)?;
            let inputs = request::inputs_of_request(reader, command, inputs.as_ref())?;
            request::attach(&mut events, *environment, inputs.as_ref());
            Ok(events)
        }
        Command::Process { queue } => process(reader, queue, now),
        Command::Pause { queue } => match existing_queue(reader, queue)?.mode {
            QueueMode::Paused => {
                refuse(Refusal::AlreadyInMode { queue: queue.clone(), state: QueueMode::Paused.as_str() })
            }
            _ => Ok(vec![mode_changed(queue, QueueMode::Paused)]),
        },
        Command::StopProcessing { queue } => match existing_queue(reader, queue)?.mode {
            QueueMode::Processing => Ok(vec![mode_changed(queue, QueueMode::Idle)]),
            state => refuse(Refusal::AlreadyInMode { queue: queue.clone(), state: state.as_str() }),
        },
        Command::Run { job, force } => run(reader, *job, *force),
        Command::RunFailed { job, force } => {
            let current = existing_job(reader, *job)?;
            if current.last_run_failed() {
                run(reader, *job, *force)
            } else {
                wrong_state(&current, "it has not failed")
            }
        }
        Command::Approve { jobs, by } => {
            decide_approval(reader, jobs, &Approval { by: by.clone(), at: now, granted: true })
        }
        Command::Refuse { jobs, by } => {
            decide_approval(reader, jobs, &Approval { by: by.clone(), at: now, granted: false })
        }
        Command::Reset { job } => reset(reader, *job, now),
        Command::Cancel { job, stop } => cancel(reader, *job, *stop),
        Command::Remove { jobs } => remove(reader, jobs),
        Command::Clear { queue, phase } => clear(reader, queue, *phase),
        Command::PruneFinished => prune_finished(reader, now),
        Command::PruneJobs { jobs } => prune_jobs(reader, jobs, now),
        Command::Restore { jobs } => restore(reader, jobs),
        Command::Move { jobs, placement } => reorder::move_jobs(reader, jobs, *placement),
        Command::AdoptEntry { job, digest } => adopt_entry(reader, *job, *digest),
        Command::Transfer { jobs, queue } => reorder::transfer(reader, jobs, queue),
        Command::SetParallel { queue, parallel } => {
            let settings = existing_queue(reader, queue)?.settings;
            let changed = QueueSettings { parallel: parallel.get(), parallel_override: None, ..settings.clone() };
            Ok(queue_redefined(queue, &settings, changed).into_iter().collect())
        }
        Command::OverrideParallel { worker, queue, parallel } => {
            override_parallel(reader, *worker, queue, parallel.get())
        }
        Command::Join { host, pid, queues, options } => {
            let (host, queues, options) = (host.clone(), queues.clone(), options.clone());
            let (id, reserved) = (reader.next_worker_id()?, Vec::new());
            let worker = WorkerInfo { id, host, pid: *pid, queues, options, draining: false, reserved };
            Ok(vec![Event::WorkerJoined { worker }])
        }
        Command::Drain { worker } => match reader.worker(*worker)? {
            None => refuse(Refusal::UnknownWorker(*worker)),
            Some(info) if info.draining => Ok(Vec::new()),
            Some(_) => Ok(vec![Event::WorkerDraining { worker: *worker }]),
        },
        Command::PromoteDue => promote_due(reader, now),
        Command::ShortenWaits => shorten_waits(reader, now),
        Command::Claim { worker, queues } => claim(reader, *worker, queues.as_deref(), now),
        Command::Start { worker, job } => {
            start(reader, *worker, &not_reserved(reader, existing_job(reader, *job)?)?, now)
        }
        Command::Reserve { worker, queues } => reservation::reserve_more(reader, *worker, queues),
        Command::StartReserved { worker, job, run } => reservation::start_reserved(reader, *worker, *job, *run, now),
        Command::Release { worker } => reservation::release(reader, *worker),
        Command::RecordStall { job, run, since } => record_stall(reader, *job, *run, *since),
        Command::RecordSnapshot { job, run, snapshot } => job_snapshots::record(reader, *job, *run, snapshot),
        Command::EndRun { job, run, report, on_failure } => {
            end_reported_run(reader, *job, *run, report, *on_failure, now)
        }
        Command::ReapWorker { worker, started_runs, unreachable_host } => {
            let outcome = match unreachable_host {
                None => Outcome::Interrupted,
                Some(host) => Outcome::Unreachable { host: host.as_str().into() },
            };
            reap_worker(reader, *worker, started_runs, outcome, now)
        }
        Command::Leave { worker, queues } => leave(reader, *worker, queues.as_deref()),
    }
}

/// Refuses a command if the value of one of these jobs has changed.
fn require_values<R: StateReader>(reader: &R, values: &[ValueRead]) -> Result<(), DecideError<R::Error>> {
    match reconcile::changed_value(reader, values)? {
        Some(job) => refuse(Refusal::FileOutdated(job)),
        None => Ok(()),
    }
}

fn override_parallel<R: StateReader>(reader: &R, worker: WorkerId, queue: &QueueId, parallel: u32) -> Decision<R> {
    if reader.worker(worker)?.is_none() {
        return refuse(Refusal::UnknownWorker(worker));
    }
    let settings = existing_queue(reader, queue)?.settings;
    let limit = ParallelOverride { worker, parallel };
    let changed = QueueSettings { parallel_override: Some(limit), ..settings.clone() };
    Ok(queue_redefined(queue, &settings, changed).into_iter().collect())
}

fn mode_changed(queue: &QueueId, mode: QueueMode) -> Event {
    Event::ModeChanged { queue: queue.clone(), mode }
}

/// The event that changes the settings of a queue, unless they are the same.
fn queue_redefined(queue: &QueueId, before: &QueueSettings, settings: QueueSettings) -> Option<Event> {
    (*before != settings).then(|| Event::QueueDefined { queue: queue.clone(), settings })
}

/// Unregisters a worker and removes the limits that were set for it.
fn worker_left<R: StateReader>(reader: &R, worker: WorkerId) -> Result<Vec<Event>, R::Error> {
    let mut events = Vec::new();
    for QueueInfo { id: queue, settings, .. } in reader.queues()? {
        if settings.parallel_override.is_some_and(|limit| limit.worker == worker) {
            let settings = QueueSettings { parallel_override: None, ..settings };
            events.push(Event::QueueDefined { queue, settings });
        }
    }
    events.push(Event::WorkerLeft { worker });
    Ok(events)
}

fn queue_defined_if_missing<R: StateReader>(reader: &R, queue: &QueueId) -> Result<Option<Event>, R::Error> {
    let missing = reader.queue(queue)?.is_none();
    Ok(missing.then(|| Event::QueueDefined { queue: queue.clone(), settings: QueueSettings::default() }))
}

fn add<R: StateReader>(reader: &R, queue: &QueueId, jobs: &[Arc<Definition>], now: DateTime<Utc>) -> Decision<R> {
    let JobId(first) = reader.next_job_id()?;
    let last = reader.last_position(queue)?;
    let mut events: Vec<_> = queue_defined_if_missing(reader, queue)?.into_iter().collect();
    let mut keys = BTreeSet::new();
    for ((nth, id), definition) in (1..).zip(first..).zip(jobs) {
        let mut job = Job::from_definition(without_file_identity(definition));
        job.id = JobId(id);
        job.queue = queue.clone();
        job.position = last + nth * POSITION_STRIDE;
        job.enqueued = now;
        job.state = JobState::Pending { requested: false, wait: WaitConditions::initial(&definition.scheduling, now) };
        job.needs = resolve_needs(reader, &definition.scheduling.needs)?;
        require_unique(reader, &job)?;
        let key = definition.scheduling.unique.as_ref();
        if key.is_some_and(|key| !keys.insert(Arc::clone(key))) {
            return not_unique(&job);
        }
        events.push(Event::Added { job: Box::new(job) });
    }
    Ok(events)
}

fn resolve_needs<R: StateReader>(reader: &R, needs: &[Need]) -> Result<Box<[ResolvedNeed]>, DecideError<R::Error>> {
    let find = |need: &Need| match reader.resolve(&need.job)? {
        Some(job) => Ok(ResolvedNeed { job, on: need.on }),
        None => refuse(Refusal::UnknownNeed(need.job.clone())),
    };
    needs.iter().map(find).collect()
}

/// Refuses a job that is about to become pending while another one with its unique key is pending or running.
fn require_unique<R: StateReader>(reader: &R, job: &Job) -> Result<(), DecideError<R::Error>> {
    let Some(key) = &job.definition.scheduling.unique else { return Ok(()) };
    match reader.unfinished_with_key(key)? {
        Some(other) if other != job.id => not_unique(&existing_job(reader, other)?),
        _ => Ok(()),
    }
}

fn not_unique<T, E>(job: &Job) -> Result<T, DecideError<E>> {
    let key = job.definition.scheduling.unique.clone().unwrap_or_default();
    refuse(Refusal::NotUnique { job: job.id, path: job.path(), phase: job.phase(), key })
}

/// The definition without name and digest, which link a job to its entry in `jobs.yaml`: without an entry, the next
/// reconciliation would remove the job.
fn without_file_identity(definition: &Arc<Definition>) -> Arc<Definition> {
    if definition.name.is_none() && definition.digest.is_none() && definition.replacement.is_none() {
        return Arc::clone(definition);
    }
    Arc::new(Definition { name: None, digest: None, replacement: None, ..(**definition).clone() })
}

fn adopt_entry<R: StateReader>(reader: &R, id: JobId, digest: i64) -> Decision<R> {
    let job = existing_job(reader, id)?;
    if job.definition.name.is_some() {
        return wrong_state(&job, "it is already in jobs.yaml");
    }
    let definition = Arc::new(Definition { digest: Some(digest), ..(*job.definition).clone() });
    Ok(vec![Event::Redefined { job: id, definition, needs: job.needs }])
}

fn process<R: StateReader>(reader: &R, queue: &QueueId, now: DateTime<Utc>) -> Decision<R> {
    let current = existing_queue(reader, queue)?.mode;
    if current == QueueMode::Processing {
        return refuse(Refusal::AlreadyInMode { queue: queue.clone(), state: current.as_str() });
    }
    let has_unblocked = reader.has_unblocked_jobs(queue)?;
    let first_blocked = if has_unblocked { None } else { reader.blocked_jobs(queue, 1)?.pop() };
    if first_blocked.is_none() && !has_unblocked {
        return match current {
            QueueMode::Idle => refuse(Refusal::NothingToDo(NothingToDo::Process(queue.clone()))),
            // The queue is empty, but it is no longer paused or stopped.
            _ => leave_mode(reader, queue, current, QueueMode::Idle, now),
        };
    }
    if let Some(first) = first_blocked
        // A job of which a need has failed is skipped.
        && reader.blocked_by_failure(queue)?.is_empty()
        && !would_progress(reader, queue)?
    {
        let reason = reader.job(first)?.map(|job| needs::blocked_reason(reader, &job)).transpose()?.unwrap_or_default();
        return refuse(Refusal::Blocked { queue: queue.clone(), reason });
    }
    leave_mode(reader, queue, current, QueueMode::Processing, now)
}

/// Changes the mode of a queue. The due times that came while it was paused are skipped.
fn leave_mode<R: StateReader>(
    reader: &R,
    queue: &QueueId,
    from: QueueMode,
    to: QueueMode,
    now: DateTime<Utc>,
) -> Decision<R> {
    let skipped = if from == QueueMode::Paused { skip_paused_due_times(reader, queue, now)? } else { Vec::new() };
    Ok(skipped.into_iter().chain([mode_changed(queue, to)]).collect())
}

/// Whether any job of the queue would start or end if the queue was processed.
fn would_progress<R: StateReader>(reader: &R, id: &QueueId) -> Result<bool, R::Error> {
    let mut queues = reader.queues()?;
    queues.iter_mut().filter(|queue| queue.id == *id).for_each(|queue| queue.mode = QueueMode::Processing);
    Ok(active_queues(reader, &queues, Approvals::Expected)?.contains(id))
}

fn run<R: StateReader>(reader: &R, id: JobId, force: bool) -> Decision<R> {
    let job = not_reserved(reader, existing_job(reader, id)?)?;
    let confirm = match job.state {
        JobState::Running { .. } => return wrong_state(&job, "it can be run again when it has finished"),
        JobState::Pending { requested: true, wait } if wait.is_met() => {
            return wrong_state(&job, "it was already requested and waits for a free slot");
        }
        JobState::Pending { wait, .. } => wait.confirm,
        JobState::Finished { .. } => job.definition.scheduling.confirm.is_some(),
    };
    require_unique(reader, &job)?;
    let wait = if force {
        WaitConditions { forced: true, ..WaitConditions::default() }
    } else {
        let needs = match needs::needs_status(reader, &job)? {
            NeedStatus::Failed => {
                let reason = needs::failed_reason(reader, &job)?.unwrap_or_default();
                return refuse(Refusal::NeedsFailed(reason));
            }
            status => status == NeedStatus::Pending,
        };
        WaitConditions { needs, confirm, ..WaitConditions::default() }
    };
    Ok(vec![Event::Requeued { job: id, requested: true, wait }])
}

/// Approves or refuses those of the jobs that need approval.
fn decide_approval<R: StateReader>(reader: &R, ids: &[JobId], approval: &Approval) -> Decision<R> {
    let mut events = Vec::new();
    for &id in ids.iter().collect::<BTreeSet<_>>() {
        if let JobState::Pending { wait: WaitConditions { confirm: true, .. }, .. } = existing_job(reader, id)?.state {
            events.push(Event::Approved { job: id, approval: approval.clone() });
        }
    }
    if events.is_empty() { refuse(Refusal::NothingToDo(NothingToDo::Approve)) } else { Ok(events) }
}

fn reset<R: StateReader>(reader: &R, id: JobId, now: DateTime<Utc>) -> Decision<R> {
    let job = existing_job(reader, id)?;
    match job.phase() {
        Phase::Finished => {
            require_unique(reader, &job)?;
            let wait = WaitConditions::initial(&job.definition.scheduling, now);
            Ok(vec![Event::Requeued { job: id, requested: false, wait }])
        }
        Phase::Pending => wrong_state(&job, "there is nothing to reset"),
        Phase::Running => wrong_state(&job, "it can be reset when it has finished"),
    }
}

fn cancel<R: StateReader>(reader: &R, id: JobId, stop: StopSignal) -> Decision<R> {
    let job = not_reserved(reader, existing_job(reader, id)?)?;
    match (&job.state, &job.last_run) {
        (JobState::Pending { .. }, _) => Ok(vec![Event::Cancelled { job: id }]),
        (JobState::Running { stop: requested, .. }, Some(run)) if *requested < Some(stop) => {
            Ok(vec![Event::StopRequested { job: id, run: run.id, stop }])
        }
        (JobState::Running { .. }, _) => wrong_state(&job, "it is already being stopped"),
        (JobState::Finished { .. }, _) => wrong_state(&job, "there is nothing to cancel"),
    }
}

fn remove<R: StateReader>(reader: &R, ids: &[JobId]) -> Decision<R> {
    let mut events = Vec::with_capacity(ids.len());
    for &id in ids.iter().collect::<BTreeSet<_>>() {
        let job = not_reserved(reader, existing_job(reader, id)?)?;
        if job.phase() == Phase::Running {
            return wrong_state(&job, CANCEL_FIRST);
        }
        events.push(Event::Removed { job: id, reason: RemovalReason::User });
    }
    Ok(events)
}

fn clear<R: StateReader>(reader: &R, queue: &QueueId, phase: Phase) -> Decision<R> {
    existing_queue(reader, queue)?;
    let ids = reader.jobs_in_phase(queue, phase)?;
    let Some(&first) = ids.first() else {
        return refuse(Refusal::NothingToDo(NothingToDo::Clear(queue.clone(), phase)));
    };
    if phase == Phase::Running {
        return refuse(Refusal::WrongState { job: first, phase, hint: CANCEL_FIRST });
    }
    if let Some(reserved) = reader.reserved_jobs()?.into_iter().find(|job| ids.contains(job)) {
        not_reserved(reader, existing_job(reader, reserved)?)?;
    }
    Ok(ids.into_iter().map(|job| Event::Removed { job, reason: RemovalReason::User }).collect())
}

fn prune_finished<R: StateReader>(reader: &R, now: DateTime<Utc>) -> Decision<R> {
    let mut events = Vec::new();
    for queue in reader.queues()? {
        if let Some(before) = queue.settings.retention.cutoff(now) {
            let old = reader.finished_not_in_file_before(&queue.id, before)?;
            events.extend(old.into_iter().map(|job| Event::Removed { job, reason: RemovalReason::Expired }));
        }
    }
    if events.is_empty() { refuse(Refusal::NothingToDo(NothingToDo::PruneFinished)) } else { Ok(events) }
}

fn prune_jobs<R: StateReader>(reader: &R, ids: &[JobId], now: DateTime<Utc>) -> Decision<R> {
    let mut events = Vec::with_capacity(ids.len());
    for &id in ids {
        let Some(job) = reader.job(id)? else { continue };
        let cutoff = reader.queue(&job.queue)?.and_then(|queue| queue.settings.retention.cutoff(now));
        if let JobState::Finished { at, .. } = job.state
            && job.definition.digest.is_none()
            && cutoff.is_some_and(|before| at < before)
        {
            events.push(Event::Removed { job: id, reason: RemovalReason::Expired });
        }
    }
    if events.is_empty() { refuse(Refusal::NothingToDo(NothingToDo::PruneFinished)) } else { Ok(events) }
}

fn restore<R: StateReader>(reader: &R, ids: &[JobId]) -> Decision<R> {
    let mut events = Vec::with_capacity(ids.len());
    for &id in ids.iter().collect::<BTreeSet<_>>() {
        let Some(job) = reader.removed_job(id)? else { continue };
        if job.phase() != Phase::Finished {
            require_unique(reader, &job)?;
        }
        events.push(Event::Restored { job: Box::new(job) });
    }
    if events.is_empty() { refuse(Refusal::NothingToDo(NothingToDo::Restore)) } else { Ok(events) }
}

fn claim<R: StateReader>(reader: &R, worker: WorkerId, queues: Option<&[QueueId]>, now: DateTime<Utc>) -> Decision<R> {
    if let Some(job) = next_ready_job(reader, queues, worker)? {
        start(reader, worker, &job, now)
    } else {
        let scheduled = next_decision_time(reader, queues, Some(now))?;
        let expected = next_expected_time(reader, queues, now)?;
        let next_due = scheduled.into_iter().chain(expected).chain(next_due_time(reader, queues)?).min();
        refuse(Refusal::NothingToDo(NothingToDo::Claim { next_due }))
    }
}

fn start<R: StateReader>(reader: &R, worker: WorkerId, job: &Job, now: DateTime<Utc>) -> Decision<R> {
    if job.phase() != Phase::Pending {
        return wrong_state(job, "only a pending job can start");
    }
    // The runs of a worker that was already reaped would never be reaped.
    if reader.worker(worker)?.is_none() {
        return refuse(Refusal::UnknownWorker(worker));
    }
    let Some(inputs) = run_inputs(reader, job)? else {
        return wrong_state(job, "the pools that it uses have too few free units");
    };
    let inputs = (!inputs.is_empty()).then(|| Box::new(inputs));
    Ok(vec![reservation::started(job, reader.next_run_id()?, worker, inputs, now)])
}

fn record_stall<R: StateReader>(reader: &R, id: JobId, run: RunId, since: Option<DateTime<Utc>>) -> Decision<R> {
    let job = existing_job(reader, id)?;
    if job.current_run() != Some(run) {
        return refuse(Refusal::StaleRun { job: id, run });
    }
    let is_known = job.last_run.is_some_and(|run| run.stalled == since);
    Ok(if is_known { Vec::new() } else { vec![Event::StallChanged { job: id, run, since }] })
}

fn end_reported_run<R: StateReader>(
    reader: &R,
    id: JobId,
    run: RunId,
    report: &RunReport,
    on_failure: Option<OnFailure>,
    now: DateTime<Utc>,
) -> Decision<R> {
    let job = existing_job(reader, id)?;
    if job.current_run() != Some(run) {
        return refuse(Refusal::StaleRun { job: id, run });
    }
    end_run(reader, &job, run, report, on_failure, now)
}

/// Ends the current run of a job.
fn end_run<R: StateReader>(
    reader: &R,
    job: &Job,
    run: RunId,
    report: &RunReport,
    on_failure: Option<OnFailure>,
    now: DateTime<Utc>,
) -> Decision<R> {
    let queue = existing_queue(reader, &job.queue)?;
    let stops = on_failure.unwrap_or(queue.settings.on_failure) == OnFailure::Stop;
    // A run with a requested stop is not retried, however it ended.
    let stop_requested = matches!(job.state, JobState::Running { stop: Some(_), .. });
    let after_run = match job.definition.scheduling.retry.next_attempt_at(job.current_attempt(), report, now) {
        Some(at) if !stop_requested => AfterRun::Retry { at },
        _ if stops && matches!(report.outcome, Outcome::Failed(_)) => AfterRun::StayPending,
        _ => AfterRun::Finish,
    };
    let mut events = vec![Event::Ended { job: job.id, run, report: report.clone(), after_run }];
    if let Some(definition) = &job.definition.replacement {
        events.extend(replace_definition(reader, job, definition, after_run, now)?);
    }
    if after_run == AfterRun::StayPending && queue.mode == QueueMode::Processing {
        events.push(mode_changed(&job.queue, QueueMode::Stopped));
    }
    Ok(events)
}

/// Replaces the definition of a job whose run has ended. A finished job becomes pending again if what it runs has changed.
fn replace_definition<R: StateReader>(
    reader: &R,
    job: &Job,
    definition: &Arc<Definition>,
    after_run: AfterRun,
    now: DateTime<Utc>,
) -> Decision<R> {
    let mut needs = Vec::with_capacity(definition.scheduling.needs.len());
    for need in &definition.scheduling.needs {
        // The file was checked, so that all of them exist.
        needs.extend(reader.resolve(&need.job)?.map(|job| ResolvedNeed { job, on: need.on }));
    }
    let redefined = Event::Redefined { job: job.id, definition: Arc::clone(definition), needs: needs.into() };
    let mut events = vec![redefined];
    if after_run == AfterRun::Finish && !job.definition.runs_same_as(definition) {
        // The request for the job covers the change, so that it runs again even if its queue is not processing.
        let requested = matches!(job.state, JobState::Running { requested: true, .. });
        let initial = WaitConditions::initial(&definition.scheduling, now);
        let wait = if requested { WaitConditions { until: None, ..initial } } else { initial };
        events.push(Event::Requeued { job: job.id, requested, wait });
        let environment = job.environment.filter(|_| requested);
        let inputs = job.inputs.clone();
        events.extend(environment.map(|environment| Event::JobRequested { job: job.id, environment, inputs }));
    }
    Ok(events)
}

fn promote_due<R: StateReader>(reader: &R, now: DateTime<Utc>) -> Decision<R> {
    let mut events = Vec::new();
    for id in reader.due_jobs(now)? {
        if let Some(JobState::Pending { wait, .. }) = reader.job(id)?.map(|job| job.state) {
            events.push(Event::WaitChanged { job: id, wait: WaitConditions { until: None, ..wait } });
        }
    }
    events.extend(decide_due_times(reader, now)?);
    events.extend(decide_expectations(reader, now)?);
    if events.is_empty() { refuse(Refusal::NothingToDo(NothingToDo::PromoteDue)) } else { Ok(events) }
}

fn shorten_waits<R: StateReader>(reader: &R, now: DateTime<Utc>) -> Decision<R> {
    let mut events = Vec::new();
    for id in reader.due_jobs(MAX_TIME)? {
        let Some(job) = reader.job(id)? else { continue };
        let JobState::Pending { wait: wait @ WaitConditions { until: Some(until), .. }, .. } = job.state else {
            continue;
        };
        let latest =
            job.definition.scheduling.latest_start(job.current_attempt(), now).filter(|latest| *latest < until);
        let wait = latest.map(|latest| WaitConditions { until: Some(latest), ..wait });
        events.extend(wait.map(|wait| Event::WaitChanged { job: id, wait }));
    }
    if events.is_empty() { refuse(Refusal::NothingToDo(NothingToDo::ShortenWaits)) } else { Ok(events) }
}

fn reap_worker<R: StateReader>(
    reader: &R,
    id: WorkerId,
    started_runs: &[RunId],
    outcome: Outcome,
    now: DateTime<Utc>,
) -> Decision<R> {
    let Some(worker) = reader.worker(id)? else { return refuse(Refusal::UnknownWorker(id)) };
    let report = RunReport::new(outcome);
    let mut events = Vec::new();
    for job in reader.jobs_run_by(id)? {
        if let Some(run) = job.current_run() {
            events.extend(end_run(reader, &job, run, &report, None, now)?);
        }
    }
    for reservation in worker.reserved.iter().filter(|reservation| started_runs.contains(&reservation.run)) {
        let mut job = existing_job(reader, reservation.job)?;
        let started = reservation::started(&job, reservation.run, id, None, now);
        job.apply(&started, now);
        events.push(started);
        events.extend(end_run(reader, &job, reservation.run, &report, None, now)?);
    }
    events.extend(worker_left(reader, id)?);
    Ok(events)
}

fn leave<R: StateReader>(reader: &R, worker: WorkerId, queues: Option<&[QueueId]>) -> Decision<R> {
    let Some(info) = reader.worker(worker)? else { return refuse(Refusal::UnknownWorker(worker)) };
    if info.draining {
        let runs_nothing = info.reserved.is_empty() && reader.jobs_run_by(worker)?.is_empty();
        return if runs_nothing { Ok(worker_left(reader, worker)?) } else { refuse(Refusal::WorkerBusy(worker)) };
    }
    let serves = |queue: &QueueInfo| queues.is_none_or(|served| served.contains(&queue.id));
    let all = reader.queues()?;
    let active = active_queues(reader, &all, Approvals::Ignored)?;
    let is_processing = all.iter().any(|queue| queue.is_processing() && serves(queue) && active.contains(&queue.id));
    // A worker of all queues stays for their schedules and expectations.
    let keeps_schedule =
        queues.is_none() && (next_decision_time(reader, queues, None)?.is_some() || !reader.expectations()?.is_empty());
    let has_work =
        keeps_schedule || next_ready_job(reader, queues, worker)?.is_some() || next_due_time(reader, queues)?.is_some();
    let waits_for_pool = has_requested_waiter(reader, all.iter().filter(|queue| serves(queue)))?;
    if is_processing
        || has_work
        || waits_for_pool
        || !info.reserved.is_empty()
        || !reader.jobs_run_by(worker)?.is_empty()
    {
        return refuse(Refusal::WorkerBusy(worker));
    }
    Ok(worker_left(reader, worker)?)
}
