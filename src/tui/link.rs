//! The screen's end of the store. It has a thread of its own, so that a key never waits for a disk.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::definition::save;
use crate::model::{Command, Definition, Event, JobId, QueueId, Run, RunId, WindowSize};
use crate::store::log::{Heard, LogReader};
use crate::store::{Folder, LineWriter, Listener, Store, StoreError, Vigil};

use super::wake::{Answered, Asked, Bell, Order, Wake, Way};

/// Makes sure that a worker lives; the error says why none could be started.
pub type Hire = Box<dyn FnMut() -> Result<(), String> + Send>;

/// Looks after the workers: ends the runs of those that have died. When it is told that one has died while the screen was
/// open, or finds one, it has somebody go on with what that one has left. The error says why it can't.
pub type Tend = Box<dyn FnMut(bool) -> Result<Tended, String> + Send>;

/// What was found when somebody looked after the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tended {
    /// How many jobs were interrupted since their worker has died.
    pub interrupted: usize,
    /// Whether there is any worker to look after.
    pub workers: bool,
    /// What becomes of the work that a dead worker has left.
    pub work: Succession,
}

/// What becomes of the work that a dead worker has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Succession {
    /// There is none, or somebody does it.
    Settled,
    /// Another worker was hired for it.
    Hired,
    /// Workers keep dying: nobody was hired.
    Hopeless,
}

impl Tended {
    /// Whether there is anything to tell.
    pub fn is_news(&self) -> bool {
        self.interrupted > 0 || self.work != Succession::Settled
    }
}

/// How often somebody looks after the workers: a fallback for those whose death nobody can watch.
const ROUND: Duration = Duration::from_secs(60);

/// What the link is asked to do.
#[derive(Debug)]
pub enum Request {
    /// Send commands to the store.
    Submit(Order),
    /// Open the output of this run.
    OpenLog(RunId),
    /// Say when the output of one of these runs grows, and of no others. Those that are new in the list come back as
    /// [`Wake::Attended`].
    Attend {
        /// These.
        runs: Vec<RunId>,
        /// Whether they grow by themselves, so that somebody has to listen.
        grow: bool,
    },
    /// Find the run of a job before or after another one.
    #[expect(missing_docs, reason = "as in the effect")]
    Turn { job: JobId, from: RunId, way: Way },
    /// Find all runs of a job.
    #[expect(missing_docs, reason = "as in the effect")]
    Runs { job: JobId },
    /// Write a job that was added by hand into this `jobs.yaml`.
    #[expect(missing_docs, reason = "as in the effect")]
    Save { file: PathBuf, job: JobId, queue: QueueId, definition: Box<Definition> },
    /// Let terminals of runs to come have this size.
    Window(WindowSize),
    /// The store has changed: look what is new.
    Look,
    /// A worker has died.
    Tend,
}

/// A connection to the store that follows it. What it learns goes to `wakes`, in order: news before the answer to
/// the command that made them.
pub struct Link {
    store: Box<dyn Store>,
    hire: Hire,
    tend: Option<Tend>,
    /// Notices when a worker dies.
    vigil: Option<Vigil>,
    wakes: Sender<Wake>,
    /// The last event that the screen has been told of.
    seq: u64,
    /// Rings when output in view has grown.
    grown: Bell,
    heard: Heard,
    attended: Vec<RunId>,
    listener: Option<Listener>,
    /// The latest run of the job whose runs were told of, if it isn't known what came of the program run after it.
    told: Option<(JobId, Run)>,
}

impl Link {
    /// A link that has told of everything up to event `seq`.
    pub fn new(store: Box<dyn Store>, seq: u64, hire: Hire, wakes: Sender<Wake>, grown: Bell) -> Self {
        Self {
            store,
            hire,
            tend: None,
            vigil: None,
            wakes,
            seq,
            grown,
            heard: Heard::default(),
            attended: Vec::new(),
            listener: None,
            told: None,
        }
    }

    /// The same link, which looks after the workers besides.
    #[must_use]
    pub fn tending(self, tend: Tend) -> Self {
        Self { tend: Some(tend), ..self }
    }

    /// Runs on a thread until every sender of requests is gone. The store's own bell becomes requests to look, the death
    /// of a worker of the site whose state is in `folder` a request to tend.
    pub fn spawn(mut self, folder: &Folder) -> Result<Sender<Request>, StoreError> {
        let (requests, inbox) = channel();
        let knell = requests.clone();
        let ring = Arc::new(move || drop(knell.send(Request::Tend)));
        // Where it can't be kept, the rounds have to do.
        self.vigil = Vigil::begin(folder, ring).ok();
        let bell = Bell::default();
        let listener = self.store.listen(bell.ring(requests.clone(), || Request::Look))?;
        let work = move || {
            let mut link = self;
            // What changed before anybody listened.
            link.look();
            // Who died before anybody watched.
            if link.store.workers().is_ok_and(|workers| !workers.is_empty()) {
                link.tend(false);
            }
            link.serve(&inbox, &bell);
            drop(listener);
        };
        let wakes = requests.clone();
        match thread::Builder::new().name("link".to_owned()).spawn(work) {
            Ok(_) => Ok(wakes),
            Err(error) => Err(StoreError::io("thread", error)),
        }
    }

    fn serve(&mut self, inbox: &Receiver<Request>, bell: &Bell) {
        let mut round = Some(Instant::now() + ROUND);
        loop {
            let first = match round {
                Some(due) => inbox.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => inbox.recv().map_err(RecvTimeoutError::from),
            };
            let first = match first {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    round = self.tend(false).then(|| Instant::now() + ROUND);
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // Whatever has happened, a worker may have come with it.
            round = round.or_else(|| Some(Instant::now() + ROUND));
            bell.heard();
            let mut requests: Vec<_> = std::iter::once(first).chain(inbox.try_iter()).collect();
            // Only the output and the runs that are wanted now are worth reading, and one look sees everything.
            let last_log = requests.iter().rposition(|request| matches!(request, Request::OpenLog(_)));
            let last_runs = requests.iter().rposition(|request| matches!(request, Request::Runs { .. }));
            let last_look = requests.iter().rposition(|request| matches!(request, Request::Look));
            for (nth, request) in requests.drain(..).enumerate() {
                let stale = match request {
                    Request::OpenLog(_) => Some(nth) != last_log,
                    Request::Runs { .. } => Some(nth) != last_runs,
                    Request::Look => Some(nth) != last_look,
                    Request::Submit(_)
                    | Request::Attend { .. }
                    | Request::Turn { .. }
                    | Request::Save { .. }
                    | Request::Window(_)
                    | Request::Tend => false,
                };
                if !stale {
                    self.obey(request, Utc::now());
                }
            }
        }
    }

    /// Does one thing that the screen wants.
    pub fn obey(&mut self, request: Request, now: DateTime<Utc>) {
        match request {
            Request::Submit(order) => self.submit(order, now),
            Request::OpenLog(run) => {
                let (reader, line) = self.open(run);
                self.tell(Wake::Log { run, reader: Box::new(reader), line });
            }
            Request::Attend { runs, grow } => self.attend(runs, grow),
            Request::Turn { job, from, way } => self.turn(job, from, way),
            Request::Runs { job } => self.runs(job),
            Request::Save { file, job, queue, definition } => self.save(&file, job, &queue, &definition, now),
            // Where it can't be kept, they begin with another one.
            Request::Window(size) => drop(self.store.lines().set_size(size)),
            Request::Look => {
                self.look();
                self.look_after();
            }
            Request::Tend => drop(self.tend(true)),
        }
    }

    fn submit(&mut self, order: Order, now: DateTime<Utc>) {
        let Order { commands, asked, hire } = order;
        let outcome = self.store.execute(&commands, now).map_err(|error| error.to_string());
        // Without any command it is only somebody to run the jobs who is wanted.
        let accepted = commands.is_empty() || outcome.iter().flatten().any(Result::is_ok);
        self.look();
        self.tell(Wake::Answer(Answered { asked, outcome }));
        if hire
            && accepted
            && let Err(why) = (self.hire)()
        {
            self.tell(Wake::Trouble(format!("no worker could be started: {why}")));
        }
    }

    /// Whoever is first to read the file, the screen or a worker, takes the entry for this very job.
    fn save(&mut self, file: &Path, job: JobId, queue: &QueueId, definition: &Definition, now: DateTime<Utc>) {
        let store = &mut self.store;
        let announce = |written: &[Arc<Definition>]| {
            let digest = written.first().and_then(|definition| definition.digest).unwrap_or_default();
            let answers =
                store.execute(&[Command::Announce { job, digest }], now).map_err(|error| error.to_string())?;
            answers.into_iter().find_map(Result::err).map_or(Ok(()), |refusal| Err(refusal.to_string()))
        };
        let saved = save::save_announced(file, queue, std::slice::from_ref(definition), announce);
        self.look();
        let name = saved.as_ref().ok().and_then(|saved| Some(format!("{queue}/{}", saved.first()?.name.as_deref()?)));
        let outcome = saved.map(|_| Vec::new()).map_err(|error| error.to_string().replace('\n', " "));
        self.tell(Wake::Answer(Answered { asked: Asked::Save(job, name.unwrap_or_default()), outcome }));
    }

    /// Looks after the workers; tells whether there are any.
    fn tend(&mut self, died: bool) -> bool {
        let Some(tend) = &mut self.tend else { return false };
        match tend(died) {
            Ok(tended) => {
                if tended.is_news() {
                    self.look();
                    self.tell(Wake::Tended(tended));
                }
                tended.workers
            }
            Err(why) => {
                self.tell(Wake::Trouble(why));
                true
            }
        }
    }

    fn look(&mut self) {
        let news = match self.store.events_after(self.seq) {
            Ok(Some(news)) => news,
            Ok(None) => return self.load(),
            Err(error) => return self.tell(Wake::Trouble(error.to_string())),
        };
        if let Some(last) = news.last() {
            self.seq = last.seq;
            if news.iter().any(|recorded| matches!(recorded.event, Event::WorkerJoined { .. })) {
                self.watch();
            }
            self.tell(Wake::News(news));
        }
    }

    fn load(&mut self) {
        match self.store.load() {
            Ok(ledger) => {
                self.seq = ledger.seq();
                self.watch();
                self.tell(Wake::Fresh(Box::new(ledger)));
            }
            Err(error) => self.tell(Wake::Trouble(error.to_string())),
        }
    }

    /// There may be workers that nobody watches yet.
    fn watch(&self) {
        if let Some(vigil) = &self.vigil {
            vigil.look_again();
        }
    }

    fn runs(&mut self, job: JobId) {
        let runs = match self.store.runs(job) {
            Ok(runs) => runs,
            Err(error) => return self.tell(Wake::Trouble(error.to_string())),
        };
        let hook_end = |run: &Run| self.store.log(run.id).hook_end(run);
        let latest = runs.last().filter(|run| run.ending.is_some() && hook_end(run).is_none());
        let told = latest.map(|run| (job, run.clone()));
        let hook_end = runs.iter().rev().find_map(hook_end);
        self.told = told;
        self.tell(Wake::Runs { job, runs, hook_end });
    }

    /// What was run after the latest run that was told of may have ended meanwhile.
    fn look_after(&mut self) {
        if let Some((job, _)) = self.told.take_if(|(_, run)| self.store.log(run.id).hook_end(run).is_some()) {
            self.runs(job);
        }
    }

    fn turn(&mut self, job: JobId, from: RunId, way: Way) {
        let runs = match self.store.runs(job) {
            Ok(runs) => runs,
            Err(error) => return self.tell(Wake::Trouble(error.to_string())),
        };
        let run = match way {
            Way::Earlier => runs.into_iter().take_while(|run| run.id < from).last(),
            Way::Later => runs.into_iter().find(|run| run.id > from),
        };
        self.tell(Wake::Turned { from, run, way });
    }

    fn open(&self, run: RunId) -> (LogReader, LineWriter) {
        (self.store.log(run), self.store.lines().writer(run))
    }

    fn attend(&mut self, runs: Vec<RunId>, grows: bool) {
        // Whoever is told reads what was written before: what comes afterwards rings.
        if let Err(error) = self.heard.set(runs.iter().copied()) {
            self.tell(Wake::Trouble(format!("what some jobs print is not heard of: {error}")));
        }
        match runs.first() {
            None => self.listener = None,
            Some(run) if grows && self.listener.is_none() => {
                let ring = self.grown.ring(self.wakes.clone(), || Wake::Grown);
                match self.store.log(*run).listen_to(&self.heard, ring) {
                    Ok(listener) => self.listener = Some(listener),
                    Err(error) => self.tell(Wake::Trouble(error.to_string())),
                }
            }
            Some(_) => {}
        }
        for run in runs.iter().filter(|run| !self.attended.contains(run)) {
            let (reader, line) = self.open(*run);
            self.tell(Wake::Attended { run: *run, reader: Box::new(reader), line });
        }
        self.attended = runs;
    }

    fn tell(&self, wake: Wake) {
        // The screen is being left when nobody listens any more.
        let _ = self.wakes.send(wake);
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("seq", &self.seq).finish_non_exhaustive()
    }
}
