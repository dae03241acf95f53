//! A worker at work: wake up, report what has ended, claim what is ready, start it, sleep.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::hooks::Hooks;
use super::keeper::Keeper;
use super::office::host;
use super::pace::Pace;
use super::reload::{QUIET, Reload};
use super::{Buried, Office, Succession, WorkerError, bury_the_dead, environment, replace, terminal};
use crate::crash;
use crate::model::{
    Command, Event, HookEnd, Job, JobId, NothingTo, Outcome, QueueId, Recorded, Refusal, Report, RunId, Setup, State,
    Stop, Stream, Then, WindowSize, WorkerId,
};
use crate::runner::{Launch, Output, Runner, Waker, undisturbed};
use crate::store::log::LogWriter;
use crate::store::{Answer, Ring, Store, StoreError, Transacted, Vigil, WorkerLock};

/// How long a worker sleeps at most: a fallback should a bell be lost, or the death of a fellow that nobody can watch.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// How long to wait before a store that failed (a full disk, say) is tried again.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many jobs are claimed in one transaction when it isn't known how many are ready.
const HANDFUL: usize = 16;

/// The time that a worker spends on a site: made by [`Shift::begin`], over when [`Shift::work`] returns. The process does
/// nothing else meanwhile: it takes in what its jobs leave behind ([`Runner::sole`]).
pub struct Shift {
    store: Box<dyn Store>,
    office: Office,
    queues: Option<Vec<QueueId>>,
    stays: bool,
    id: WorkerId,
    runner: Runner,
    running: HashMap<RunId, Running>,
    hooks: Hooks,
    pace: Pace,
    wakes: (Sender<Wake>, Receiver<Wake>),
    seen: u64,
    reports: Vec<Command>,
    urgency: Option<Urgency>,
    hungry: bool,
    /// When the next job's time comes.
    due: Option<DateTime<Utc>>,
    /// Something may have happened that it has not taken note of.
    news: bool,
    reload: Reload,
    vigil: Vigil,
    _lock: WorkerLock,
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
}

impl Wake {
    /// The run that has ended.
    fn ended(&self) -> Option<RunId> {
        if let Self::Ended(_, run, _) = self { Some(*run) } else { None }
    }
}

/// A job that runs here, as it was started.
struct Running {
    job: Job,
    since: Instant,
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
        let lock = office.state.hold_worker(id)?;
        drop(roll_call);
        let (wakes, runner) = (channel(), Runner::sole().map_err(WorkerError::SetUp)?);
        let caller = Caller { wakes: wakes.0.clone(), waker: runner.waker() };
        let vigil = undisturbed(|| Vigil::begin(&office.state, Arc::new(move || caller.call(Wake::Died))));
        Ok(Self {
            store,
            office,
            queues,
            stays,
            id,
            runner,
            running: HashMap::new(),
            hooks: Hooks::default(),
            pace: Pace::default(),
            wakes,
            seen,
            reports: Vec::new(),
            urgency: None,
            hungry: true,
            due: None,
            news: true,
            reload: Reload::default(),
            vigil: vigil.map_err(WorkerError::SetUp)?,
            _lock: lock,
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

    fn caller(&self) -> Caller {
        Caller { wakes: self.wakes.0.clone(), waker: self.runner.waker() }
    }

    /// Works until there is nothing to do, or until told to leave. `tell` hears of every change of the site meanwhile,
    /// whoever made it, and gets the job too where it is one that has run here.
    pub fn work(mut self, mut tell: impl FnMut(&mut dyn Store, &Recorded, Option<&Job>)) -> Result<(), WorkerError> {
        let caller = self.caller();
        let _bell = undisturbed(|| self.store.listen(Arc::new(move || caller.call(Wake::Changed))))?;
        let caller = self.caller();
        let saved: Ring = Arc::new(move || caller.call(Wake::Saved));
        let _file = undisturbed(|| Reload::listen(&self.office, &saved))?;
        let _keeper = undisturbed(|| Keeper::start(self.store.as_ref(), &self.office))?;
        // Who has died before anybody watched.
        self.look_around(false);
        let mut outage = false;
        loop {
            match self.round(&mut tell) {
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

    /// The site is no longer there for this worker: what runs is stopped as if somebody had told the worker to leave, so
    /// that nobody has to find it, and what becomes of it is told to nobody.
    fn abandon(&mut self, error: &StoreError) {
        if !self.running.is_empty() {
            tracing::error!(%error, running = self.running.len(), "what runs is stopped, since it can't be recorded");
        }
        self.hurry(Urgency::Soon);
        while self.reports.len() < self.running.len() {
            self.sleep(PATIENCE);
        }
    }

    /// Whether a store that fails ends the work: there is nothing in hand that would be lost, or nobody wants to wait
    /// for what is. Runs that are not reported are found interrupted.
    fn gives_up(&self) -> bool {
        let all_ended = self.running.len() <= self.reports.len();
        all_ended && (self.reports.is_empty() || self.urgency == Some(Urgency::Now))
    }

    /// One round of report, claim and start. Tells whether the worker has left.
    fn round(&mut self, tell: &mut impl Tell) -> Result<bool, StoreError> {
        self.news |= self.reload.take_up(self.store.as_mut(), &self.office)?;
        loop {
            let now = Utc::now();
            let ripe = self.urgency.is_none() && self.due.take_if(|due| *due <= now).is_some();
            self.hungry |= ripe;
            let claims = match self.urgency {
                Some(_) => 0,
                None if self.hungry => HANDFUL,
                None => self.reports.len(),
            };
            let mut commands = self.reports.clone();
            commands.extend(ripe.then_some(Command::Ripen));
            let claim = Command::Claim { worker: self.id, queues: self.queues.clone() };
            commands.extend((0..claims).map(|_| claim.clone()));
            if !commands.is_empty() {
                if !self.reports.is_empty() {
                    crash::point("finished");
                }
                let began = Instant::now();
                let Transacted { before, answers, started } = self.store.transact(&commands, now)?;
                self.pace.recorded(began.elapsed());
                if !mem::take(&mut self.reports).is_empty() {
                    crash::point("recorded");
                }
                let claims = &answers[commands.len() - claims..];
                self.hungry &= !claims.is_empty() && claims.iter().all(Result::is_ok);
                if let Some(Err(Refusal::Nothing(NothingTo::Start { until }))) = claims.last() {
                    self.due = *until;
                }
                for job in started {
                    self.start(job);
                }
                self.news = before != self.seen;
                if !self.news {
                    self.note(before, now, answers, tell);
                }
            }
            if mem::take(&mut self.news) {
                self.follow(tell)?;
            }
            if !self.hungry || self.urgency.is_some() {
                break;
            }
        }
        self.start_hooks();
        self.left()
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

    /// Starts a job that was claimed.
    fn start(&mut self, job: Job) {
        crash::point("claimed");
        let Some(run) = job.running() else { return };
        self.launch(&job);
        self.running.insert(run, Running { job, since: Instant::now() });
    }

    fn launch(&self, job: &Job) {
        let Some(run) = &job.last_run else { return };
        let value_file = self.office.state.value(run.id);
        let launch = Launch {
            definition: Arc::clone(&job.definition),
            folder: self.office.home().to_owned(),
            env: environment::of(job, run, &self.office, &value_file),
            mark: Some(environment::mark(self.id, run.id, &self.office)),
            value_file: Some(value_file),
            terminal: terminal::of(job, run.id, self.store.as_ref()),
        };
        let limit = job.script().map_or(Setup::DEFAULT_LOG_LIMIT, |script| script.setup.log_limit);
        let output = Logged { log: Some(self.store.log_writer(run.id, limit)), run: run.id };
        let (job, run, wake) = (job.id, run.id, self.wakes.0.clone());
        let done = move |report| drop(wake.send(Wake::Ended(job, run, report)));
        self.runner.launch(run, launch, Box::new(output), Box::new(done));
    }

    /// Takes note of all that has happened since the last time, by whomever.
    fn follow(&mut self, tell: &mut impl Tell) -> Result<(), StoreError> {
        let Some(news) = self.store.events_after(self.seen)? else {
            self.seen = self.store.seq()?;
            self.hungry = true;
            self.vigil.look_again();
            return self.look_after_own();
        };
        for recorded in &news {
            self.hear(recorded, tell);
        }
        Ok(())
    }

    /// So much has happened that it can't be told: looks at what has become of the jobs that run here.
    fn look_after_own(&mut self) -> Result<(), StoreError> {
        let running: Vec<(RunId, JobId)> = self.running.iter().map(|(run, running)| (*run, running.job.id)).collect();
        for (run, id) in running {
            match self.store.job(id)? {
                Some(job) if job.running() == Some(run) => {
                    if let State::Running { stop: Some(stop), .. } = job.state {
                        self.runner.stop(run, stop);
                    }
                }
                known => {
                    self.running.remove(&run);
                    self.hooks.finished_unseen(known, run);
                }
            }
        }
        Ok(())
    }

    /// Takes note of its own doing: nothing else has happened since.
    fn note(&mut self, before: u64, at: DateTime<Utc>, answers: Vec<Answer>, tell: &mut impl Tell) {
        for (seq, event) in (before + 1..).zip(answers.into_iter().flatten().flatten()) {
            self.hear(&Recorded { seq, at, event }, tell);
        }
    }

    fn hear(&mut self, recorded: &Recorded, tell: &mut impl Tell) {
        self.seen = recorded.seq;
        let mut own = None;
        match &recorded.event {
            Event::StopAsked { run, stop, .. } if self.running.contains_key(run) => self.runner.stop(*run, *stop),
            Event::Ended { run, .. } => {
                own = self.running.remove(run).map(|running| running.job);
                self.hungry |= own.is_none();
                self.reload.ended();
            }
            Event::WorkerJoined { .. } => self.vigil.look_again(),
            Event::Started { .. } | Event::Removed { .. } => {}
            _ => self.hungry = true,
        }
        if let Some(job) = &mut own {
            job.apply(&recorded.event, recorded.at);
        }
        tell(self.store.as_mut(), recorded, own.as_ref());
        if let (Some(job), Event::Ended { then: Then::Finish | Then::Stay, .. }) = (own, &recorded.event) {
            self.hooks.finished(job);
        }
    }

    /// Leaves if it is time to.
    fn left(&mut self) -> Result<bool, StoreError> {
        if !self.running.is_empty() || !self.hooks.is_idle() {
            return Ok(false);
        }
        if self.urgency.is_some() {
            self.store.execute(&[Command::Bury { worker: self.id }], Utc::now())?;
            return Ok(true);
        }
        if self.stays {
            return Ok(false);
        }
        let leave = Command::Leave { worker: self.id, queues: self.queues.clone() };
        Ok(self.store.execute(&[leave], Utc::now())?.iter().all(Result::is_ok))
    }

    /// How long there is nothing to do if nothing happens.
    fn patience(&self) -> Duration {
        let most = if self.reload.waits() { QUIET } else { HEARTBEAT };
        let due = self.due.map(|due| (due - Utc::now()).to_std().unwrap_or_default());
        due.map_or(most, |due| due.min(most))
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
                    self.look_around(false);
                }
                return;
            }
            self.runner.attend(left);
            wakes.extend(self.wakes.1.try_iter());
        }
        self.linger(&mut wakes);
        for wake in wakes {
            match wake {
                Wake::Changed => self.news = true,
                Wake::Saved => self.reload.saved(),
                Wake::Ended(job, run, report) => self.report(job, run, report),
                Wake::Hooked(run, report, said) => self.hooked(run, report, said),
                Wake::Died => self.look_around(true),
                Wake::Leave(urgency) => self.hurry(urgency),
            }
        }
    }

    /// What was run after a run has ended.
    fn hooked(&mut self, run: RunId, report: Report, said: String) {
        if self.hooks.ended(run, &report, &said) {
            let end = HookEnd { at: Utc::now(), outcome: report.outcome, said };
            if let Err(error) = self.store.keep_hook_end(run, &end) {
                tracing::warn!("what came of on_finish is not kept: {error}");
            }
        }
    }

    /// Waits for one more run to end if one has ended and another is about to: both are recorded together then.
    fn linger(&mut self, wakes: &mut Vec<Wake>) {
        let ended: Vec<RunId> = wakes.iter().filter_map(Wake::ended).collect();
        for run in &ended {
            if let Some(running) = self.running.get(run) {
                self.pace.ran(running.since.elapsed());
            }
        }
        let others = self.running.iter().filter(|(run, _)| !ended.contains(run));
        let patience = others.filter_map(|(_, running)| self.pace.patience(running.since.elapsed())).max();
        let Some(patience) = patience.filter(|_| !ended.is_empty()) else { return };
        let until = Instant::now() + patience;
        while wakes.iter().filter_map(Wake::ended).count() == ended.len() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.runner.attend(left);
            wakes.extend(self.wakes.1.try_iter());
        }
    }

    fn report(&mut self, job: JobId, run: RunId, mut report: Report) {
        if self.urgency.is_some() && report.outcome == Outcome::Cancelled {
            // Nobody asked for this job to stop; it was the worker that had to go.
            report.outcome = Outcome::Interrupted;
        }
        self.reports.push(Command::Report { job, run, report, on_failure: None });
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
    fn look_around(&mut self, died: bool) {
        match self.succeed(died) {
            Ok(None | Some(Succession::Settled)) => {}
            Ok(Some(Succession::Hired)) => tracing::warn!("another worker goes on with its work"),
            Ok(Some(Succession::Hopeless)) => tracing::error!("workers keep dying: nobody goes on with their work"),
            Err(error) => tracing::error!(%error, "can't look after the other workers"),
        }
    }

    fn succeed(&mut self, died: bool) -> Result<Option<Succession>, WorkerError> {
        let Buried { workers, jobs } = bury_the_dead(self.store.as_mut(), &self.office)?;
        if workers > 0 {
            tracing::warn!(interrupted = jobs, "a worker has died");
        }
        let needed = (died || workers > 0) && self.urgency.is_none();
        needed.then(|| replace(self.store.as_mut(), &self.office)).transpose()
    }
}

/// The output of a run on its way to its log. That a log can't be written doesn't stop the run.
struct Logged {
    log: Option<LogWriter>,
    run: RunId,
}

impl Logged {
    fn noted(&mut self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            tracing::error!(run = %self.run, %error, "output is lost");
            self.log = None;
        }
    }
}

impl Output for Logged {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if let Some(log) = &mut self.log {
            let written = log.write(stream, bytes, Utc::now());
            self.noted(written);
        }
    }

    fn resized(&mut self, size: WindowSize) {
        if let Some(log) = &mut self.log {
            log.resize(size);
        }
    }

    fn finish(mut self: Box<Self>) {
        if let Some(log) = self.log.take() {
            let finished = log.finish();
            self.noted(finished);
        }
    }
}
