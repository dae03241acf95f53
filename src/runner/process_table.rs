//! A snapshot of the processes of this machine and their parents. Empty where there is no `/proc`.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, Signal, getpid, test_kill_process};

use super::run_tag::{self, RunTag};

/// All processes that were alive at one moment. Reading it takes some milliseconds, so only stops do, and one table serves
/// all runs that are stopped at a time.
pub(super) struct ProcessTable {
    processes: Vec<ProcessInfo>,
    index: OnceCell<Index>,
    children_by_tag: OnceCell<TagIndex>,
    all_by_tag: OnceCell<TagIndex>,
}

/// Where the processes of a table are, so that finding those of one run doesn't take longer the more others there are.
struct Index {
    pids: HashMap<i32, usize>,
    children: HashMap<i32, Vec<usize>>,
    groups: HashMap<i32, Vec<usize>>,
}

/// Where the processes are that may belong to a run by their tag.
#[derive(Default)]
struct TagIndex {
    /// Those with a tag as their limit.
    by_number: HashMap<u64, Vec<usize>>,
    /// Those without whose environment may have the variables of a tag, and has to be compared.
    others: Vec<usize>,
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
        let entries = fs::read_dir("/proc").into_iter().flatten();
        let pids = entries.filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?));
        let processes = pids.filter_map(ProcessInfo::read).collect();
        let (children_by_tag, all_by_tag) = (OnceCell::new(), OnceCell::new());
        Self { processes, index: OnceCell::new(), children_by_tag, all_by_tag }
    }

    /// The process with this id.
    pub(super) fn with_pid(&self, pid: i32) -> Option<&ProcessInfo> {
        self.index().pids.get(&pid).and_then(|at| self.processes.get(*at))
    }

    /// The process with this identity, if it was alive.
    pub(super) fn find(&self, identity: ProcessIdentity) -> Option<&ProcessInfo> {
        self.with_pid(identity.pid.as_raw_pid()).filter(|process| process.identity == identity)
    }

    /// The processes of a process group.
    pub(super) fn in_group(&self, group: Pid) -> impl Iterator<Item = &ProcessInfo> {
        self.at(self.index().groups.get(&group.as_raw_pid()))
    }

    /// The processes with this tag, or only those of them that are children of this process.
    pub(super) fn with_tag(&self, tag: &RunTag, only_children: bool) -> impl Iterator<Item = &ProcessInfo> {
        let index = if only_children { &self.children_by_tag } else { &self.all_by_tag };
        let index = index.get_or_init(|| self.index_tags(only_children));
        let tagged = self.at(index.by_number.get(&tag.number()));
        tagged.chain(self.at(Some(&index.others)).filter(|process| tag.matches_environment(process.environment())))
    }

    /// These processes and all their descendants, without this process and without those that have
    /// [detached](super::detach_from_run).
    pub(super) fn tree<'a>(&'a self, roots: impl IntoIterator<Item = &'a ProcessInfo>) -> Vec<&'a ProcessInfo> {
        let mut next: Vec<&ProcessInfo> = roots.into_iter().collect();
        let mut tree = Vec::new();
        let mut visited = HashSet::new();
        while let Some(process) = next.pop() {
            if process.identity.pid != getpid() && visited.insert(process.identity) && !process.is_detached() {
                next.extend(self.at(self.index().children.get(&process.identity.pid.as_raw_pid())));
                tree.push(process);
            }
        }
        tree
    }

    fn at<'a>(&'a self, places: Option<&'a Vec<usize>>) -> impl Iterator<Item = &'a ProcessInfo> {
        places.into_iter().flatten().filter_map(|at| self.processes.get(*at))
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| {
            let (mut pids, mut children, mut groups) = (HashMap::new(), HashMap::new(), HashMap::new());
            for (at, process) in self.processes.iter().enumerate() {
                pids.insert(process.identity.pid.as_raw_pid(), at);
                children.entry(process.parent).or_insert_with(Vec::new).push(at);
                groups.entry(process.group).or_insert_with(Vec::new).push(at);
            }
            Index { pids, children, groups }
        })
    }

    fn index_tags(&self, only_children: bool) -> TagIndex {
        let mut index = TagIndex::default();
        for (at, process) in self.processes.iter().enumerate() {
            if only_children && !process.is_our_child() {
                continue;
            }
            match process.lock_limit() {
                Some(limit) if run_tag::is_run_tag(limit) => index.by_number.entry(limit).or_default().push(at),
                Some(limit) if run_tag::is_detached(limit) => {}
                _ if run_tag::may_have_variables(process.environment()) => index.others.push(at),
                _ => {}
            }
        }
        index
    }
}

impl ProcessInfo {
    /// These processes and all their descendants, parents first, without those that have
    /// [detached](super::detach_from_run). Unlike a table, it takes no longer the more other processes there are.
    pub(super) fn read_trees(roots: impl IntoIterator<Item = i32>) -> Vec<Self> {
        let (mut next, mut tree, mut visited) =
            (roots.into_iter().collect::<VecDeque<_>>(), Vec::new(), HashSet::new());
        while let Some(pid) = next.pop_front() {
            let process = Pid::from_raw(pid).and_then(Self::read).filter(|process| !process.is_detached());
            if let Some(process) = process.filter(|process| visited.insert(process.identity)) {
                next.extend(children_of(pid));
                tree.push(process);
            }
        }
        tree
    }

    /// None if the process is gone or a zombie.
    pub(super) fn read(pid: Pid) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::parse_stat(pid, &String::from_utf8_lossy(&stat))
    }

    /// Parses `/proc/PID/stat`: `7 (name) S 1 42 …`. The name may contain any character, parentheses too.
    pub(super) fn parse_stat(pid: Pid, stat: &str) -> Option<Self> {
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
    fn is_our_child(&self) -> bool {
        self.parent == getpid().as_raw_pid()
    }

    /// The number of its tag. One that has only the variables of a tag is compared with these.
    pub(super) fn tag_number(&self, tags: &[RunTag]) -> Option<u64> {
        match self.lock_limit() {
            Some(limit) if run_tag::is_run_tag(limit) => Some(limit),
            Some(limit) if run_tag::is_detached(limit) => None,
            _ => tags.iter().find(|tag| tag.matches_environment(self.environment())).map(RunTag::number),
        }
    }

    pub(super) fn is_detached(&self) -> bool {
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
    pub(super) fn pid(self) -> i32 {
        self.pid.as_raw_pid()
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

/// The children of a process, of each of its threads. None where the kernel doesn't list them.
pub(super) fn children_of(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}
