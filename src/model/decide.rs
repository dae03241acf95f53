//! What a command does, decided once for everybody: a site and a command in, events or a refusal out.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::command::NothingTo;
use super::place::STRIDE;
use super::reconcile;
use super::{
    Command, Definition, Event, Job, JobId, Mode, OnFailure, Outcome, Phase, QueueId, QueueView, Refusal, Removal,
    Report, Run, RunId, Settings, State, Stop, View, Worker, WorkerId, next_ready,
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

type Decision<V> = Result<Vec<Event>, Undecided<<V as View>::Error>>;

/// Decides `command` on the site as `view` shows it, at the time `now`. Pure: the caller applies the events.
pub fn decide<V: View>(view: &V, command: &Command, now: DateTime<Utc>) -> Decision<V> {
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
        Command::Reset { job } => reset(view, *job),
        Command::Cancel { job, stop } => cancel(view, *job, *stop),
        Command::Remove { jobs } => remove(view, jobs),
        Command::Clear { queue, phase } => clear(view, queue, *phase),
        Command::Restore { jobs } => restore(view, jobs),
        Command::Join { host, pid, queues } => {
            let (host, queues) = (host.clone(), queues.clone());
            let worker = Worker { id: view.next_worker()?, host, pid: *pid, queues };
            Ok(vec![Event::WorkerJoined { worker }])
        }
        Command::Claim { worker, queues } => claim(view, *worker, queues.as_deref(), now),
        Command::Start { worker, job } => start(view, *worker, &found(view, *job)?, now),
        Command::Report { job, run, report, on_failure } => ended(view, *job, *run, report, *on_failure),
        Command::Bury { worker } => bury(view, *worker),
        Command::Leave { worker, queues } => leave(view, *worker, queues.as_deref()),
    }
}

fn refuse<T, E>(refusal: Refusal) -> Result<T, Undecided<E>> {
    Err(Undecided::Refused(refusal))
}

fn wrong<T, E>(job: &Job, hint: &'static str) -> Result<T, Undecided<E>> {
    refuse(Refusal::WrongState { job: job.id, phase: job.phase(), hint })
}

fn found<V: View>(view: &V, job: JobId) -> Result<Job, Undecided<V::Error>> {
    view.job(job)?.map_or_else(|| refuse(Refusal::NoJob(job)), Ok)
}

fn existing<V: View>(view: &V, queue: &QueueId) -> Result<QueueView, Undecided<V::Error>> {
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
    let added = (1..).zip(first..).zip(jobs).map(|((nth, id), definition)| {
        let mut job = Job::of(unfiled(definition));
        job.id = JobId(id);
        job.queue = queue.clone();
        job.position = last + nth * STRIDE;
        job.enqueued = now;
        Event::Added { job: Box::new(job) }
    });
    Ok(open(view, queue)?.into_iter().chain(added).collect())
}

/// The definition without what ties a job to an entry in `jobs.yaml`: the next reading of the file would take it away.
fn unfiled(definition: &Arc<Definition>) -> Arc<Definition> {
    if definition.name.is_none() && definition.digest.is_none() {
        return Arc::clone(definition);
    }
    Arc::new(Definition { name: None, digest: None, ..(**definition).clone() })
}

fn process<V: View>(view: &V, queue: &QueueId) -> Decision<V> {
    let present = existing(view, queue)?.mode;
    let open = view.next_pending(queue, false)?.is_some() || view.running(queue)? > 0;
    match present {
        Mode::Processing => refuse(Refusal::Already { queue: queue.clone(), state: present.word() }),
        _ if open => Ok(vec![mode(queue, Mode::Processing)]),
        Mode::Idle => refuse(Refusal::Nothing(NothingTo::Process(queue.clone()))),
        // Nothing to do, but what is added from now on is no longer held back.
        Mode::Paused | Mode::Stopped => Ok(vec![mode(queue, Mode::Idle)]),
    }
}

fn run<V: View>(view: &V, id: JobId) -> Decision<V> {
    let job = found(view, id)?;
    match job.state {
        State::Running { .. } => wrong(&job, "it can be run again when it has finished"),
        State::Pending { asked: true } => wrong(&job, "it was asked for and waits for its turn"),
        _ => Ok(vec![Event::Reopened { job: id, asked: true }]),
    }
}

fn reset<V: View>(view: &V, id: JobId) -> Decision<V> {
    let job = found(view, id)?;
    match job.phase() {
        Phase::Finished => Ok(vec![Event::Reopened { job: id, asked: false }]),
        Phase::Pending => wrong(&job, "there is nothing to reset"),
        Phase::Running => wrong(&job, "it can be reset when it has finished"),
    }
}

fn cancel<V: View>(view: &V, id: JobId, stop: Stop) -> Decision<V> {
    let job = found(view, id)?;
    match (&job.state, &job.last_run) {
        (State::Pending { .. }, _) => {
            let mut events = vec![Event::Cancelled { job: id }];
            events.extend(settled(view, &job)?);
            Ok(events)
        }
        (State::Running { stop: asked }, Some(run)) if *asked < Some(stop) => {
            Ok(vec![Event::StopAsked { job: id, run: run.id, stop }])
        }
        (State::Running { .. }, _) => wrong(&job, "it was told to stop already"),
        (State::Finished { .. }, _) => wrong(&job, "there is nothing to cancel"),
    }
}

fn remove<V: View>(view: &V, ids: &[JobId]) -> Decision<V> {
    let ids: BTreeSet<_> = ids.iter().copied().collect();
    let mut events = Vec::with_capacity(ids.len());
    let mut emptier = BTreeSet::new();
    for &id in &ids {
        let job = found(view, id)?;
        match job.phase() {
            Phase::Running => return wrong(&job, CANCEL_FIRST),
            Phase::Pending => _ = emptier.insert(job.queue),
            Phase::Finished => {}
        }
        events.push(Event::Removed { job: id, by: Removal::Hand });
    }
    for queue in &emptier {
        if existing(view, queue)?.mode == Mode::Processing {
            let left = view.in_phase(queue, Phase::Pending)?.into_iter().any(|id| !ids.contains(&id));
            if !left {
                events.extend(drained(view, queue)?);
            }
        }
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
    let mut events: Vec<_> = ids.into_iter().map(|job| Event::Removed { job, by: Removal::Hand }).collect();
    if phase == Phase::Pending {
        events.extend(drained(view, queue)?);
    }
    Ok(events)
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
        None => refuse(Refusal::Nothing(NothingTo::Start)),
    }
}

fn start<V: View>(view: &V, worker: WorkerId, job: &Job, now: DateTime<Utc>) -> Decision<V> {
    if job.phase() != Phase::Pending {
        return wrong(job, "only a pending job can start");
    }
    // Nobody would bury the runs of a worker that was taken for dead already.
    if !view.has_worker(worker)? {
        return refuse(Refusal::NoWorker(worker));
    }
    let run = Run { id: view.next_run()?, attempt: job.attempts + 1, worker, started: now, ending: None };
    Ok(vec![Event::Started { job: job.id, run }])
}

fn ended<V: View>(view: &V, id: JobId, run: RunId, report: &Report, on_failure: Option<OnFailure>) -> Decision<V> {
    let job = found(view, id)?;
    if job.running() != Some(run) {
        return refuse(Refusal::StaleRun { job: id, run });
    }
    let queue = existing(view, &job.queue)?;
    let stops = on_failure.unwrap_or(queue.settings.on_failure) == OnFailure::Stop;
    let pending = stops && matches!(report.outcome, Outcome::Failed(_));
    let mut events = vec![Event::Ended { job: id, run, report: report.clone(), pending }];
    if !pending {
        events.extend(settled(view, &job)?);
    } else if queue.mode == Mode::Processing {
        events.push(mode(&job.queue, Mode::Stopped));
    }
    Ok(events)
}

fn bury<V: View>(view: &V, worker: WorkerId) -> Decision<V> {
    if !view.has_worker(worker)? {
        return refuse(Refusal::NoWorker(worker));
    }
    let orphans = view.run_by(worker)?;
    let mut events = Vec::new();
    let mut queues = BTreeSet::new();
    for job in &orphans {
        let Some(run) = job.running() else { continue };
        let report = Report { outcome: Outcome::Interrupted, exit: None, value: None };
        events.push(Event::Ended { job: job.id, run, report, pending: false });
        queues.insert(&job.queue);
    }
    for queue in queues {
        let ending = orphans.iter().filter(|job| job.queue == *queue).count();
        let running = usize::try_from(view.running(queue)?).unwrap_or(usize::MAX);
        let processing = existing(view, queue)?.mode == Mode::Processing;
        if processing && running == ending && view.next_pending(queue, false)?.is_none() {
            events.push(mode(queue, Mode::Idle));
        }
    }
    events.push(Event::WorkerLeft { worker });
    Ok(events)
}

fn leave<V: View>(view: &V, worker: WorkerId, queues: Option<&[QueueId]>) -> Decision<V> {
    if !view.has_worker(worker)? {
        return refuse(Refusal::NoWorker(worker));
    }
    let serves = |queue: &QueueView| queues.is_none_or(|served| served.contains(&queue.id));
    let processed = view.queues()?.iter().any(|queue| queue.mode == Mode::Processing && serves(queue));
    if processed || next_ready(view, queues)?.is_some() || !view.run_by(worker)?.is_empty() {
        return refuse(Refusal::Busy(worker));
    }
    Ok(vec![Event::WorkerLeft { worker }])
}

/// The queue falls idle when `job` was its last open one.
fn settled<V: View>(view: &V, job: &Job) -> Result<Option<Event>, Undecided<V::Error>> {
    let processing = existing(view, &job.queue)?.mode == Mode::Processing;
    let last = processing && !view.others_open(&job.queue, job.id)?;
    Ok(last.then(|| mode(&job.queue, Mode::Idle)))
}

/// The queue falls idle when its pending jobs are gone and none runs.
fn drained<V: View>(view: &V, queue: &QueueId) -> Result<Option<Event>, Undecided<V::Error>> {
    let processing = existing(view, queue)?.mode == Mode::Processing;
    let last = processing && view.running(queue)? == 0;
    Ok(last.then(|| mode(queue, Mode::Idle)))
}
