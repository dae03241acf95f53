//! One run: a process with its pipes, how it is stopped, and what came of it.

use std::cell::LazyCell;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use super::census::Census;
use super::invocation::ScriptFile;
use super::pipe::{InPipe, OutPipe};
use super::programs::Programs;
use super::spawn::spawn;
use super::terminal::Tty;
use super::tree::Tree;
use super::value::{self, LastLine};
use super::{Done, Launch, Output};
use crate::crash;
use crate::model::{Exit, Failure, FailureKind, Outcome, Report, RunId, Script, Stop, Stream};

/// A run under way.
pub(super) struct Process {
    /// Which run it is.
    pub(super) run: RunId,
    launch: Launch,
    limits: Limits,
    /// The process, which leads a group of the same number.
    pid: Pid,
    /// That process and all that it has started.
    tree: Tree,
    /// It has to stop, and its process has ended. It is not waited for yet.
    gone: bool,
    stdout: Option<OutPipe>,
    stderr: Option<OutPipe>,
    stdin: Option<InPipe>,
    /// In place of the three, where it has one.
    tty: Option<Tty>,
    last_line: LastLine,
    stopping: Option<Stopping>,
    /// When the next step is due: the timeout, or the end of the grace.
    deadline: Option<Instant>,
    /// Once the process of a run that has to stop is gone: who is left of the tree.
    survivors: Vec<OwnedFd>,
    listener: Listener,
    _file: Option<ScriptFile>,
}

/// Who is told what a run prints, and how it ended.
pub(super) struct Listener {
    pub(super) output: Box<dyn Output>,
    pub(super) done: Done,
}

/// A run that could not start.
pub(super) struct Refused {
    listener: Listener,
    failure: Failure,
}

/// One of the things of a run that can be ready.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// Output can be read.
    Output(Stream),
    /// Standard input takes more.
    Stdin,
    /// Its terminal has output, or takes more of what was typed.
    Terminal,
    /// Somebody types.
    Input,
    /// A survivor has ended.
    Survivor,
}

/// What the script says of its end.
struct Limits {
    timeout: Option<Duration>,
    grace: Duration,
    ok_codes: Arc<[i32]>,
}

/// A run that has to stop.
#[derive(Clone, Copy)]
struct Stopping {
    /// Somebody asked for it; otherwise it ran past its timeout.
    asked: bool,
    /// KILL has been sent.
    killed: bool,
}

/// All processes, looked at when somebody asks: only a run that has to stop does.
pub(super) type Look = LazyCell<Census>;

/// Starts a process, on the calling thread. In a `sole` process nobody else starts any.
pub(super) fn start(
    run: RunId,
    mut launch: Launch,
    mut listener: Listener,
    programs: &mut Programs,
    sole: bool,
) -> Result<Process, Refused> {
    let terminal = mem::take(&mut launch.terminal);
    let size = terminal.size;
    let spawned = match spawn(&launch, terminal, programs, sole) {
        Ok(spawned) => spawned,
        Err(failure) => return Err(Refused { listener, failure }),
    };
    crash::point("started");
    if spawned.tty.is_some() {
        listener.output.resized(size);
    }
    let mut child = spawned.child;
    let pid = Pid::from_child(&child);
    let limits = Limits::of(spawned.script);
    let text = spawned.script.setup.stdin.as_deref().unwrap_or_default();
    Ok(Process {
        run,
        pid,
        tree: Tree::new(pid, launch.mark.clone(), sole),
        gone: false,
        stdout: child.stdout.take().map(|pipe| OutPipe::new(pipe.into())),
        stderr: child.stderr.take().map(|pipe| OutPipe::new(pipe.into())),
        stdin: child.stdin.take().and_then(|pipe| InPipe::feeding(pipe.into(), text)),
        tty: spawned.tty,
        last_line: LastLine::default(),
        stopping: None,
        deadline: limits.timeout.and_then(from_now),
        survivors: Vec::new(),
        listener,
        _file: spawned.file,
        limits,
        launch,
    })
}

impl Process {
    /// What to wait for, with what it would mean.
    pub(super) fn sources(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags, Source)> {
        let stdout = self.stdout.iter().map(|pipe| (pipe.fd(), PollFlags::IN, Source::Output(Stream::Out)));
        let stderr = self.stderr.iter().map(|pipe| (pipe.fd(), PollFlags::IN, Source::Output(Stream::Err)));
        let stdin = self.stdin.iter().map(|pipe| (pipe.fd(), PollFlags::OUT, Source::Stdin));
        let survivors = self.survivors.iter().map(|process| (process.as_fd(), PollFlags::IN, Source::Survivor));
        let terminal = self.tty.iter().filter_map(Tty::terminal).map(|(fd, flags)| (fd, flags, Source::Terminal));
        let input = self.tty.iter().filter_map(Tty::input).map(|fd| (fd, PollFlags::IN, Source::Input));
        stdout.chain(stderr).chain(stdin).chain(terminal).chain(input).chain(survivors)
    }

    /// When [`on_deadline`](Self::on_deadline) is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Writes once, or reads what is there by now: a run that never pauses doesn't keep the others waiting. Tells how
    /// much was read.
    pub(super) fn on_ready(&mut self, source: Source, ready: PollFlags, buffer: &mut [u8]) -> usize {
        match source {
            Source::Output(stream) => {
                let Some(mut pipe) = self.pipe(stream).take() else { return 0 };
                let Some(mut len) = pipe.read(ready, buffer) else { return 0 };
                self.take(stream, &buffer[..len]);
                if len == buffer.len() {
                    pipe.drain(buffer, |bytes| {
                        len += bytes.len();
                        self.take(stream, bytes);
                    });
                }
                *self.pipe(stream) = Some(pipe);
                return len;
            }
            Source::Stdin => self.stdin = self.stdin.take().and_then(InPipe::write),
            Source::Terminal => {
                let len = self.tty.as_mut().map_or(0, |tty| tty.on_ready(buffer));
                self.take(Stream::Out, &buffer[..len]);
                return len;
            }
            Source::Input => {
                if let Some(size) = self.tty.as_mut().and_then(Tty::on_input) {
                    self.listener.output.resized(size);
                }
            }
            // Once one has ended, the rest is looked up anew: they may have had children.
            Source::Survivor => self.survivors.clear(),
        }
        0
    }

    /// Somebody wants it to stop. That outranks a timeout, and may only become harder.
    pub(super) fn stop(&mut self, stop: Stop, look: &Look) {
        if self.stopping.is_none() && self.has_exited() {
            return;
        }
        let stopping = self.stopping.map(|stopping| Stopping { asked: true, ..stopping });
        match (stopping, stop) {
            (None, Stop::Terminate) => self.terminate(true, look),
            (Some(stopping), Stop::Terminate) => self.stopping = Some(stopping),
            (_, Stop::Kill) => self.kill(true, look),
        }
    }

    /// The timeout or the grace has passed.
    pub(super) fn on_deadline(&mut self, look: &Look) {
        match self.stopping {
            // It made it at the last moment.
            None if self.has_exited() => self.deadline = None,
            None => self.terminate(false, look),
            Some(stopping) => self.kill(stopping.asked, look),
        }
    }

    /// Which process it is.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether it was told to stop, or ran past its timeout.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// Takes note of it if the process of a run that has to stop is gone: who is left is told by a later look only.
    pub(super) fn notice(&mut self) {
        self.gone = self.gone || (self.is_stopping() && self.has_exited());
    }

    /// How the process ended, if the run is over. A tree that has to stop is given its grace even when its root is
    /// gone: a shell dies of TERM at once, what it has started may have to tidy up.
    pub(super) fn ended(&mut self, look: &Look) -> Option<io::Result<Exit>> {
        if let Some(stopping) = self.stopping {
            if !self.gone {
                return None;
            }
            if self.survivors.is_empty() {
                if stopping.killed {
                    // Those too that were started while the others were killed.
                    self.tree.signal(Signal::KILL, look);
                }
                self.survivors = self.tree.living(look);
            }
            if !self.survivors.is_empty() {
                return None;
            }
            self.tree.signal_group(Signal::KILL);
        }
        match waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(status) => status.map(|status| exit(status.exit_status(), status.terminating_signal())),
            Err(error) => Some(Err(error.into())),
        }
    }

    /// Reads the rest and reports. What is left of its outputs may be held by a process that it has left behind.
    pub(super) fn conclude(mut self, exit: io::Result<Exit>, buffer: &mut [u8]) -> impl Iterator<Item = OutPipe> {
        let mut pipes = [self.stdout.take(), self.stderr.take()];
        for (pipe, stream) in pipes.iter_mut().zip([Stream::Out, Stream::Err]) {
            if let Some(pipe) = pipe {
                pipe.drain(buffer, |bytes| self.take(stream, bytes));
            }
        }
        if let Some(tty) = self.tty.take() {
            tty.drain(buffer, |bytes| self.take(Stream::Out, bytes));
        }
        let outcome = self.outcome(&exit);
        let written = self.launch.value_file.as_deref().and_then(value::take_file);
        let value = match outcome {
            Outcome::Succeeded => written.or_else(|| self.last_line.into_value()),
            _ => None,
        };
        self.listener.tell(Report { outcome, exit: exit.ok(), value });
        pipes.into_iter().flatten()
    }

    fn pipe(&mut self, stream: Stream) -> &mut Option<OutPipe> {
        match stream {
            Stream::Out => &mut self.stdout,
            Stream::Err => &mut self.stderr,
        }
    }

    fn take(&mut self, stream: Stream, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if stream == Stream::Out {
            self.last_line.push(bytes);
        }
        self.listener.output.write(stream, bytes);
    }

    fn terminate(&mut self, asked: bool, look: &Look) {
        self.stopping = Some(Stopping { asked, killed: false });
        self.deadline = from_now(self.limits.grace);
        self.tree.signal(Signal::TERM, look);
        if self.tty.is_some() {
            // An interactive shell ends when its terminal goes, and ignores the other.
            self.tree.signal(Signal::HUP, look);
        }
        // A process that was stopped takes TERM only when it goes on.
        self.tree.signal(Signal::CONT, look);
    }

    fn kill(&mut self, asked: bool, look: &Look) {
        self.stopping = Some(Stopping { asked, killed: true });
        self.deadline = None;
        self.survivors.clear();
        self.tree.signal(Signal::KILL, look);
    }

    /// Whether the process is gone. It is not waited for yet, so the number of its group is still its own.
    fn has_exited(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.pid), options), Ok(None))
    }

    fn outcome(&self, exit: &io::Result<Exit>) -> Outcome {
        let failed = |kind, message| Outcome::Failed(Failure { kind, message });
        match (self.stopping, exit) {
            (Some(Stopping { asked: true, .. }), _) => Outcome::Cancelled,
            (Some(_), _) => {
                let timeout = humantime::format_duration(self.limits.timeout.unwrap_or_default());
                failed(FailureKind::Timeout, format!("ran longer than {timeout}"))
            }
            (None, Ok(Exit::Code(code))) if self.limits.ok_codes.contains(code) => Outcome::Succeeded,
            (None, Ok(Exit::Code(code))) => failed(FailureKind::Exit, format!("exit code {code}")),
            (None, Ok(Exit::Signal(number))) => {
                let name = signal_hook::low_level::signal_name(*number);
                let name = name.map_or_else(|| format!("signal {number}"), str::to_owned);
                failed(FailureKind::Signal, format!("killed by {name}"))
            }
            (None, Err(error)) => failed(FailureKind::Error, format!("its exit code is lost: {error}")),
        }
    }
}

impl Refused {
    /// Tells those concerned.
    pub(super) fn report(self) {
        self.listener.tell(Report { outcome: Outcome::Failed(self.failure), exit: None, value: None });
    }
}

impl Listener {
    fn tell(self, report: Report) {
        self.output.finish();
        (self.done)(report);
    }
}

impl Limits {
    fn of(script: &Script) -> Self {
        let setup = &script.setup;
        Self { timeout: setup.timeout, grace: setup.grace, ok_codes: Arc::clone(&setup.ok_codes) }
    }
}

/// None for a time beyond the clock, which never comes.
fn from_now(after: Duration) -> Option<Instant> {
    Instant::now().checked_add(after)
}

/// How a process ended, by its code or else by the signal that ended it.
pub(super) fn exit(code: Option<i32>, signal: Option<i32>) -> io::Result<Exit> {
    let exit = code.map(Exit::Code).or(signal.map(Exit::Signal));
    exit.ok_or_else(|| io::Error::other("neither a code nor a signal"))
}
