//! What looks after all runs, on whichever thread.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitOptions, wait};
use signal_hook::SigId;
use signal_hook::consts::SIGCHLD;

use super::attendance::Waker;
use super::census::Census;
use super::invocation::not_started;
use super::pipe::OutPipe;
use super::process::{Listener, Look, Process, Source, exit, start};
use super::programs::Programs;
use super::rest::Rest;
use super::{Launch, Output};
use crate::model::{Exit, Outcome, Report, RunId, Stop};

/// Looks after runs.
pub(super) struct Supervisor {
    processes: Vec<Process>,
    /// Outputs of runs that are over, as far as somebody may still write to them.
    left_open: VecDeque<OutPipe>,
    /// This process does nothing but run jobs, and whatever has lost its parent falls to it.
    sole: bool,
    programs: Programs,
    /// A byte comes from every waker and with every SIGCHLD.
    wake: UnixStream,
    signal: SigId,
    buffer: Vec<u8>,
    rest: Rest,
}

/// What is ready.
enum Ready {
    /// A child has ended, or somebody wants whoever looks after the runs.
    Wake,
    /// Something of the process at that index.
    Run(usize, Source),
    /// An output that was left open, at that index.
    LeftOpen(usize),
}

impl Ready {
    /// Whether it is something that a job has printed.
    fn is_output(&self) -> bool {
        matches!(self, Self::LeftOpen(_) | Self::Run(_, Source::Output(_) | Source::Terminal))
    }
}

/// How much is read at once; it is all the memory that output takes.
const BUFFER: usize = 256 * 1024;
/// The longest that `poll` takes as a timeout is not the same everywhere; this is short enough for all.
const LONGEST_SLEEP: Duration = Duration::from_secs(24 * 60 * 60);
/// How many outputs of runs that are over are kept open; the oldest gives way.
const LEFT_OPEN: usize = 256;

/// Runs one script to its end on this thread.
pub(super) fn run_one(launch: Launch, output: Box<dyn Output>) -> Report {
    let (sender, report) = channel();
    let done = Box::new(move |report| drop(sender.send(report)));
    let started = Supervisor::new(false).map(|(mut supervisor, _waker)| {
        supervisor.launch(RunId::default(), launch, Listener { output, done });
        while supervisor.has_runs() {
            supervisor.turn(None);
        }
    });
    let failure = match started {
        Ok(()) => not_started("its report is lost".to_owned()),
        Err(error) => not_started(format!("the run can't be supervised: {error}")),
    };
    report.try_recv().unwrap_or(Report { outcome: Outcome::Failed(failure), exit: None, value: None })
}

impl Supervisor {
    /// One that looks after nothing yet, and what wakes it.
    pub(super) fn new(sole: bool) -> io::Result<(Self, Waker)> {
        if sole {
            adopt()?;
        }
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let signal = signal_hook::low_level::pipe::register(SIGCHLD, waker.try_clone()?)?;
        let (processes, left_open) = (Vec::new(), VecDeque::new());
        let programs = Programs::default();
        let (buffer, rest) = (vec![0; BUFFER], Rest::default());
        let supervisor = Self { processes, left_open, sole, programs, wake, signal, buffer, rest };
        Ok((supervisor, Waker(Arc::new(waker))))
    }

    /// Starts a run and looks after it from now on; one that can't start is reported at once.
    pub(super) fn launch(&mut self, run: RunId, launch: Launch, listener: Listener) {
        match start(run, launch, listener, &mut self.programs, self.sole) {
            Ok(process) => self.processes.push(process),
            Err(refused) => refused.report(),
        }
    }

    /// Stops a run, if it isn't over.
    pub(super) fn stop(&mut self, run: RunId, stop: Stop) {
        if let Some(process) = self.processes.iter_mut().find(|process| process.run == run) {
            process.stop(stop, &Look::new(Census::take));
            self.reap();
        }
    }

    /// Whether there is anything to look after.
    pub(super) fn has_runs(&self) -> bool {
        !self.processes.is_empty()
    }

    /// Sleeps until something happens, at most for this long, and deals with it.
    pub(super) fn turn(&mut self, at_most: Option<Duration>) {
        let mut news = false;
        let (mut printed, mut small) = (0, false);
        let mut done_with = 0;
        let all = self.wait(at_most);
        let begun = Instant::now();
        for (ready, flags) in all {
            match ready {
                Ready::Wake => {
                    news = true;
                    self.hear();
                }
                Ready::Run(at, source) => {
                    news |= matches!(source, Source::Survivor);
                    let len = self.processes[at].on_ready(source, flags, &mut self.buffer);
                    printed += len;
                    // A terminal holds no more than a page.
                    small |= len > 0 && matches!(source, Source::Terminal);
                }
                Ready::LeftOpen(at) => {
                    let at = at - done_with;
                    if let Some(len) = self.left_open[at].read(flags, &mut self.buffer) {
                        printed += len;
                    } else {
                        self.left_open.remove(at);
                        done_with += 1;
                    }
                }
            }
        }
        if printed > 0 {
            self.rest.after(printed, small, begun, Instant::now());
        }
        if self.processes.iter().any(|process| process.deadline().is_some()) {
            let now = Instant::now();
            let look = Look::new(Census::take);
            for process in &mut self.processes {
                if process.deadline().is_some_and(|deadline| deadline <= now) {
                    process.on_deadline(&look);
                    news = true;
                }
            }
        }
        if news {
            self.reap();
        }
    }

    /// What is ready. As long as the rest lasts, output is not.
    fn wait(&self, at_most: Option<Duration>) -> Vec<(Ready, PollFlags)> {
        let rest = self.rest.left(Instant::now());
        let mut sources = vec![Ready::Wake];
        let mut fds = vec![PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN)];
        let mut add = |ready: Ready, fd, flags| {
            if rest.is_none() || !ready.is_output() {
                sources.push(ready);
                fds.push(PollFd::from_borrowed_fd(fd, flags));
            }
        };
        for (at, process) in self.processes.iter().enumerate() {
            for (fd, flags, source) in process.sources() {
                add(Ready::Run(at, source), fd, flags);
            }
        }
        for (at, pipe) in self.left_open.iter().enumerate() {
            add(Ready::LeftOpen(at), pipe.fd(), PollFlags::IN);
        }
        let deadline = self.processes.iter().filter_map(Process::deadline).min();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.into_iter().chain(at_most).chain(rest).min().map(timespec);
        match poll(&mut fds, timeout.as_ref()) {
            Ok(1..) => {
                let ready = sources.into_iter().zip(&fds).map(|(source, fd)| (source, fd.revents()));
                ready.filter(|(_, flags)| !flags.is_empty()).collect()
            }
            // Interrupted by a signal, or short of memory: the next turn sees what there is.
            Ok(0) | Err(_) => Vec::new(),
        }
    }

    /// Takes the bytes that woke us.
    fn hear(&mut self) {
        let mut bytes = [0; 256];
        while matches!(self.wake.read(&mut bytes), Ok(len) if len == bytes.len()) {}
    }

    /// Concludes the runs whose process has ended.
    fn reap(&mut self) {
        if self.sole && !self.processes.iter().any(Process::is_stopping) {
            return self.reap_all();
        }
        for process in &mut self.processes {
            process.notice();
        }
        // Only our own children are waited for, and the look comes after all of them were seen to have ended.
        let look = Look::new(Census::take);
        let mut at = 0;
        while at < self.processes.len() {
            match self.processes[at].ended(&look) {
                Some(exit) => self.conclude(at, exit),
                None => at += 1,
            }
        }
        if self.sole && !self.processes.iter().any(Process::is_stopping) {
            self.reap_all();
        }
    }

    /// Waits for every child that has ended: the process of a run, or what has fallen to us when its parent ended. One
    /// that has to stop must not be waited for yet, so this is for when none has to.
    fn reap_all(&mut self) {
        // An error says that there are no children at all.
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if let Some(at) = self.processes.iter().position(|process| process.pid() == pid) {
                self.conclude(at, exit(status.exit_status(), status.terminating_signal()));
            }
        }
    }

    fn conclude(&mut self, at: usize, exit: io::Result<Exit>) {
        let left_open = self.processes.swap_remove(at).conclude(exit, &mut self.buffer);
        // Most are found closed at the next turn.
        self.left_open.extend(left_open);
        let too_many = self.left_open.len().saturating_sub(LEFT_OPEN);
        self.left_open.drain(..too_many);
    }
}

/// From now on, whatever has lost its parent falls to this process, if it was started by it at whatever remove.
#[cfg(target_os = "linux")]
fn adopt() -> io::Result<()> {
    use rustix::process::{getpid, set_child_subreaper};

    Ok(set_child_subreaper(Some(getpid()))?)
}

/// See above; elsewhere it falls to the first process of the system.
#[cfg(not(target_os = "linux"))]
fn adopt() -> io::Result<()> {
    Ok(())
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        signal_hook::low_level::unregister(self.signal);
        for pipe in self.left_open.drain(..) {
            pipe.hand_over();
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    let duration = duration.min(LONGEST_SLEEP);
    Timespec::try_from(duration).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 })
}
