//! Supervises all runs: waits for output, exits, deadlines and wake-ups, and handles them.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, wait, waitid};
use signal_hook::SigId;
use signal_hook::consts::SIGCHLD;

use super::cgroup::Cgroups;
use super::cgroup_entry::CgroupEntry;
use super::descriptor_limit::DescriptorLimit;
use super::exit_check_throttle::ExitCheckThrottle;
use super::invocation::not_started;
use super::launch::{Launch, OutOfResources, Output};
use super::pipe::OutPipe;
use super::process_table::ProcessTable;
use super::program_cache::ProgramCache;
use super::read_throttle::ReadThrottle;
use super::run_process::{LaunchLimits, LazyProcessTable, PollSource, RunCallbacks, RunProcess, StartError, start};
use super::usage_meter::{Ended, UsageMeter, to_exit};
use super::waker::Waker;
use crate::model::{Call, Limits, Outcome, RunId, RunReport, StopSignal};

/// Supervises runs on the thread that calls [`poll_once`](Self::poll_once).
pub(super) struct Supervisor {
    processes: Vec<RunProcess>,
    /// Output pipes of ended runs that background processes may still write to.
    lingering_pipes: VecDeque<OutPipe>,
    /// This process only runs jobs and adopts their orphans.
    is_subreaper: bool,
    /// None where this process may not create cgroups.
    cgroups: Option<Cgroups>,
    cgroup_entry: CgroupEntry,
    program_cache: ProgramCache,
    usage_meter: UsageMeter,
    pub(super) descriptor_limit: Arc<DescriptorLimit>,
    /// Receives a byte from every [`Waker`] call and every SIGCHLD.
    wakeups: UnixStream,
    signal_id: SigId,
    buffer: Vec<u8>,
    read_throttle: ReadThrottle,
    exit_check_throttle: ExitCheckThrottle,
}

/// A descriptor that `poll` watches.
enum PollTarget {
    /// A child has ended, or another thread has woken this one.
    Wake,
    /// A descriptor of the run at this index.
    Run(usize, PollSource),
    /// The lingering pipe at this index.
    LingeringPipe(usize),
}

impl PollTarget {
    /// Whether it delivers output of a job.
    fn is_output(&self) -> bool {
        matches!(self, Self::LingeringPipe(_) | Self::Run(_, PollSource::Output(_) | PollSource::Terminal))
    }
}

/// The size of the buffer that all output passes through.
const READ_BUFFER_BYTES: usize = 256 * 1024;
/// The longest timeout passed to `poll`, whose own limit depends on the system.
const MAX_POLL_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// How many output pipes of ended runs are kept open at most. Beyond that the oldest is closed.
const MAX_LINGERING_PIPES: usize = 256;

/// Runs one script to its end on the calling thread.
pub(super) fn run_one(launch: Launch, output: Box<dyn Output>) -> RunReport {
    let (sender, report) = channel();
    let done = Box::new(move |report| drop(sender.send(report)));
    let started = Supervisor::new(false).map(|(mut supervisor, _waker)| {
        let launched = supervisor.launch(RunId::default(), launch, RunCallbacks { output, done });
        while supervisor.has_runs() {
            supervisor.poll_once(None);
        }
        launched
    });
    let failure = match started {
        Ok(Ok(())) => not_started("the run ended without a report".to_owned()),
        Ok(Err(error)) => not_started(error.to_string()),
        Err(error) => not_started(format!("the run can't be supervised: {error}")),
    };
    report.try_recv().unwrap_or_else(|_| RunReport::new(Outcome::Failed(failure.into())))
}

impl Supervisor {
    /// Creates a supervisor without runs, and the waker that ends its waits.
    pub(super) fn new(is_subreaper: bool) -> io::Result<(Self, Waker)> {
        let descriptor_limit = Arc::new(DescriptorLimit::read());
        if is_subreaper {
            become_subreaper()?;
        }
        let (wakeups, waker) = UnixStream::pair()?;
        wakeups.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let signal_id = signal_hook::low_level::pipe::register(SIGCHLD, waker.try_clone()?)?;
        let (processes, lingering_pipes) = (Vec::new(), VecDeque::new());
        let program_cache = ProgramCache::default();
        let (buffer, read_throttle) = (vec![0; READ_BUFFER_BYTES], ReadThrottle::default());
        let cgroups = if is_subreaper { Cgroups::of_this_process() } else { None };
        let supervisor = Self {
            processes,
            lingering_pipes,
            is_subreaper,
            cgroups,
            cgroup_entry: CgroupEntry::default(),
            program_cache,
            usage_meter: UsageMeter::default(),
            descriptor_limit,
            wakeups,
            signal_id,
            buffer,
            read_throttle,
            exit_check_throttle: ExitCheckThrottle::default(),
        };
        Ok((supervisor, Waker(Arc::new(waker))))
    }

    /// Starts a run and supervises it. A run that has failed to start is reported at once; one that may start later is
    /// not, and its callbacks are dropped.
    pub(super) fn launch(&mut self, run: RunId, launch: Launch, callbacks: RunCallbacks) -> Result<(), OutOfResources> {
        let wanted = match &launch.definition.call {
            Call::Script(script) => script.exec.limits,
            Call::Function(_) => Limits::default(),
        };
        let limits = LaunchLimits { wanted, original_open_files: self.descriptor_limit.original() };
        match start(run, launch, callbacks, &mut self.program_cache, self.cgroups.as_ref(), &limits, self.is_subreaper)
        {
            Ok(process) => self.processes.push(process),
            Err(StartError::Failed(failed)) => failed.report(),
            Err(StartError::OutOfResources(error)) => return Err(error),
        }
        Ok(())
    }

    /// Calls `suspend`, which suspends this process, while all runs are suspended too. That time does not count towards
    /// their timeouts.
    pub(super) fn suspend_with_runs(&mut self, suspend: impl FnOnce()) {
        let table = LazyProcessTable::new(ProcessTable::read);
        for process in &mut self.processes {
            process.suspend(&table);
        }
        let start = Instant::now();
        suspend();
        let (suspended, table) = (start.elapsed(), LazyProcessTable::new(ProcessTable::read));
        for process in &mut self.processes {
            process.resume(&table, suspended);
        }
    }

    /// Stops these runs, as far as they have not ended.
    pub(super) fn stop(&mut self, stops: &[(RunId, StopSignal)]) {
        let table = LazyProcessTable::new(ProcessTable::read);
        // All grace periods end together.
        let now = Instant::now();
        let places: HashMap<RunId, usize> = self.processes.iter().map(|process| process.run).zip(0..).collect();
        let mut stops_any = false;
        for (run, stop) in stops {
            if let Some(at) = places.get(run) {
                self.processes[*at].stop(*stop, now, &table);
                stops_any = true;
            }
        }
        if stops_any {
            self.reap_runs();
        }
    }

    /// Whether any run has not ended.
    pub(super) fn has_runs(&self) -> bool {
        !self.processes.is_empty()
    }

    /// Waits until something happens, for at most this long, and handles it.
    pub(super) fn poll_once(&mut self, at_most: Option<Duration>) {
        let mut needs_reap = false;
        let (mut bytes_read, mut small_buffer) = (0, false);
        let mut closed = 0;
        let ready = self.wait(at_most);
        let started_reading = Instant::now();
        for (target, flags) in ready {
            match target {
                PollTarget::Wake => {
                    needs_reap = true;
                    self.drain_wakeups();
                }
                PollTarget::Run(at, source) => {
                    needs_reap |= matches!(source, PollSource::Survivor);
                    let len = self.processes[at].on_ready(source, flags, &mut self.buffer);
                    bytes_read += len;
                    // The kernel buffers at most a page of terminal output.
                    small_buffer |= len > 0 && matches!(source, PollSource::Terminal);
                }
                PollTarget::LingeringPipe(at) => {
                    let at = at - closed;
                    if let Some(len) = self.lingering_pipes[at].read(flags, &mut self.buffer) {
                        bytes_read += len;
                    } else {
                        self.lingering_pipes.remove(at);
                        closed += 1;
                    }
                }
            }
        }
        if bytes_read > 0 {
            self.read_throttle.record_read(bytes_read, small_buffer, started_reading, Instant::now());
        }
        if self.processes.iter().any(|process| process.deadline().is_some()) {
            let now = Instant::now();
            let table = LazyProcessTable::new(ProcessTable::read);
            for process in &mut self.processes {
                if process.deadline().is_some_and(|deadline| deadline <= now) {
                    process.on_deadline(now, &table);
                    needs_reap = true;
                }
            }
        }
        if needs_reap || self.exit_check_throttle.is_due(Instant::now()) {
            self.reap_runs();
        }
        self.enter_cgroups();
    }

    /// Starts to move the runs into cgroups that have lasted long enough.
    fn enter_cgroups(&mut self) {
        let now = Instant::now();
        let is_due = |process: &RunProcess| process.cgroup_entry_due().is_some_and(|due| due <= now);
        if self.processes.iter().any(is_due) {
            let leaders = Arc::new(self.processes.iter().map(|process| process.pid().as_raw_pid()).collect());
            for process in self.processes.iter_mut().filter(|process| is_due(process)) {
                process.tree_mut().enter_cgroup(&mut self.cgroup_entry, &leaders);
            }
        }
    }

    /// Waits for descriptors and returns those that are ready. Output is left out during a pause of the throttle.
    fn wait(&self, at_most: Option<Duration>) -> Vec<(PollTarget, PollFlags)> {
        let now = Instant::now();
        let (pause, reap_pause) = (self.read_throttle.remaining(now), self.exit_check_throttle.remaining(now));
        let mut targets = vec![PollTarget::Wake];
        let mut fds = vec![PollFd::from_borrowed_fd(self.wakeups.as_fd(), PollFlags::IN)];
        let mut add = |target: PollTarget, fd, flags| {
            if pause.is_none() || !target.is_output() {
                targets.push(target);
                fds.push(PollFd::from_borrowed_fd(fd, flags));
            }
        };
        for (at, process) in self.processes.iter().enumerate() {
            for (fd, flags, source) in process.sources() {
                add(PollTarget::Run(at, source), fd, flags);
            }
        }
        for (at, pipe) in self.lingering_pipes.iter().enumerate() {
            add(PollTarget::LingeringPipe(at), pipe.fd(), PollFlags::IN);
        }
        let entries = self.processes.iter().filter_map(RunProcess::cgroup_entry_due);
        let deadline = self.processes.iter().filter_map(RunProcess::deadline).chain(entries).min();
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.into_iter().chain(at_most).chain(pause).chain(reap_pause).min().map(timespec);
        match poll(&mut fds, timeout.as_ref()) {
            Ok(1..) => {
                let ready = targets.into_iter().zip(&fds).map(|(target, fd)| (target, fd.revents()));
                ready.filter(|(_, flags)| !flags.is_empty()).collect()
            }
            // Timed out, or interrupted by a signal: the next call polls again.
            Ok(0) | Err(_) => Vec::new(),
        }
    }

    /// Reads the pending wake-up bytes.
    fn drain_wakeups(&mut self) {
        let mut bytes = [0; 256];
        while matches!(self.wakeups.read(&mut bytes), Ok(len) if len == bytes.len()) {}
    }

    /// Finishes the runs whose process has ended.
    fn reap_runs(&mut self) {
        if self.is_subreaper && !self.processes.iter().any(RunProcess::is_stopping) {
            self.exit_check_throttle = ExitCheckThrottle::default();
            return self.reap_all_children();
        }
        let started = Instant::now();
        if !self.exit_check_throttle.request(started) {
            return;
        }
        for process in &mut self.processes {
            process.note_exit();
        }
        // The table is read after these exits have been noted, so it shows what the ended processes left.
        let table = LazyProcessTable::new(ProcessTable::read);
        let mut ended = Vec::new();
        for (at, process) in self.processes.iter_mut().enumerate() {
            ended.extend(process.poll_exit(&table, &mut self.usage_meter).map(|end| (at, end)));
        }
        self.exit_check_throttle.record_look(started, Instant::now());
        // From the last on, so that the places of the others stay.
        for (at, end) in ended.into_iter().rev() {
            self.finish(at, end);
        }
        if self.is_subreaper && !self.processes.iter().any(RunProcess::is_stopping) {
            self.reap_all_children();
        }
    }

    /// Waits for every child that has ended, both processes of runs and adopted orphans. Must not be called while a run
    /// is being stopped: its process must stay a zombie until its whole tree is gone.
    fn reap_all_children(&mut self) {
        loop {
            let (pid, ended) = match next_ended_child() {
                EndedChild::Pid(pid) => (pid, None),
                EndedChild::Unknown => match wait(WaitOptions::NOHANG) {
                    Ok(Some((pid, status))) => {
                        let exit = to_exit(status.exit_status(), status.terminating_signal());
                        (pid, Some(exit.map(|exit| Ended { exit, usage: None })))
                    }
                    // An error means that there are no children.
                    Ok(None) | Err(_) => return,
                },
                EndedChild::None => return,
            };
            let at = self.processes.iter().position(|process| process.pid() == pid);
            match (at, ended) {
                (Some(at), Some(ended)) => self.finish(at, ended),
                (Some(at), None) => {
                    let ended = self.processes[at].wait(&mut self.usage_meter);
                    self.finish(at, ended);
                }
                (None, None) => {
                    // Another thread can't have waited for it.
                    let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
                }
                (None, Some(_)) => {}
            }
        }
    }

    fn finish(&mut self, at: usize, ended: io::Result<Ended>) {
        let process = self.processes.swap_remove(at);
        let lingering_pipes = process.finish(ended, &mut self.buffer);
        // Most of them turn out to be closed at the next poll.
        self.lingering_pipes.extend(lingering_pipes);
        let limit = MAX_LINGERING_PIPES.min(DescriptorLimit::max_lingering_pipes());
        let too_many = self.lingering_pipes.len().saturating_sub(limit);
        self.lingering_pipes.drain(..too_many);
    }
}

/// A child that has ended and has not been waited for.
enum EndedChild {
    Pid(Pid),
    /// There may be one, whose id is unknown.
    Unknown,
    None,
}

/// The next child that has ended. It stays a zombie.
#[cfg(target_os = "linux")]
fn next_ended_child() -> EndedChild {
    use nix::errno::Errno;
    use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

    match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT) {
        Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) => {
            Pid::from_raw(pid.as_raw()).map_or(EndedChild::Unknown, EndedChild::Pid)
        }
        // Ended by a real-time signal, for which nix has no name.
        Err(Errno::EINVAL) => EndedChild::Unknown,
        // An error means that there are no children.
        Ok(_) | Err(_) => EndedChild::None,
    }
}

/// Does not know: only Linux says which child has ended without waiting for it.
#[cfg(not(target_os = "linux"))]
fn next_ended_child() -> EndedChild {
    EndedChild::Unknown
}

/// Makes this process the new parent of descendants whose parent ends.
#[cfg(target_os = "linux")]
fn become_subreaper() -> io::Result<()> {
    use rustix::process::{getpid, set_child_subreaper};

    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Does nothing: only Linux has subreapers. Elsewhere orphans become children of process 1.
#[cfg(not(target_os = "linux"))]
fn become_subreaper() -> io::Result<()> {
    Ok(())
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        signal_hook::low_level::unregister(self.signal_id);
        for pipe in self.lingering_pipes.drain(..) {
            pipe.discard_in_background();
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    let duration = duration.min(MAX_POLL_TIMEOUT);
    Timespec::try_from(duration).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 })
}
