//! The screen's end of the store. It has a thread of its own, so that a key never waits for a disk.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::model::{RunId, WindowSize};
use crate::store::{Listener, Store, StoreError};

use super::action::Action;
use super::told;
use super::wake::{Answered, Bell, Order, Wake};

/// Makes sure that a worker lives; the error says why none could be started.
pub type Hire = Box<dyn FnMut() -> Result<(), String> + Send>;

/// Looks after the workers: ends the runs of those that have died. The error says why it can't.
pub type Tend = Box<dyn FnMut() -> Result<Tended, String> + Send>;

/// What was found when somebody looked after the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tended {
    /// How many jobs were interrupted since their worker has died.
    pub interrupted: usize,
    /// Whether there is any worker to look after.
    pub workers: bool,
}

/// How often somebody looks after the workers: nobody rings when one dies.
const ROUND: Duration = Duration::from_secs(5);

/// What the link is asked to do.
#[derive(Debug)]
pub enum Request {
    /// Send commands to the store.
    Submit(Order),
    /// Open the output of a run.
    OpenLog {
        /// Of this run.
        run: RunId,
        /// Say when it grows.
        live: bool,
    },
    /// Let terminals of runs to come have this size.
    Window(WindowSize),
    /// The store has changed: look what is new.
    Look,
}

/// A connection to the store that follows it. What it learns goes to `wakes`, in order: news before the answer to
/// the command that made them.
pub struct Link {
    store: Box<dyn Store>,
    hire: Hire,
    tend: Option<Tend>,
    wakes: Sender<Wake>,
    /// The last event that the screen has been told of.
    seq: u64,
    /// Rings when the output in view has grown.
    grown: Bell,
    log: Option<Listener>,
}

impl Link {
    /// A link that has told of everything up to event `seq`.
    pub fn new(store: Box<dyn Store>, seq: u64, hire: Hire, wakes: Sender<Wake>, grown: Bell) -> Self {
        Self { store, hire, tend: None, wakes, seq, grown, log: None }
    }

    /// The same link, which looks after the workers besides.
    #[must_use]
    pub fn tending(self, tend: Tend) -> Self {
        Self { tend: Some(tend), ..self }
    }

    /// Runs on a thread until every sender of requests is gone. The store's own bell becomes requests to look.
    pub fn spawn(self) -> Result<Sender<Request>, StoreError> {
        let (requests, inbox) = channel();
        let bell = Bell::default();
        let listener = self.store.listen(bell.ring(requests.clone(), || Request::Look))?;
        let work = move || {
            let mut link = self;
            // What changed before anybody listened.
            link.look();
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
                    round = self.tend().then(|| Instant::now() + ROUND);
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // Whatever has happened, a worker may have come with it.
            round = round.or_else(|| Some(Instant::now() + ROUND));
            bell.heard();
            let mut requests: Vec<_> = std::iter::once(first).chain(inbox.try_iter()).collect();
            // Only the output that is wanted now is worth opening, and one look sees everything.
            let last_log = requests.iter().rposition(|request| matches!(request, Request::OpenLog { .. }));
            let last_look = requests.iter().rposition(|request| matches!(request, Request::Look));
            for (nth, request) in requests.drain(..).enumerate() {
                let stale = match request {
                    Request::OpenLog { .. } => Some(nth) != last_log,
                    Request::Look => Some(nth) != last_look,
                    Request::Submit(_) | Request::Window(_) => false,
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
            Request::OpenLog { run, live } => self.open_log(run, live),
            // Where it can't be kept, they begin with another one.
            Request::Window(size) => drop(self.store.lines().set_size(size)),
            Request::Look => self.look(),
        }
    }

    fn submit(&mut self, order: Order, now: DateTime<Utc>) {
        let Order { commands, asked, hire } = order;
        let outcome = self.store.execute(&commands, now).map_err(|error| error.to_string());
        let accepted = outcome.iter().flatten().any(Result::is_ok);
        self.look();
        self.tell(Wake::Answer(Answered { asked, outcome }));
        if hire
            && accepted
            && let Err(why) = (self.hire)()
        {
            self.tell(Wake::Trouble(format!("no worker could be started: {why}")));
        }
    }

    /// Looks after the workers; tells whether there are any.
    fn tend(&mut self) -> bool {
        let Some(tend) = &mut self.tend else { return false };
        match tend() {
            Ok(Tended { interrupted, workers }) => {
                if interrupted > 0 {
                    self.look();
                    let key = Action::RunFailed.key();
                    let jobs = told::jobs(interrupted, "job");
                    self.tell(Wake::Trouble(format!(
                        "a worker has died: {jobs} interrupted; {key} runs what failed again"
                    )));
                }
                workers
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
            self.tell(Wake::News(news));
        }
    }

    fn load(&mut self) {
        match self.store.load() {
            Ok(ledger) => {
                self.seq = ledger.seq();
                self.tell(Wake::Fresh(Box::new(ledger)));
            }
            Err(error) => self.tell(Wake::Trouble(error.to_string())),
        }
    }

    fn open_log(&mut self, run: RunId, live: bool) {
        let reader = self.store.log(run);
        self.log = None;
        if live {
            match reader.listen(self.grown.ring(self.wakes.clone(), || Wake::Grown)) {
                Ok(listener) => self.log = Some(listener),
                Err(error) => self.tell(Wake::Trouble(error.to_string())),
            }
        }
        self.tell(Wake::Log { run, reader: Box::new(reader), line: self.store.lines().writer(run) });
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
