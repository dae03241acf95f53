//! The thread that looks after all runs.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::SigId;
use signal_hook::consts::SIGCHLD;

use super::invocation::not_started;
use super::process::{Listener, Process, Refused, Source, start};
use super::{Launch, Output};
use crate::model::{Outcome, Report, RunId, Stop};

/// The other threads' end: what they ask of the supervising thread.
pub(super) struct Orders {
    sender: Option<Sender<Order>>,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
}

/// Looks after runs.
pub(super) struct Supervisor {
    processes: Vec<Process>,
    /// A byte comes with every order and with every SIGCHLD.
    wake: UnixStream,
    signal: SigId,
    buffer: Vec<u8>,
}

enum Order {
    Launch(RunId, Box<Launch>, Listener),
    Stop(RunId, Stop),
}

/// How much is read at once; it is all the memory that output takes.
const BUFFER: usize = 256 * 1024;
/// The longest that `poll` takes as a timeout is not the same everywhere; this is short enough for all.
const LONGEST_SLEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs one script to its end on this thread.
pub(super) fn run_one(launch: Launch, output: Box<dyn Output>) -> Report {
    let (sender, report) = channel();
    let done = Box::new(move |report| drop(sender.send(report)));
    let started = Supervisor::new().map(|(mut supervisor, _wake)| {
        supervisor.admit(start(RunId::default(), launch, Listener { output, done }));
        supervisor.reap();
        while !supervisor.processes.is_empty() {
            if supervisor.turn() {
                supervisor.reap();
            }
        }
    });
    let failure = match started {
        Ok(()) => not_started("its report is lost".to_owned()),
        Err(error) => not_started(format!("the run can't be supervised: {error}")),
    };
    report.try_recv().unwrap_or(Report { outcome: Outcome::Failed(failure), exit: None, value: None })
}

impl Supervisor {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Orders> {
        let (mut supervisor, wake) = Self::new()?;
        let (sender, orders) = channel();
        let thread = thread::Builder::new().name("runner".to_owned()).spawn(move || supervisor.serve(&orders))?;
        Ok(Orders { sender: Some(sender), wake, thread: Some(thread) })
    }

    /// One without a thread, and the other end of what wakes it.
    fn new() -> io::Result<(Self, UnixStream)> {
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let signal = signal_hook::low_level::pipe::register(SIGCHLD, waker.try_clone()?)?;
        Ok((Self { processes: Vec::new(), wake, signal, buffer: vec![0; BUFFER] }, waker))
    }

    fn serve(&mut self, orders: &Receiver<Order>) {
        loop {
            if self.turn() {
                loop {
                    match orders.try_recv() {
                        Ok(order) => self.follow(order),
                        Err(TryRecvError::Empty) => break,
                        Err(TryRecvError::Disconnected) => return,
                    }
                }
                // A process may have ended before it was known here.
                self.reap();
            }
        }
    }

    fn follow(&mut self, order: Order) {
        match order {
            Order::Launch(run, launch, listener) => self.admit(start(run, *launch, listener)),
            Order::Stop(run, stop) => {
                if let Some(process) = self.processes.iter_mut().find(|process| process.run == run) {
                    process.stop(stop);
                }
            }
        }
    }

    fn admit(&mut self, started: Result<Process, Refused>) {
        match started {
            Ok(process) => self.processes.push(process),
            Err(refused) => refused.report(),
        }
    }

    /// Sleeps until something happens, and deals with it. Tells whether a run may have ended or an order come.
    fn turn(&mut self) -> bool {
        let mut news = false;
        for (source, flags) in self.wait() {
            match source {
                None => {
                    news = true;
                    self.hear();
                }
                Some((at, source)) => {
                    news |= matches!(source, Source::Survivor);
                    self.processes[at].on_ready(source, flags, &mut self.buffer);
                }
            }
        }
        if self.processes.iter().any(|process| process.deadline().is_some()) {
            let now = Instant::now();
            for process in &mut self.processes {
                if process.deadline().is_some_and(|deadline| deadline <= now) {
                    process.on_deadline();
                    news = true;
                }
            }
        }
        news
    }

    /// What is ready: the wake-up, or a source of the process at that index.
    fn wait(&self) -> Vec<(Option<(usize, Source)>, PollFlags)> {
        let mut sources = vec![None];
        let mut fds = vec![PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN)];
        for (at, process) in self.processes.iter().enumerate() {
            for (fd, flags, source) in process.sources() {
                sources.push(Some((at, source)));
                fds.push(PollFd::from_borrowed_fd(fd, flags));
            }
        }
        let deadline = self.processes.iter().filter_map(Process::deadline).min();
        let timeout = deadline.map(|deadline| timespec(deadline.saturating_duration_since(Instant::now())));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(1..) => {
                let ready = sources.into_iter().zip(&fds).map(|(source, fd)| (source, fd.revents()));
                ready.filter(|(_, flags)| !flags.is_empty()).collect()
            }
            // Interrupted by a signal, or short of memory: the next turn sees what there is.
            Ok(0) | Err(_) => Vec::new(),
        }
    }

    /// Takes the bytes that woke us: somebody has an order, or a child has ended.
    fn hear(&mut self) {
        let mut bytes = [0; 256];
        while matches!(self.wake.read(&mut bytes), Ok(len) if len == bytes.len()) {}
    }

    /// Concludes the runs whose process has ended. Only our own children are waited for.
    fn reap(&mut self) {
        let mut at = 0;
        while at < self.processes.len() {
            match self.processes[at].ended() {
                Some(exit) => self.processes.swap_remove(at).conclude(exit, &mut self.buffer),
                None => at += 1,
            }
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        signal_hook::low_level::unregister(self.signal);
    }
}

impl Orders {
    pub(super) fn launch(&self, run: RunId, launch: Launch, listener: Listener) {
        self.give(Order::Launch(run, Box::new(launch), listener));
    }

    pub(super) fn stop(&self, run: RunId, stop: Stop) {
        self.give(Order::Stop(run, stop));
    }

    fn give(&self, order: Order) {
        if let Some(sender) = &self.sender {
            // The thread ends only with this handle.
            let _ = sender.send(order);
        }
        self.wake();
    }

    fn wake(&self) {
        // When there is no room for the byte, enough others are on their way.
        let _ = (&self.wake).write(b"!");
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        self.sender = None;
        self.wake();
        if let Some(thread) = self.thread.take()
            // A `done` may hold the last handle.
            && thread.thread().id() != thread::current().id()
        {
            // A panic of a callback has been printed by then.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Orders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orders").finish_non_exhaustive()
    }
}

fn timespec(duration: Duration) -> Timespec {
    let duration = duration.min(LONGEST_SLEEP);
    Timespec::try_from(duration).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 })
}
