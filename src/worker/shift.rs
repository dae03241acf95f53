//! A worker at work: wake up, report what has ended, claim what is ready, start it, sleep.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::keeper::Keeper;
use super::office::host;
use super::reload::{QUIET, Reload};
use super::{Buried, Office, WorkerError, bury_the_dead, environment, terminal};
use crate::crash;
use crate::model::{
    Command, Event, Job, JobId, NothingTo, Outcome, QueueId, Recorded, Refusal, Report, RunId, Setup, State, Stop,
    Stream, WorkerId,
};
use crate::runner::{Launch, Output, Runner};
use crate::store::log::LogWriter;
use crate::store::{Answer, Ring, Store, StoreError, WorkerLock};

/// How long a worker sleeps at most while it waits for others: a fallback should a bell be lost or a fellow die.
const HEARTBEAT: Duration = Duration::from_secs(5);
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
    running: HashMap<RunId, JobId>,
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
trait Tell: FnMut(&mut dyn Store, &Recorded) {}

impl<F: FnMut(&mut dyn Store, &Recorded)> Tell for F {}

enum Wake {
    Changed,
    Saved,
    Ended(JobId, RunId, Report),
    Leave(Urgency),
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
        Ok(Self {
            store,
            office,
            queues,
            stays,
            id,
            runner: Runner::sole().map_err(WorkerError::SetUp)?,
            running: HashMap::new(),
            wakes: channel(),
            seen,
            reports: Vec::new(),
            urgency: None,
            hungry: true,
            due: None,
            news: true,
            reload: Reload::default(),
            _lock: lock,
        })
    }

    /// A way to make the worker leave from another thread, a signal handler's say.
    pub fn leave(&self) -> impl Fn(Urgency) + Send + 'static {
        let wake = self.wakes.0.clone();
        // The worker may have left already.
        move |urgency| drop(wake.send(Wake::Leave(urgency)))
    }

    /// Works until there is nothing to do, or until told to leave. `tell` hears of every change of the site meanwhile,
    /// whoever made it.
    pub fn work(mut self, mut tell: impl FnMut(&mut dyn Store, &Recorded)) -> Result<(), WorkerError> {
        let ring = self.wakes.0.clone();
        let _bell = self.store.listen(Arc::new(move || drop(ring.send(Wake::Changed))))?;
        let ring = self.wakes.0.clone();
        let _file = Reload::listen(&self.office, &(Arc::new(move || drop(ring.send(Wake::Saved))) as Ring))?;
        let _keeper = Keeper::start(self.store.as_ref(), &self.office)?;
        let mut outage = false;
        loop {
            match self.round(&mut tell) {
                Ok(true) => return Ok(()),
                Ok(false) => {
                    outage = false;
                    self.sleep(self.patience());
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
                let (before, answers) = self.store.transact(&commands, now)?;
                if !mem::take(&mut self.reports).is_empty() {
                    crash::point("recorded");
                }
                let claims = &answers[commands.len() - claims..];
                self.hungry &= !claims.is_empty() && claims.iter().all(Result::is_ok);
                if let Some(Err(Refusal::Nothing(NothingTo::Start { until }))) = claims.last() {
                    self.due = *until;
                }
                self.start(&answers);
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
        self.left()
    }

    /// Starts what the answers say was claimed.
    fn start(&mut self, answers: &[Answer]) {
        for event in answers.iter().flatten().flatten() {
            if let Event::Started { job, run } = event {
                crash::point("claimed");
                self.running.insert(run.id, *job);
                let found = self.store.job(*job);
                match found {
                    Ok(Some(job)) => self.launch(&job),
                    other => tracing::error!(%job, ?other, "a claimed job can't be read"),
                }
            }
        }
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
            return self.look_after_own();
        };
        for recorded in &news {
            self.hear(recorded, tell);
        }
        Ok(())
    }

    /// So much has happened that it can't be told: looks at what has become of the jobs that run here.
    fn look_after_own(&mut self) -> Result<(), StoreError> {
        for (run, id) in self.running.clone() {
            match self.store.job(id)? {
                Some(job) if job.running() == Some(run) => {
                    if let State::Running { stop: Some(stop), .. } = job.state {
                        self.runner.stop(run, stop);
                    }
                }
                _ => drop(self.running.remove(&run)),
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
        match &recorded.event {
            Event::StopAsked { run, stop, .. } if self.running.contains_key(run) => self.runner.stop(*run, *stop),
            Event::Ended { run, .. } => {
                self.hungry |= self.running.remove(run).is_none();
                self.reload.ended();
            }
            Event::Started { .. } | Event::WorkerJoined { .. } | Event::Removed { .. } => {}
            _ => self.hungry = true,
        }
        tell(self.store.as_mut(), recorded);
    }

    /// Leaves if it is time to.
    fn left(&mut self) -> Result<bool, StoreError> {
        if !self.running.is_empty() {
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
        let first = match self.wakes.1.recv_timeout(at_most) {
            Ok(wake) => wake,
            // `wakes` holds a sender of its own, so the channel is never closed.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                if at_most == HEARTBEAT {
                    self.look_around();
                }
                return;
            }
        };
        let more: Vec<Wake> = self.wakes.1.try_iter().collect();
        for wake in std::iter::once(first).chain(more) {
            match wake {
                Wake::Changed => self.news = true,
                Wake::Saved => self.reload.saved(),
                Wake::Ended(job, run, report) => self.report(job, run, report),
                Wake::Leave(urgency) => self.hurry(urgency),
            }
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
    }

    /// Nothing was heard for a while: perhaps a fellow worker died, perhaps a bell was lost.
    fn look_around(&mut self) {
        self.news = true;
        match bury_the_dead(self.store.as_mut(), &self.office) {
            Ok(Buried { workers: 0, .. }) => {}
            Ok(Buried { jobs, .. }) => tracing::warn!(interrupted = jobs, "a worker has died"),
            Err(error) => tracing::error!(%error, "can't look for dead workers"),
        }
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

    fn finish(mut self: Box<Self>) {
        if let Some(log) = self.log.take() {
            let finished = log.finish();
            self.noted(finished);
        }
    }
}
