//! What a command does, decided once for everybody: a site and a command in, events or a refusal out.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::command::NothingTo;
use super::moves;
use super::needs::{self, Standing};
use super::place::STRIDE;
use super::reconcile;
use super::reserve;
use super::schedule::next_due;
use super::settle::alive;
use super::{
    Command, Definition, Event, Job, JobId, Mode, Need, Needed, OnFailure, Outcome, Phase, QueueId, QueueView, Refusal,
    Removal, Report, RunId, Settings, State, Stop, Then, View, Wait, Worker, WorkerId, next_ready,
};

/// Why there are no events: the command was refused, or the view could not answer.
#[derive(Debug)]
pub enum Undecided<E> {
    /// The command can't be done; nothing changes.
    Refused(Refusal),
    /// The view failed.
    View(E),
}

impl<E> From<E> for Undecided<E> {
    fn from(error: E) -> Self {
        Self::View(error)
    }
}

const CANCEL_FIRST: &str = "cancel it first";

pub(super) type Decision<V> = Result<Vec<Event>, Undecided<<V as View>::Error>>;

/// Decides `command` on the site as `view` shows it, at the time `now`. Pure: the caller applies the events.
pub(super) fn decide<V: View>(view: &V, command: &Command, now: DateTime<Utc>) -> Decision<V> {
    match command {
        Command::Reconcile(plan) => Ok(reconcile::events(view, plan, now)?),
        Command::Open { queue } => Ok(open(view, queue)?.into_iter().collect()),
        Command::Add { queue, jobs } => add(view, queue, jobs, now),
        Command::Process { queue } => process(view, queue),
        Command::Pause { queue } => match existing(view, queue)?.mode {
            Mode::Paused => refuse(Refusal::Already { queue: queue.clone(), state: Mode::Paused.word() }),
            _ => Ok(vec![mode(queue, Mode::Paused)]),
        },
        Command::Halt { queue } => match existing(view, queue)?.mode {
            Mode::Processing => Ok(vec![mode(queue, Mode::Idle)]),
            state => refuse(Refusal::Already { queue: queue.clone(), state: state.word() }),
        },
        Command::Run { job } => run(view, *job),
        Command::Confirm { jobs } => confirm(view, jobs),
        Command::Reset { job } => reset(view, *job, now),
        Command::Cancel { job, stop } => cancel(view, *job, *stop),
        Command::Remove { jobs } => remove(view, jobs),
        Command::Clear { queue, phase } => clear(view, queue, *phase),
        Command::Retire => retire(view, now),
        Command::Restore { jobs } => restore(view, jobs),
        Command::Move { jobs, beside } => moves::events(view, jobs, *beside),
        Command::Announce { job, digest } => announce(view, *job, *digest),
        Command::Transfer { jobs, queue } => moves::transfer(view, jobs, queue),
        Command::Parallel { queue, parallel } => {
            let mut settings = existing(view, queue)?.settings;
            let before = std::mem::replace(&mut settings.parallel, parallel.get());
            let changed = settings.parallel != before;
            Ok(changed.then(|| Event::QueueDefined { queue: queue.clone(), settings }).into_iter().collect())
        }
        Command::Join { host, pid, queues } => {
            let (host, queues) = (host.clone(), queues.clone());
            let worker = Worker { id: view.next_worker()?, host, pid: *pid, queues, reserved: Vec::new() };
            Ok(vec![Event::WorkerJoined { worker }])
        }
        Command::Ripen => ripen(view, now),
        Command::Claim { worker, queues } => claim(view, *worker, queues.as_deref(), now),
        Command::Start { worker, job } => start(view, *worker, &unreserved(view, found(view, *job)?)?, now),
        Command::Reserve { worker, queues } => reserve::more(view, *worker, queues),
        Command::Begin { worker, job, run } => reserve::begin(view, *worker, *job, *run, now),
        Command::Release { worker } => reserve::release(view, *worker),
        Command::Report { job, run, report, on_failure } => ended(view, *job, *run, report, *on_failure, now),
        Command::Bury { worker, begun } => bury(view, *worker, begun, now),
        Command::Leave { worker, queues } => leave(view, *worker, queues.as_deref()),
    }
}

pub(super) fn refuse<T, E>(refusal: Refusal) -> Result<T, Undecided<E>> {
    Err(Undecided::Refused(refusal))
}

pub(super) fn wrong<T, E>(job: &Job, hint: &'static str) -> Result<T, Undecided<E>> {
    refuse(Refusal::WrongState { job: job.id, phase: job.phase(), hint })
}

pub(super) fn found<V: View>(view: &V, job: JobId) -> Result<Job, Undecided<V::Error>> {
    view.job(job)?.map_or_else(|| refuse(Refusal::NoJob(job)), Ok)
}

/// The job, unless a worker may have started it by now.
pub(super) fn unreserved<V: View>(view: &V, job: Job) -> Result<Job, Undecided<V::Error>> {
    if view.reserved()?.contains(&job.id) { wrong(&job, "it is about to start") } else { Ok(job) }
}

pub(super) fn existing<V: View>(view: &V, queue: &QueueId) -> Result<QueueView, Undecided<V::Error>> {
    view.queue(queue)?.map_or_else(|| refuse(Refusal::NoQueue(queue.to_string())), Ok)
}

fn mode(queue: &QueueId, mode: Mode) -> Event {
    Event::ModeChanged { queue: queue.clone(), mode }
}

fn open<V: View>(view: &V, queue: &QueueId) -> Result<Option<Event>, V::Error> {
    let missing = view.queue(queue)?.is_none();
    Ok(missing.then(|| Event::QueueDefined { queue: queue.clone(), settings: Settings::default() }))
}

fn add<V: View>(view: &V, queue: &QueueId, jobs: &[Arc<Definition>], now: DateTime<Utc>) -> Decision<V> {
    let JobId(first) = view.next_job()?;
    let last = view.last_position(queue)?;
    let mut events: Vec<_> = open(view, queue)?.into_iter().collect();
    for ((nth, id), definition) in (1..).zip(first..).zip(jobs) {
        let mut job = Job::of(unfiled(definition));
        job.id = JobId(id);
        job.queue = queue.clone();
        job.position = last + nth * STRIDE;
        job.enqueued = now;
        job.state = State::Pending { asked: false, wait: Wait::fresh(&definition.terms, now) };
        job.needs = needed(view, &definition.terms.needs)?;
        events.push(Event::Added { job: Box::new(job) });
    }
    Ok(events)
}

fn needed<V: View>(view: &V, needs: &[Need]) -> Result<Box<[Needed]>, Undecided<V::Error>> {
    let find = |need: &Need| match view.target(&need.job)? {
        Some(job) => Ok(Needed { job, on: need.on }),
        None => refuse(Refusal::NoNeed(need.job.clone())),
    };
    needs.iter().map(find).collect()
}

/// The definition without what ties a job to an entry in `jobs.yaml`: the next reading of the file would take it away.
fn unfiled(definition: &Arc<Definition>) -> Arc<Definition> {
    if definition.name.is_none() && definition.digest.is_none() {
        return Arc::clone(definition);
    }
    Arc::new(Definition { name: None, digest: None, ..(**definition).clone() })
}

fn announce<V: View>(view: &V, id: JobId, digest: i64) -> Decision<V> {
    let job = found(view, id)?;
    if job.definition.name.is_some() {
        return wrong(&job, "it stands in jobs.yaml already");
    }
    let definition = Arc::new(Definition { digest: Some(digest), ..(*job.definition).clone() });
    Ok(vec![Event::Redefined { job: id, definition, needs: job.needs }])
}

fn process<V: View>(view: &V, queue: &QueueId) -> Decision<V> {
    let present = existing(view, queue)?.mode;
    if present == Mode::Processing {
        return refuse(Refusal::Already { queue: queue.clone(), state: present.word() });
    }
    let goes_on = view.goes_on(queue)?;
    let held = if goes_on { Vec::new() } else { view.held(queue)? };
    if held.is_empty() && !goes_on {
        return match present {
            Mode::Idle => refuse(Refusal::Nothing(NothingTo::Process(queue.clone()))),
            // Nothing to do, but what is added from now on is no longer held back.
            _ => Ok(vec![mode(queue, Mode::Idle)]),
        };
    }
    if !held.is_empty() && !can_be_settled(view, &held)? && !would_go_on(view, queue)? {
        let why = view.job(held[0])?.map(|job| needs::reason(view, &job)).transpose()?.unwrap_or_default();
        return refuse(Refusal::Held { queue: queue.clone(), why });
    }
    Ok(vec![mode(queue, Mode::Processing)])
}

/// Whether anything would come of processing the queue.
fn would_go_on<V: View>(view: &V, id: &QueueId) -> Result<bool, V::Error> {
    let mut queues = view.queues()?;
    queues.iter_mut().filter(|queue| queue.id == *id).for_each(|queue| queue.mode = Mode::Processing);
    Ok(alive(view, &queues)?.contains(id))
}

/// Whether some of these jobs are skipped when their queue is processed.
fn can_be_settled<V: View>(view: &V, held: &[JobId]) -> Result<bool, V::Error> {
    for id in held {
        if let Some(job) = view.job(*id)?
            && matches!(needs::standing(view, &job)?, Standing::Lost(_))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn run<V: View>(view: &V, id: JobId) -> Decision<V> {
    let job = unreserved(view, found(view, id)?)?;
    match job.state {
        State::Running { .. } => wrong(&job, "it can be run again when it has finished"),
        State::Pending { asked: true, wait } if wait.is_over() => {
            wrong(&job, "it was asked for and waits for its turn")
        }
        _ => Ok(vec![Event::Reopened { job: id, asked: true, wait: Wait::default() }]),
    }
}

fn confirm<V: View>(view: &V, ids: &[JobId]) -> Decision<V> {
    let mut events = Vec::new();
    for &id in ids.iter().collect::<BTreeSet<_>>() {
        if let State::Pending { wait: wait @ Wait { confirm: true, .. }, .. } = found(view, id)?.state {
            events.push(Event::Waits { job: id, wait: Wait { confirm: false, ..wait } });
        }
    }
    if events.is_empty() { refuse(Refusal::Nothing(NothingTo::Confirm)) } else { Ok(events) }
}

fn reset<V: View>(view: &V, id: JobId, now: DateTime<Utc>) -> Decision<V> {
    let job = found(view, id)?;
    match job.phase() {
        Phase::Finished => {
            let wait = Wait::fresh(&job.definition.terms, now);
            Ok(vec![Event::Reopened { job: id, asked: false, wait }])
        }
        Phase::Pending => wrong(&job, "there is nothing to reset"),
        Phase::Running => wrong(&job, "it can be reset when it has finished"),
    }
}

fn cancel<V: View>(view: &V, id: JobId, stop: Stop) -> Decision<V> {
    let job = unreserved(view, found(view, id)?)?;
    match (&job.state, &job.last_run) {
        (State::Pending { .. }, _) => Ok(vec![Event::Cancelled { job: id }]),
        (State::Running { stop: asked, .. }, Some(run)) if *asked < Some(stop) => {
            Ok(vec![Event::StopAsked { job: id, run: run.id, stop }])
        }
        (State::Running { .. }, _) => wrong(&job, "it was told to stop already"),
        (State::Finished { .. }, _) => wrong(&job, "there is nothing to cancel"),
    }
}

fn remove<V: View>(view: &V, ids: &[JobId]) -> Decision<V> {
    let mut events = Vec::with_capacity(ids.len());
    for &id in ids.iter().collect::<BTreeSet<_>>() {
        let job = unreserved(view, found(view, id)?)?;
        if job.phase() == Phase::Running {
            return wrong(&job, CANCEL_FIRST);
        }
        events.push(Event::Removed { job: id, by: Removal::Hand });
    }
    Ok(events)
}

fn clear<V: View>(view: &V, queue: &QueueId, phase: Phase) -> Decision<V> {
    existing(view, queue)?;
    let ids = view.in_phase(queue, phase)?;
    let Some(&first) = ids.first() else {
        return refuse(Refusal::Nothing(NothingTo::Clear(queue.clone(), phase)));
    };
    if phase == Phase::Running {
        return refuse(Refusal::WrongState { job: first, phase, hint: CANCEL_FIRST });
    }
    if let Some(reserved) = view.reserved()?.into_iter().find(|job| ids.contains(job)) {
        unreserved(view, found(view, reserved)?)?;
    }
    Ok(ids.into_iter().map(|job| Event::Removed { job, by: Removal::Hand }).collect())
}

fn retire<V: View>(view: &V, now: DateTime<Utc>) -> Decision<V> {
    let mut events = Vec::new();
    for queue in view.queues()? {
        if let Some(before) = queue.settings.keep.before(now) {
            let old = view.unfiled_before(&queue.id, before)?;
            events.extend(old.into_iter().map(|job| Event::Removed { job, by: Removal::Age }));
        }
    }
    if events.is_empty() { refuse(Refusal::Nothing(NothingTo::Retire)) } else { Ok(events) }
}

fn restore<V: View>(view: &V, ids: &[JobId]) -> Decision<V> {
    let mut events = Vec::with_capacity(ids.len());
    for &id in ids.iter().collect::<BTreeSet<_>>() {
        events.extend(view.removed(id)?.map(|job| Event::Restored { job: Box::new(job) }));
    }
    if events.is_empty() { refuse(Refusal::Nothing(NothingTo::Restore)) } else { Ok(events) }
}

fn claim<V: View>(view: &V, worker: WorkerId, queues: Option<&[QueueId]>, now: DateTime<Utc>) -> Decision<V> {
    match next_ready(view, queues)? {
        Some(job) => start(view, worker, &job, now),
        None => refuse(Refusal::Nothing(NothingTo::Start { until: next_due(view, queues)? })),
    }
}

fn start<V: View>(view: &V, worker: WorkerId, job: &Job, now: DateTime<Utc>) -> Decision<V> {
    if job.phase() != Phase::Pending {
        return wrong(job, "only a pending job can start");
    }
    // Nobody would bury the runs of a worker that was taken for dead already.
    if view.worker(worker)?.is_none() {
        return refuse(Refusal::NoWorker(worker));
    }
    Ok(vec![reserve::started(job, view.next_run()?, worker, now)])
}

fn ended<V: View>(
    view: &V,
    id: JobId,
    run: RunId,
    report: &Report,
    on_failure: Option<OnFailure>,
    now: DateTime<Utc>,
) -> Decision<V> {
    let job = found(view, id)?;
    if job.running() != Some(run) {
        return refuse(Refusal::StaleRun { job: id, run });
    }
    end(view, &job, run, report, on_failure, now)
}

/// What follows from the end of the run of a job that runs.
fn end<V: View>(
    view: &V,
    job: &Job,
    run: RunId,
    report: &Report,
    on_failure: Option<OnFailure>,
    now: DateTime<Utc>,
) -> Decision<V> {
    let queue = existing(view, &job.queue)?;
    let stops = on_failure.unwrap_or(queue.settings.on_failure) == OnFailure::Stop;
    // Who told it to stop doesn't want it to go on, however it has ended.
    let told_to_stop = matches!(job.state, State::Running { stop: Some(_), .. });
    let then = match job.definition.terms.retry.next(job.attempt(), report, now) {
        Some(at) if !told_to_stop => Then::Retry { at },
        _ if stops && matches!(report.outcome, Outcome::Failed(_)) => Then::Stay,
        _ => Then::Finish,
    };
    let mut events = vec![Event::Ended { job: job.id, run, report: report.clone(), then }];
    if then == Then::Stay && queue.mode == Mode::Processing {
        events.push(mode(&job.queue, Mode::Stopped));
    }
    Ok(events)
}

fn ripen<V: View>(view: &V, now: DateTime<Utc>) -> Decision<V> {
    let mut events = Vec::new();
    for id in view.due(now)? {
        if let Some(State::Pending { wait, .. }) = view.job(id)?.map(|job| job.state) {
            events.push(Event::Waits { job: id, wait: Wait { until: None, ..wait } });
        }
    }
    if events.is_empty() { refuse(Refusal::Nothing(NothingTo::Ripen)) } else { Ok(events) }
}

fn bury<V: View>(view: &V, id: WorkerId, begun: &[RunId], now: DateTime<Utc>) -> Decision<V> {
    let Some(worker) = view.worker(id)? else { return refuse(Refusal::NoWorker(id)) };
    let report = Report { outcome: Outcome::Interrupted, exit: None, value: None };
    let mut events = Vec::new();
    for job in view.run_by(id)? {
        if let Some(run) = job.running() {
            events.extend(end(view, &job, run, &report, None, now)?);
        }
    }
    for reservation in worker.reserved.iter().filter(|reservation| begun.contains(&reservation.run)) {
        let mut job = found(view, reservation.job)?;
        let started = reserve::started(&job, reservation.run, id, now);
        job.apply(&started, now);
        events.push(started);
        events.extend(end(view, &job, reservation.run, &report, None, now)?);
    }
    let worker = id;
    events.push(Event::WorkerLeft { worker });
    Ok(events)
}

fn leave<V: View>(view: &V, worker: WorkerId, queues: Option<&[QueueId]>) -> Decision<V> {
    let Some(known) = view.worker(worker)? else { return refuse(Refusal::NoWorker(worker)) };
    let serves = |queue: &QueueView| queues.is_none_or(|served| served.contains(&queue.id));
    let processed = view.queues()?.iter().any(|queue| queue.mode == Mode::Processing && serves(queue));
    let wanted = next_ready(view, queues)?.is_some() || next_due(view, queues)?.is_some();
    if processed || wanted || !known.reserved.is_empty() || !view.run_by(worker)?.is_empty() {
        return refuse(Refusal::Busy(worker));
    }
    Ok(vec![Event::WorkerLeft { worker }])
}
