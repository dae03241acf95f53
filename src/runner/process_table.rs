//! A snapshot of the processes of this machine and their parents. Empty where there is no `/proc`.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, Signal, getpid, test_kill_process};

use super::run_tag::{self, RunTag};

/// All processes that were alive at one moment. Reading it takes some milliseconds, so only stops do.
pub(super) struct ProcessTable {
    processes: Vec<ProcessInfo>,
}

/// One process of a [`ProcessTable`].
pub(super) struct ProcessInfo {
    identity: ProcessIdentity,
    parent: i32,
    group: i32,
    lock_limit: OnceCell<Option<u64>>,
    environment: OnceCell<Vec<u8>>,
}

/// A process id with its start time, which tells a process from a later one with the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProcessIdentity {
    pid: Pid,
    /// When it started, in clock ticks since boot.
    start_ticks: u64,
}

impl ProcessTable {
    pub(super) fn read() -> Self {
        let Ok(entries) = fs::read_dir("/proc") else { return Self { processes: Vec::new() } };
        let pids = entries.filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?));
        Self { processes: pids.filter_map(ProcessInfo::read).collect() }
    }

    /// The processes for which `is_root` holds and all their descendants, without this process and without those that
    /// have [detached](super::detach_from_run).
    pub(super) fn tree(&self, is_root: impl Fn(&ProcessInfo) -> bool) -> Vec<&ProcessInfo> {
        let mut children: HashMap<i32, Vec<&ProcessInfo>> = HashMap::new();
        for process in &self.processes {
            children.entry(process.parent).or_default().push(process);
        }
        let mut next: Vec<&ProcessInfo> = self.processes.iter().filter(|process| is_root(process)).collect();
        let mut tree = Vec::new();
        let mut visited = HashSet::new();
        while let Some(process) = next.pop() {
            if process.identity.pid != getpid() && visited.insert(process.identity) && !process.is_detached() {
                next.extend(children.get(&process.identity.pid.as_raw_pid()).into_iter().flatten());
                tree.push(process);
            }
        }
        tree
    }
}

impl ProcessInfo {
    /// None if the process is gone or a zombie.
    fn read(pid: Pid) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::parse_stat(pid, &String::from_utf8_lossy(&stat))
    }

    /// Parses `/proc/PID/stat`: `7 (name) S 1 42 …`. The name may contain any character, parentheses too.
    fn parse_stat(pid: Pid, stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let number = |nth: usize| fields.get(nth)?.parse::<i32>().ok();
        // A process whose main thread has ended shows as a zombie while its other threads still run.
        let is_dead = matches!(*fields.first()?, "Z" | "X") && number(17)? <= 1;
        let identity = ProcessIdentity { pid, start_ticks: fields.get(19)?.parse().ok()? };
        let (lock_limit, environment) = (OnceCell::new(), OnceCell::new());
        (!is_dead).then_some(Self { identity, parent: number(1)?, group: number(2)?, lock_limit, environment })
    }

    pub(super) fn identity(&self) -> ProcessIdentity {
        self.identity
    }

    pub(super) fn is_in_group(&self, group: Pid) -> bool {
        self.group == group.as_raw_pid()
    }

    /// Whether this process is its parent, because it spawned it or adopted it as a subreaper.
    pub(super) fn is_our_child(&self) -> bool {
        self.parent == getpid().as_raw_pid()
    }

    /// Whether it belongs to the run with this tag, directly or as a descendant.
    pub(super) fn has_tag(&self, tag: &RunTag) -> bool {
        match self.lock_limit() {
            Some(limit) if run_tag::is_run_tag(limit) || run_tag::is_detached(limit) => tag.matches_limit(limit),
            _ => tag.matches_environment(self.environment()),
        }
    }

    fn is_detached(&self) -> bool {
        self.lock_limit().is_some_and(run_tag::is_detached)
    }

    /// Its limit on file locks, if it has one.
    fn lock_limit(&self) -> Option<u64> {
        *self.lock_limit.get_or_init(|| {
            let limits = fs::read_to_string(format!("/proc/{}/limits", self.identity.pid)).ok()?;
            let line = limits.lines().find_map(|line| line.strip_prefix("Max file locks"))?;
            line.split_ascii_whitespace().next()?.parse().ok()
        })
    }

    fn environment(&self) -> &[u8] {
        // A process of another user can't be read, and can't be one of ours.
        self.environment.get_or_init(|| fs::read(format!("/proc/{}/environ", self.identity.pid)).unwrap_or_default())
    }
}

impl ProcessIdentity {
    pub(super) fn pid(self) -> Pid {
        self.pid
    }

    /// A descriptor that becomes readable when the process ends; none if it has ended.
    #[cfg(target_os = "linux")]
    pub(super) fn open_pidfd(self) -> Option<OwnedFd> {
        use rustix::process::{PidfdFlags, pidfd_open};

        let process = pidfd_open(self.pid, PidfdFlags::empty()).ok()?;
        // Checked after opening: if the id has been reused, the start time differs.
        (ProcessInfo::read(self.pid)?.identity == self).then_some(process)
    }

    /// Sends a signal to the process, if it still exists.
    #[cfg(target_os = "linux")]
    pub(super) fn signal(self, signal: Signal) {
        if let Some(process) = self.open_pidfd() {
            // Fails if it has just ended or belongs to another user.
            let _ = rustix::process::pidfd_send_signal(process, signal);
        }
    }

    /// Always none: without `/proc` the process table is empty.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn open_pidfd(self) -> Option<OwnedFd> {
        None
    }

    /// Does nothing: without `/proc` the process table is empty.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn signal(self, _signal: Signal) {}

    /// Whether this process may send it signals. It may not if a job runs it as another user (`sudo`).
    pub(super) fn can_be_signalled(self) -> bool {
        test_kill_process(self.pid) != Err(rustix::io::Errno::PERM)
    }
}
