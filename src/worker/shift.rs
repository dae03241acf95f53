//! A worker at work: wake up, report what has ended, claim what is ready, start it, sleep.

mod hear;
mod record;
mod start;

use std::collections::HashMap;
use std::mem;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use signal_hook::consts::SIGTSTP;
use signal_hook::low_level::emulate_default_handler;

use super::hooks::Hooks;
use super::keeper::Keeper;
use super::office::host;
use super::pace::Pace;
use super::recorder::{Back, Batch, Recorder, Tried};
use super::reload::{QUIET, Reload};
use super::stock::Stock;
use super::{Buried, Office, Succession, WorkerError, bury_the_dead, replace};
use crate::crash;
use crate::model::{Command, Event, HookEnd, Job, JobId, Outcome, QueueId, Recorded, Report, RunId, Stop, WorkerId};
use crate::runner::{Runner, Waker, undisturbed};
use crate::store::{Ring, Store, StoreError, Vigil, WorkerLock};

/// How long a worker sleeps at most: a fallback should a bell be lost, or the death of a fellow that nobody can watch.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// How long to wait before a store that failed (a full disk, say) is tried again.
const PATIENCE: Duration = Duration::from_secs(1);

/// The time that a worker spends on a site: made by [`Shift::begin`], over when [`Shift::work`] returns. The process does
/// nothing else meanwhile: it takes in what its jobs leave behind ([`Runner::sole`]).
#[expect(clippy::struct_excessive_bools, reason = "each is told and asked by itself")]
pub struct Shift {
    /// The store, unless something is being recorded there.
    store: Option<Box<dyn Store>>,
    office: Office,
    queues: Option<Vec<QueueId>>,
    stays: bool,
    id: WorkerId,
    runner: Runner,
    running: HashMap<RunId, Running>,
    hooks: Hooks,
    /// How hooks have ended, as far as it is not kept yet.
    hook_ends: Vec<(RunId, HookEnd)>,
    pace: Pace,
    stock: Stock,
    recorder: Recorder,
    tried: Option<Tried>,
    wakes: (Sender<Wake>, Receiver<Wake>),
    seen: u64,
    /// What has to be recorded, and when it happened.
    reports: Vec<(Command, DateTime<Utc>)>,
    /// For each run that has ended without another one in its place, the queue.
    freed: Vec<QueueId>,
    /// When it woke last.
    now: DateTime<Utc>,
    urgency: Option<Urgency>,
    hungry: bool,
    /// When the next job's time comes.
    due: Option<DateTime<Utc>>,
    /// Something may have happened that it has not taken note of.
    news: bool,
    reload: Reload,
    keeper: Option<Keeper>,
    /// It is time to look for the dead; whether one is known of.
    alarm: Option<bool>,
    /// Somebody wants the process to be suspended.
    rests: bool,
    vigil: Vigil,
    lock: WorkerLock,
}

/// How urgently somebody wants the worker to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Start nothing more, TERM to what runs.
    Soon,
    /// KILL what runs.
    Now,
}

/// Who hears of every change of the site.
trait Tell: FnMut(&mut dyn Store, &Recorded, Option<&Job>) {}

impl<F: FnMut(&mut dyn Store, &Recorded, Option<&Job>)> Tell for F {}

enum Wake {
    Changed,
    Saved,
    Ended(JobId, RunId, Report),
    /// What was run after a run has ended; the last that it printed.
    Hooked(RunId, Report, String),
    Died,
    Leave(Urgency),
    Rest,
    /// The store is back.
    Recorded(Back),
}

/// What comes next.
enum Next {
    Sleep,
    /// Something has to be recorded while the runs are looked after.
    Record(Batch),
    /// The worker has left.
    Leave,
}

/// A job that runs here, as it was started.
struct Running {
    job: Job,
    since: Instant,
    /// It has ended, and that is not on record.
    ended: bool,
}

/// What other threads use to call the worker.
struct Caller {
    wakes: Sender<Wake>,
    waker: Waker,
}

impl Caller {
    fn call(&self, wake: Wake) {
        // The worker may have left already.
        if self.wakes.send(wake).is_ok() {
            self.waker.wake();
        }
    }
}

impl Shift {
    /// Joins the site to run jobs of `queues`, or of all. A worker that `stays` waits for more when all is done.
    pub fn begin(
        mut store: Box<dyn Store>,
        office: Office,
        queues: Option<Vec<QueueId>>,
        stays: bool,
    ) -> Result<Self, WorkerError> {
        bury_the_dead(store.as_mut(), &office)?;
        let roll_call = office.state.roll_call()?;
        let seen = store.seq()?;
        let join = Command::Join { host: host(), pid: std::process::id(), queues: queues.clone() };
        let answers = store.execute(&[join], Utc::now())?;
        let id = answers.into_iter().flatten().flatten().find_map(|event| match event {
            Event::WorkerJoined { worker } => Some(worker.id),
            _ => None,
        });
        let id = id.unwrap_or_default();
        crash::point("joined");
        let lock = office.state.hold_worker(id).map_err(|error| because(store.as_mut(), error))?;
        drop(roll_call);
        let stock = Stock::new(store.gate().map_err(|error| because(store.as_mut(), error))?);
        let (wakes, runner) = (channel(), Runner::sole().map_err(WorkerError::SetUp)?);
        let caller = Caller { wakes: wakes.0.clone(), waker: runner.waker() };
        let vigil = undisturbed(|| Vigil::begin(&office.state, Arc::new(move || caller.call(Wake::Died))));
        Ok(Self {
            store: Some(store),
            office,
            queues,
            stays,
            id,
            runner,
            running: HashMap::new(),
            hooks: Hooks::default(),
            hook_ends: Vec::new(),
            pace: Pace::default(),
            stock,
            recorder: Recorder::new(),
            tried: None,
            wakes,
            seen,
            reports: Vec::new(),
            freed: Vec::new(),
            now: Utc::now(),
            urgency: None,
            hungry: true,
            due: None,
            news: true,
            reload: Reload::default(),
            keeper: None,
            // Who has died before anybody watched.
            alarm: Some(false),
            rests: false,
            vigil: vigil.map_err(WorkerError::SetUp)?,
            lock,
        })
    }

    /// The number of this worker.
    pub fn worker(&self) -> WorkerId {
        self.id
    }

    /// A way to make the worker leave from another thread, a signal handler's say.
    pub fn leave(&self) -> impl Fn(Urgency) + Send + 'static {
        let caller = self.caller();
        move |urgency| caller.call(Wake::Leave(urgency))
    }

    /// A way to have the process suspended at a moment at which nobody waits for it. What runs goes on meanwhile.
    pub fn rest(&self) -> impl Fn() + Send + 'static {
        let caller = self.caller();
        move || caller.call(Wake::Rest)
    }

    fn caller(&self) -> Caller {
        Caller { wakes: self.wakes.0.clone(), waker: self.runner.waker() }
    }

    /// Works until there is nothing to do, or until told to leave. `tell` hears of every change of the site meanwhile,
    /// whoever made it, and gets the job too where it is one that has run here.
    pub fn work(mut self, mut tell: impl FnMut(&mut dyn Store, &Recorded, Option<&Job>)) -> Result<(), WorkerError> {
        let caller = self.caller();
        let changed: Ring = Arc::new(move || caller.call(Wake::Changed));
        let caller = self.caller();
        let saved: Ring = Arc::new(move || caller.call(Wake::Saved));
        let _file = undisturbed(|| Reload::listen(&self.office, &saved)).map_err(|error| self.because(error))?;
        let listen = |store: &dyn Store| {
            let (bell, keeper) = (store.listen(changed)?, Keeper::start(store, &self.office)?);
            Ok::<_, StoreError>((bell, keeper))
        };
        let listening = self.store.as_deref().map(|store| undisturbed(|| listen(store))).transpose();
        let listening = listening.map_err(|error| self.because(error))?;
        let _bell = listening.map(|(bell, keeper)| {
            self.keeper = Some(keeper);
            bell
        });
        let mut outage = false;
        loop {
            match self.turn(&mut tell) {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    outage = false;
                    self.sleep(self.patience());
                }
                Err(error) if error.is_final() => {
                    self.abandon(&error);
                    return Err(error.into());
                }
                Err(error) if self.gives_up() => return Err(error.into()),
                Err(error) => {
                    if !outage {
                        tracing::error!(%error, "the store failed; what runs goes on, and it is tried again");
                    }
                    outage = true;
                    self.news = true;
                    self.sleep(PATIENCE);
                }
            }
        }
    }

    fn because(&mut self, error: StoreError) -> StoreError {
        match &mut self.store {
            Some(store) => because(store.as_mut(), error),
            None => error,
        }
    }

    /// The site is no longer there for this worker: what runs is stopped as if somebody had told the worker to leave, so
    /// that nobody has to find it, and what becomes of it is told to nobody.
    fn abandon(&mut self, error: &StoreError) {
        if !self.running.is_empty() {
            tracing::error!(%error, running = self.running.len(), "what runs is stopped, since it can't be recorded");
        }
        self.hurry(Urgency::Soon);
        while !self.all_ended() {
            self.sleep(PATIENCE);
        }
    }

    /// Whether a store that fails ends the work: there is nothing in hand that would be lost, or nobody wants to wait
    /// for what is. Runs that are not reported are found interrupted.
    fn gives_up(&self) -> bool {
        self.all_ended() && (self.reports.is_empty() || self.urgency == Some(Urgency::Now))
    }

    fn all_ended(&self) -> bool {
        self.running.values().all(|running| running.ended)
    }

    /// Does what there is to do, as far as the store is there. Tells whether the worker has left.
    fn turn(&mut self, tell: &mut impl Tell) -> Result<bool, StoreError> {
        let Some(mut store) = self.store.take() else { return Ok(false) };
        match self.round(store.as_mut(), tell) {
            Ok(Next::Record(batch)) => {
                let caller = self.caller();
                let back = move |back| caller.call(Wake::Recorded(back));
                if let Err((mut store, batch)) = self.recorder.record(store, batch, back) {
                    self.tried = Some(batch.record(store.as_mut()));
                    self.store = Some(store);
                }
                Ok(false)
            }
            next => {
                self.store = Some(store);
                next.map(|next| matches!(next, Next::Leave))
            }
        }
    }

    /// One round of report, claim and start.
    fn round(&mut self, store: &mut dyn Store, tell: &mut impl Tell) -> Result<Next, StoreError> {
        if let Some(tried) = self.tried.take() {
            self.conclude(store, tried, tell)?;
        }
        if self.stock.is_empty() {
            self.news |= self.reload.take_up(store, &self.office)?;
            if let Some(died) = self.alarm.take() {
                self.look_around(store, died);
            }
        }
        loop {
            if let Some(batch) = self.batch() {
                if batch.commands.iter().any(|(command, _)| matches!(command, Command::Report { .. })) {
                    crash::point("finished");
                }
                // What is known up to then tells whether something else has happened.
                self.news = false;
                if self.stock.is_ready() {
                    return Ok(Next::Record(batch));
                }
                let tried = batch.record(store);
                self.conclude(store, tried, tell)?;
            }
            if mem::take(&mut self.news) {
                self.follow(store, tell)?;
            }
            if !self.hungry || self.urgency.is_some() {
                break;
            }
            self.now = Utc::now();
        }
        self.keep_hook_ends(store);
        self.start_hooks();
        if self.stock.is_empty() && mem::take(&mut self.rests) {
            let _nobody_writes = self.keeper.as_ref().map(Keeper::pause);
            if let Err(error) = emulate_default_handler(SIGTSTP) {
                tracing::error!(%error, "can't be suspended");
            }
        }
        self.left(store)
    }

    fn start_hooks(&mut self) {
        if self.urgency.is_some() {
            self.hooks.forgo();
        }
        let wake = &self.wakes.0;
        self.hooks.start(&self.runner, &self.office, || {
            let wake = wake.clone();
            Box::new(move |run, report, said| drop(wake.send(Wake::Hooked(run, report, said))))
        });
    }

    /// Leaves if it is time to.
    fn left(&mut self, store: &mut dyn Store) -> Result<Next, StoreError> {
        if !self.running.is_empty() || !self.hooks.is_idle() || !self.stock.is_empty() {
            return Ok(Next::Sleep);
        }
        if self.urgency.is_some() {
            store.execute(&[Command::Bury { worker: self.id, begun: Vec::new() }], Utc::now())?;
            return Ok(Next::Leave);
        }
        if self.stays {
            return Ok(Next::Sleep);
        }
        let leave = Command::Leave { worker: self.id, queues: self.queues.clone() };
        let left = store.execute(&[leave], Utc::now())?.iter().all(Result::is_ok);
        Ok(if left { Next::Leave } else { Next::Sleep })
    }

    /// How long there is nothing to do if nothing happens.
    fn patience(&self) -> Duration {
        if self.store.is_none() {
            return HEARTBEAT;
        }
        let waited_for_calm = self.alarm.is_some() || self.rests || self.reload.is_due();
        if self.tried.is_some() || (waited_for_calm && self.stock.is_empty()) {
            return Duration::ZERO;
        }
        let most = if self.reload.waits() { QUIET } else { HEARTBEAT };
        let due = self.due.map(|due| (due - Utc::now()).to_std().unwrap_or_default());
        [due, self.stock.left()].into_iter().flatten().fold(most, Duration::min)
    }

    /// Waits until there is something to do, and takes note of all of it.
    fn sleep(&mut self, at_most: Duration) {
        let until = Instant::now() + at_most;
        let mut wakes: Vec<Wake> = self.wakes.1.try_iter().collect();
        while wakes.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                if at_most == HEARTBEAT {
                    self.news = true;
                    self.alarm.get_or_insert(false);
                }
                self.now = Utc::now();
                return;
            }
            self.runner.attend(left);
            wakes.extend(self.wakes.1.try_iter());
        }
        self.wake(wakes);
        self.linger();
    }

    fn wake(&mut self, wakes: Vec<Wake>) {
        self.now = Utc::now();
        for wake in wakes {
            match wake {
                Wake::Changed => self.news = true,
                Wake::Saved => self.reload.saved(),
                Wake::Ended(job, run, report) => self.ended(job, run, report),
                Wake::Hooked(run, report, said) => self.hooked(run, report, said),
                Wake::Died => self.alarm = Some(true),
                Wake::Leave(urgency) => self.hurry(urgency),
                Wake::Rest => self.rests = true,
                Wake::Recorded(Ok((store, tried))) => (self.store, self.tried) = (Some(store), Some(tried)),
                Wake::Recorded(Err(panic)) => resume_unwind(panic),
            }
        }
    }

    /// What was run after a run has ended.
    fn hooked(&mut self, run: RunId, report: Report, said: String) {
        if self.hooks.ended(run, &report, &said) {
            self.hook_ends.push((run, HookEnd { at: self.now, outcome: report.outcome, said }));
        }
    }

    fn keep_hook_ends(&mut self, store: &mut dyn Store) {
        for (run, end) in mem::take(&mut self.hook_ends) {
            if let Err(error) = store.keep_hook_end(run, &end) {
                tracing::warn!("what came of on_finish is not kept: {error}");
            }
        }
    }

    /// Waits for one more run to end if one has ended and another is about to: both are recorded together then.
    fn linger(&mut self) {
        if self.freed.is_empty() || self.store.is_none() || self.tried.is_some() {
            return;
        }
        let others = self.running.values().filter(|running| !running.ended);
        let patience = others.filter_map(|running| self.pace.patience(running.since.elapsed())).max();
        let Some(patience) = patience else { return };
        let (until, freed) = (Instant::now() + patience, self.freed.len());
        while self.freed.len() == freed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.runner.attend(left);
            let wakes = self.wakes.1.try_iter().collect();
            self.wake(wakes);
        }
    }

    /// A run has ended; another one takes its place if it is reserved.
    fn ended(&mut self, job: JobId, run: RunId, report: Report) {
        self.report(job, run, report);
        let Some(running) = self.running.get_mut(&run) else { return };
        running.ended = true;
        self.pace.ran(running.since.elapsed());
        let queue = running.job.queue.clone();
        self.freed.push(queue);
        self.fill();
    }

    /// Starts what is reserved, in place of runs that have ended.
    fn fill(&mut self) {
        if self.wants_calm() {
            return;
        }
        for queue in mem::take(&mut self.freed) {
            match self.stock.take(&queue) {
                Some(ready) => self.begin_next(ready),
                None => self.freed.push(queue),
            }
        }
    }

    fn report(&mut self, job: JobId, run: RunId, mut report: Report) {
        if self.urgency.is_some() && report.outcome == Outcome::Cancelled {
            // Nobody asked for this job to stop; it was the worker that had to go.
            report.outcome = Outcome::Interrupted;
        }
        self.reports.push((Command::Report { job, run, report, on_failure: None }, self.now));
    }

    fn hurry(&mut self, urgency: Urgency) {
        self.urgency = self.urgency.max(Some(urgency));
        let stop = if urgency == Urgency::Now { Stop::Kill } else { Stop::Terminate };
        for run in self.running.keys() {
            self.runner.stop(*run, stop);
        }
        self.hooks.stop(&self.runner, stop);
    }

    /// Buries the dead, if there are any. When a fellow `died`, its work may need somebody else.
    fn look_around(&mut self, store: &mut dyn Store, died: bool) {
        match self.succeed(store, died) {
            Ok(None | Some(Succession::Settled)) => {}
            Ok(Some(Succession::Hired)) => tracing::warn!("another worker goes on with its work"),
            Ok(Some(Succession::Hopeless)) => tracing::error!("workers keep dying: nobody goes on with their work"),
            Err(error) => tracing::error!(%error, "can't look after the other workers"),
        }
    }

    fn succeed(&mut self, store: &mut dyn Store, died: bool) -> Result<Option<Succession>, WorkerError> {
        let Buried { workers, jobs } = bury_the_dead(store, &self.office)?;
        if workers > 0 {
            tracing::warn!(interrupted = jobs, "a worker has died");
        }
        let needed = (died || workers > 0) && self.urgency.is_none();
        needed.then(|| replace(store, &self.office)).transpose()
    }
}

/// Why something can't be had at a site: since that was taken away before anybody listened, if so.
fn because(store: &mut dyn Store, error: StoreError) -> StoreError {
    store.load().err().filter(StoreError::is_final).unwrap_or(error)
}
