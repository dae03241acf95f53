//! One run: its process and pipes, how it is stopped, and its report.

use std::cell::LazyCell;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use super::cgroup::{Cgroups, LimitedCgroup};
use super::cgroup_entry;
use super::error_tail::ErrorTail;
use super::failure_cause::{Evidence, signal_name, stop_cause};
use super::invocation::ScriptFile;
use super::launch::{Done, Launch, OutOfResources, Output};
use super::limits::{ChildLimits, unkept_limits};
use super::oom_evidence::find_oom_kill;
use super::pipe::{InPipe, OutPipe};
use super::process_table::ProcessTable;
use super::process_tree::{ProcessTree, TreeCgroup};
use super::program_cache::ProgramCache;
use super::pty::Pty;
use super::secret_masker::SecretMasker;
use super::spawn::{LaunchFailure, SpawnError, spawn};
use super::stall_timer::StallTimer;
use super::usage_meter::{Ended, UsageMeter};
use super::value::{self, LastLine};
use crate::crash;
use crate::model::{
    Call, Cause, CauseKind, Exit, Failure, FailureKind, Limits, Outcome, RunId, RunReport, Script, StopSignal, Stream,
    Usage,
};
use crate::text;

/// A run that has not ended.
pub(super) struct RunProcess {
    pub(super) run: RunId,
    launch: Launch,
    exit_policy: ExitPolicy,
    /// The root process.
    child: Child,
    /// Its id, which is that of the process group that it leads.
    pid: Pid,
    /// The root process and its descendants.
    tree: ProcessTree,
    started: Instant,
    /// The run is being stopped and its root process has ended, but has not been waited for.
    has_exited_after_stop: bool,
    stdout: Option<OutPipe>,
    stderr: Option<OutPipe>,
    stdin: Option<InPipe>,
    /// It runs in a terminal, where both streams are one.
    has_terminal: bool,
    /// Replaces the three pipes in a run with a terminal.
    pty: Option<Pty>,
    last_line: LastLine,
    /// Of a run with secrets.
    masker: Option<SecretMasker>,
    /// The last lines of standard error, or of the terminal.
    error_tail: ErrorTail,
    stopping: Option<Stopping>,
    /// When the timeout or the grace period ends.
    deadline: Option<Instant>,
    /// Of a run that may stall.
    stall: Option<StallTimer>,
    /// Once the root process of a run that is being stopped has ended: descendants that are still alive.
    survivors: Vec<OwnedFd>,
    /// What is not kept of the limits of its job.
    unkept_limits: Vec<String>,
    callbacks: RunCallbacks,
    _script_file: Option<ScriptFile>,
}

/// Receives the output and the report of a run.
pub(super) struct RunCallbacks {
    pub(super) output: Box<dyn Output>,
    pub(super) done: Done,
}

/// A run that could not start.
pub(super) struct FailedLaunch {
    callbacks: RunCallbacks,
    failure: LaunchFailure,
    masker: Option<SecretMasker>,
}

/// Why a run was not started.
pub(super) enum StartError {
    /// It has failed.
    Failed(Box<FailedLaunch>),
    /// It may start later. Its callbacks have not been called.
    OutOfResources(OutOfResources),
}

/// The limits with which a run is started.
pub(super) struct LaunchLimits {
    /// Those of its job.
    pub(super) wanted: Limits,
    /// The limit on open files that this process had at first.
    pub(super) original_open_files: Option<u64>,
}

/// The meaning of a descriptor of a run.
#[derive(Clone, Copy)]
pub(super) enum PollSource {
    /// Output to read.
    Output(Stream),
    /// Standard input to write.
    Stdin,
    /// The terminal: output to read, or typed input to write.
    Terminal,
    /// Typed input to read.
    Input,
    /// A survivor has ended.
    Survivor,
}

/// The settings of a script that decide when it is stopped and whether it has succeeded.
struct ExitPolicy {
    timeout: Option<Duration>,
    grace: Duration,
    ok_codes: Arc<[i32]>,
}

/// The state of a run that is being stopped.
#[derive(Clone, Copy)]
struct Stopping {
    reason: StopReason,
    /// KILL has been sent.
    killed: bool,
}

/// Why a run is being stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StopReason {
    /// Its stop was requested.
    Requested,
    /// Its timeout has passed.
    Timeout,
    /// It is stalled.
    Stalled,
}

/// A process table that is read only if a run is being stopped.
pub(super) type LazyProcessTable = LazyCell<ProcessTable>;

/// Starts the process of a run on the calling thread.
pub(super) fn start(
    run: RunId,
    mut launch: Launch,
    mut callbacks: RunCallbacks,
    program_cache: &mut ProgramCache,
    cgroups: Option<&Cgroups>,
    limits: &LaunchLimits,
    is_subreaper: bool,
) -> Result<RunProcess, StartError> {
    let started = Instant::now();
    let options = mem::take(&mut launch.pty);
    let size = options.size;
    let masker = match SecretMasker::for_launch(&launch) {
        Ok(masker) => masker,
        Err(failure) => {
            let cause = Cause::new(CauseKind::NotStarted, failure.message.clone());
            let (failure, masker) = (LaunchFailure { failure, cause }, SecretMasker::for_inputs(&launch));
            return Err(StartError::Failed(Box::new(FailedLaunch { callbacks, failure, masker })));
        }
    };
    let LaunchLimits { wanted, original_open_files } = limits;
    let limited = cgroups.zip(launch.tag.as_ref()).and_then(|(cgroups, tag)| cgroups.limited(tag, wanted));
    let by_cgroup = limited.as_ref().map(|limited| limited.kept).unwrap_or_default();
    let limits = ChildLimits::new(launch.environment.as_deref(), *original_open_files, &wanted.without(&by_cgroup));
    let (limits, cgroup) = match limited {
        Some(LimitedCgroup { cgroup, processes, .. }) => (limits.in_cgroup(processes), Some(cgroup)),
        None => (limits, None),
    };
    let spawned = match spawn(&launch, options, program_cache, limits, is_subreaper) {
        Ok(spawned) => spawned,
        Err(SpawnError::Failed(failure)) => {
            return Err(StartError::Failed(Box::new(FailedLaunch { callbacks, failure, masker })));
        }
        Err(SpawnError::OutOfResources(reason)) => return Err(StartError::OutOfResources(OutOfResources(reason))),
    };
    crash::point("started");
    if spawned.pty.is_some() {
        callbacks.output.resized(size);
    }
    let mut child = spawned.child;
    let pid = Pid::from_child(&child);
    // A process that could not enter its cgroup runs without the limits that this was to keep.
    let cgroup = cgroup.filter(|cgroup| by_cgroup.is_empty() || cgroup.has(pid.as_raw_nonzero().get()));
    let unkept_limits = match &cgroup {
        _ if wanted.is_empty() => Vec::new(),
        None if !by_cgroup.is_empty() => vec![format!("{by_cgroup}: its cgroup can't be used")],
        _ => unkept_limits(wanted, &by_cgroup),
    };
    let cgroup = match cgroup {
        Some(cgroup) => TreeCgroup::In(Arc::new(cgroup)),
        None if cgroups.is_some() => TreeCgroup::EnterAt(started + cgroup_entry::min_duration()),
        None => TreeCgroup::None,
    };
    let exit_policy = ExitPolicy::of(spawned.script);
    let text = spawned.script.exec.stdin.as_deref().unwrap_or_default();
    Ok(RunProcess {
        run,
        pid,
        tree: ProcessTree::new(pid, launch.tag.clone(), cgroup, is_subreaper),
        started,
        has_exited_after_stop: false,
        stdout: child.stdout.take().map(|pipe| OutPipe::new(pipe.into())),
        stderr: child.stderr.take().map(|pipe| OutPipe::new(pipe.into())),
        stdin: child.stdin.take().and_then(|pipe| InPipe::new(pipe.into(), text)),
        has_terminal: spawned.pty.is_some(),
        pty: spawned.pty,
        child,
        last_line: LastLine::default(),
        masker,
        error_tail: ErrorTail::default(),
        stopping: None,
        deadline: exit_policy.timeout.and_then(deadline_after),
        stall: spawned.script.exec.stall.map(StallTimer::new),
        survivors: Vec::new(),
        unkept_limits,
        callbacks,
        _script_file: spawned.file,
        exit_policy,
        launch,
    })
}

impl RunProcess {
    /// The descriptors and events to poll, with their meanings.
    pub(super) fn sources(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags, PollSource)> {
        let stdout = self.stdout.iter().map(|pipe| (pipe.fd(), PollFlags::IN, PollSource::Output(Stream::Out)));
        let stderr = self.stderr.iter().map(|pipe| (pipe.fd(), PollFlags::IN, PollSource::Output(Stream::Err)));
        let stdin = self.stdin.iter().map(|pipe| (pipe.fd(), PollFlags::OUT, PollSource::Stdin));
        let survivors = self.survivors.iter().map(|process| (process.as_fd(), PollFlags::IN, PollSource::Survivor));
        let terminal =
            self.pty.iter().filter_map(Pty::terminal_source).map(|(fd, flags)| (fd, flags, PollSource::Terminal));
        let input = self.pty.iter().filter_map(Pty::input_source).map(|fd| (fd, PollFlags::IN, PollSource::Input));
        stdout.chain(stderr).chain(stdin).chain(terminal).chain(input).chain(survivors)
    }

    /// When [`on_deadline`](Self::on_deadline) is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline.into_iter().chain(self.stall_deadline()).min()
    }

    /// When it will count as stalled. One that is being stopped can't stall.
    fn stall_deadline(&self) -> Option<Instant> {
        self.stall.as_ref().filter(|_| self.stopping.is_none())?.deadline()
    }

    /// Handles a ready descriptor with one bounded read or write, so that no run starves the others. Returns how many
    /// bytes of output were read.
    pub(super) fn on_ready(&mut self, source: PollSource, ready: PollFlags, buffer: &mut [u8]) -> usize {
        match source {
            PollSource::Output(stream) => {
                let Some(mut pipe) = self.pipe_mut(stream).take() else { return 0 };
                let Some(mut len) = pipe.read(ready, buffer) else { return 0 };
                self.handle_output(stream, &buffer[..len]);
                if len == buffer.len() {
                    pipe.drain(buffer, |bytes| {
                        len += bytes.len();
                        self.handle_output(stream, bytes);
                    });
                }
                *self.pipe_mut(stream) = Some(pipe);
                return len;
            }
            PollSource::Stdin => self.stdin = self.stdin.take().and_then(InPipe::write),
            PollSource::Terminal => {
                let len = self.pty.as_mut().map_or(0, |pty| pty.on_terminal_ready(buffer));
                self.handle_output(Stream::Out, &buffer[..len]);
                return len;
            }
            PollSource::Input => {
                if let Some(size) = self.pty.as_mut().and_then(Pty::on_input_ready) {
                    self.callbacks.output.resized(size);
                }
            }
            // All are looked up again, because survivors may have forked.
            PollSource::Survivor => self.survivors.clear(),
        }
        0
    }

    /// Stops the run on request at this time. That takes precedence over a timeout, and KILL over TERM.
    pub(super) fn stop(&mut self, stop: StopSignal, now: Instant, table: &LazyProcessTable) {
        if self.stopping.is_none() && self.has_exited() {
            return;
        }
        let stopping = self.stopping.map(|stopping| Stopping { reason: StopReason::Requested, ..stopping });
        match (stopping, stop) {
            (None, StopSignal::Terminate) => self.terminate(StopReason::Requested, now, table),
            (Some(stopping), StopSignal::Terminate) => self.stopping = Some(stopping),
            (_, StopSignal::Kill) => self.kill(StopReason::Requested, table),
        }
    }

    /// Stops the run when its timeout has passed, or kills it when its grace period has, or reports that it is stalled.
    pub(super) fn on_deadline(&mut self, now: Instant, table: &LazyProcessTable) {
        if self.stopping.is_none() && self.has_exited() {
            // It ended just in time.
            (self.deadline, self.stall) = (None, None);
        } else if self.deadline.is_some_and(|deadline| deadline <= now) {
            match self.stopping {
                None => self.terminate(StopReason::Timeout, now, table),
                Some(stopping) => self.kill(stopping.reason, table),
            }
        } else if self.stall_deadline().is_some_and(|deadline| deadline <= now)
            && let Some(stall) = &mut self.stall
        {
            self.callbacks.output.stalled(Some(stall.begin(now)));
            match stall.policy().stop {
                None => {}
                Some(StopSignal::Terminate) => self.terminate(StopReason::Stalled, now, table),
                Some(StopSignal::Kill) => self.kill(StopReason::Stalled, table),
            }
        }
    }

    /// The root process and its descendants.
    pub(super) fn tree_mut(&mut self) -> &mut ProcessTree {
        &mut self.tree
    }

    /// When the run is due to [enter](ProcessTree::enter_cgroup) a cgroup.
    pub(super) fn cgroup_entry_due(&self) -> Option<Instant> {
        self.tree.entry_due()
    }

    /// The id of the root process.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Suspends all processes of the run.
    pub(super) fn suspend(&mut self, table: &LazyProcessTable) {
        self.tree.signal(Signal::STOP, table);
    }

    /// Continues all processes of the run after so much time, which does not count as running.
    pub(super) fn resume(&mut self, table: &LazyProcessTable, suspended: Duration) {
        self.tree.signal(Signal::CONT, table);
        self.deadline = self.deadline.and_then(|deadline| deadline.checked_add(suspended));
        if let Some(stall) = &mut self.stall {
            stall.add_suspended(suspended);
        }
    }

    /// Whether it is being stopped.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    /// Notes whether the root process of a run that is being stopped has ended. The survivors are found with a process
    /// table that is read after that.
    pub(super) fn note_exit(&mut self) {
        self.has_exited_after_stop = self.has_exited_after_stop || (self.is_stopping() && self.has_exited());
    }

    /// How the process ended, if the run is over. A run that is being stopped gets its whole grace period even if the root
    /// process has ended: a shell exits at once on TERM while its children still clean up.
    pub(super) fn poll_exit(&mut self, table: &LazyProcessTable, meter: &mut UsageMeter) -> Option<io::Result<Ended>> {
        if let Some(stopping) = self.stopping {
            if !self.has_exited_after_stop {
                return None;
            }
            if self.survivors.is_empty() {
                if stopping.killed {
                    // Includes processes that were forked while the others were being killed.
                    self.tree.signal(Signal::KILL, table);
                }
                self.survivors = self.tree.open_survivors(table);
            }
            if !self.survivors.is_empty() {
                return None;
            }
            self.tree.signal_group(Signal::KILL);
        }
        self.has_exited().then(|| self.wait(meter))
    }

    /// Waits for the root process, which has ended.
    pub(super) fn wait(&mut self, meter: &mut UsageMeter) -> io::Result<Ended> {
        meter.wait(&mut self.child, self.started.elapsed())
    }

    /// Reads the remaining output and reports the outcome. Returns the output pipes, which background processes may still
    /// hold open.
    pub(super) fn finish(mut self, ended: io::Result<Ended>, buffer: &mut [u8]) -> impl Iterator<Item = OutPipe> {
        let mut pipes = [self.stdout.take(), self.stderr.take()];
        for (pipe, stream) in pipes.iter_mut().zip([Stream::Out, Stream::Err]) {
            if let Some(pipe) = pipe {
                pipe.drain(buffer, |bytes| self.handle_output(stream, bytes));
            }
        }
        if let Some(pty) = self.pty.take() {
            pty.drain(buffer, |bytes| self.handle_output(Stream::Out, bytes));
        }
        for stream in [Stream::Out, Stream::Err] {
            if let Some(held) = self.masker.as_mut().map(|masker| masker.finish(stream)) {
                self.record_output(stream, &held);
            }
        }
        let (exit, usage) = match ended {
            Ok(mut ended) => {
                if let Some(cgroup) = self.tree.cgroup() {
                    ended.add_usage_of(&cgroup.usage());
                }
                (Ok(ended.exit), ended.usage)
            }
            Err(error) => (Err(error), None),
        };
        let outcome = self.outcome(&exit);
        let exit = exit.ok();
        let cause = self.cause(&outcome, exit, usage.as_ref());
        let file_value = self.launch.value_file.as_deref().and_then(value::take_value_file);
        let value = match outcome {
            Outcome::Succeeded => file_value.or_else(|| self.last_line.into_value()),
            _ => None,
        };
        let (cause, usage) = (cause.map(Box::new), usage.map(Box::new));
        let unkept_limits = self.unkept_limits;
        let report = RunReport { outcome, exit, cause, usage, value, sources: None, unkept_limits };
        self.callbacks.report(report, self.masker.as_ref());
        pipes.into_iter().flatten()
    }

    fn pipe_mut(&mut self, stream: Stream) -> &mut Option<OutPipe> {
        match stream {
            Stream::Out => &mut self.stdout,
            Stream::Err => &mut self.stderr,
        }
    }

    fn handle_output(&mut self, stream: Stream, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        match &mut self.masker {
            None => self.record_output(stream, bytes),
            Some(masker) => {
                let shown = masker.mask(stream, bytes);
                self.record_output(stream, &shown);
            }
        }
        if self.stall.as_mut().is_some_and(StallTimer::note_output) {
            self.callbacks.output.stalled(None);
        }
    }

    fn record_output(&mut self, stream: Stream, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if stream == Stream::Out {
            self.last_line.push(bytes);
        }
        if stream == Stream::Err || self.has_terminal {
            self.error_tail.push(bytes);
        }
        self.callbacks.output.write(stream, bytes);
    }

    fn terminate(&mut self, reason: StopReason, now: Instant, table: &LazyProcessTable) {
        self.stopping = Some(Stopping { reason, killed: false });
        // None if it is beyond the range of the clock.
        self.deadline = now.checked_add(self.exit_policy.grace);
        self.tree.signal(Signal::TERM, table);
        if self.pty.is_some() {
            // An interactive shell ignores TERM and exits on HUP.
            self.tree.signal(Signal::HUP, table);
        }
        // A suspended process handles TERM only after CONT.
        self.tree.signal(Signal::CONT, table);
    }

    fn kill(&mut self, reason: StopReason, table: &LazyProcessTable) {
        self.stopping = Some(Stopping { reason, killed: true });
        self.deadline = None;
        self.survivors.clear();
        self.tree.signal(Signal::KILL, table);
    }

    /// Whether the root process has ended. Does not wait for it, so its id stays reserved.
    fn has_exited(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(WaitId::Pid(self.pid), options), Ok(None))
    }

    /// Why the run did not succeed, as far as there is evidence.
    fn cause(&mut self, outcome: &Outcome, exit: Option<Exit>, usage: Option<&Usage>) -> Option<Cause> {
        let (Outcome::Failed(failure), Call::Script(script)) = (outcome, &self.launch.definition.call) else {
            return (*outcome == Outcome::Cancelled).then(|| stop_cause(exit));
        };
        let (cgroup, elapsed) = (self.tree.cgroup(), self.started.elapsed());
        let evidence = Evidence {
            launch: &self.launch,
            script,
            failure,
            exit,
            usage,
            pid: self.pid.as_raw_nonzero().get(),
            lines: &self.error_tail.lines(),
            find_oom_kill: &|pid| find_oom_kill(pid, cgroup, elapsed),
        };
        evidence.find_cause()
    }

    fn outcome(&self, exit: &io::Result<Exit>) -> Outcome {
        let failed = |kind, message| Outcome::Failed(Failure { kind, message }.into());
        match (self.stopping, exit) {
            (Some(Stopping { reason: StopReason::Requested, .. }), _) => Outcome::Cancelled,
            (Some(Stopping { reason: StopReason::Stalled, .. }), _) => {
                let after = self.stall.as_ref().map(|stall| stall.policy().after).unwrap_or_default();
                failed(FailureKind::Stalled, format!("stalled: no output for {}", text::exact_duration(after)))
            }
            (Some(Stopping { reason: StopReason::Timeout, .. }), _) => {
                let timeout = text::exact_duration(self.exit_policy.timeout.unwrap_or_default());
                failed(FailureKind::Timeout, format!("timed out after {timeout}"))
            }
            (None, Ok(Exit::Code(code))) if self.exit_policy.ok_codes.contains(code) => Outcome::Succeeded,
            (None, Ok(Exit::Code(code))) => failed(FailureKind::Exit, exit_message(*code)),
            (None, Ok(Exit::Signal(number))) => {
                failed(FailureKind::Signal, format!("killed by {}", signal_name(*number)))
            }
            (None, Err(error)) => failed(FailureKind::Error, format!("exit code unknown: {error}")),
        }
    }
}

/// Describes an exit code that isn't a success.
fn exit_message(code: i32) -> String {
    // Shells add 128 to the signal that ended a command.
    const ENDED_BY_SIGPIPE: i32 = 128 + 13;
    match code {
        ENDED_BY_SIGPIPE => format!("exit code {code}: ended by SIGPIPE (a pipe closed early; see pipefail)"),
        _ => format!("exit code {code}"),
    }
}

impl FailedLaunch {
    /// Reports the failure to the callbacks.
    pub(super) fn report(self) {
        let LaunchFailure { failure, cause } = self.failure;
        let cause = Some(Box::new(cause));
        let report = RunReport { cause, ..RunReport::new(Outcome::Failed(failure.into())) };
        self.callbacks.report(report, self.masker.as_ref());
    }
}

impl RunCallbacks {
    /// Hands over the report of a run, without its secrets.
    fn report(self, mut report: RunReport, masker: Option<&SecretMasker>) {
        if let Some(masker) = masker {
            masker.mask_report(&mut report);
        }
        self.output.finish();
        (self.done)(report);
    }
}

impl ExitPolicy {
    fn of(script: &Script) -> Self {
        let options = &script.exec;
        Self { timeout: options.timeout, grace: options.grace, ok_codes: Arc::clone(&options.ok_codes) }
    }
}

/// None if the time is beyond the range of the clock.
fn deadline_after(after: Duration) -> Option<Instant> {
    Instant::now().checked_add(after)
}
