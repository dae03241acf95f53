//! A look at all processes of this machine, and at who has started whom. Empty where the system can't tell.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, Signal, getpid, test_kill_process};

use super::mark::{self, Mark};

/// All processes that were alive at one moment. Taking it costs some milliseconds, so it is for stops only.
pub(super) struct Census {
    living: Vec<Seen>,
}

/// One process, as it was seen.
pub(super) struct Seen {
    who: Identity,
    parent: i32,
    group: i32,
    limit: OnceCell<Option<u64>>,
    environment: OnceCell<Vec<u8>>,
}

/// A process, and no other that gets the same number later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pid: Pid,
    /// When it started, in ticks since the boot.
    born: u64,
}

impl Census {
    pub(super) fn take() -> Self {
        let Ok(entries) = fs::read_dir("/proc") else { return Self { living: Vec::new() } };
        let pids = entries.filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?));
        Self { living: pids.filter_map(Seen::look).collect() }
    }

    /// Whoever `is_root` and all that they have started, but not this very process and what has been released.
    pub(super) fn tree(&self, is_root: impl Fn(&Seen) -> bool) -> Vec<&Seen> {
        let mut children: HashMap<i32, Vec<&Seen>> = HashMap::new();
        for seen in &self.living {
            children.entry(seen.parent).or_default().push(seen);
        }
        let mut next: Vec<&Seen> = self.living.iter().filter(|seen| is_root(seen)).collect();
        let mut tree = Vec::new();
        let mut known = HashSet::new();
        while let Some(seen) = next.pop() {
            if seen.who.pid != getpid() && known.insert(seen.who) && !seen.is_released() {
                next.extend(children.get(&seen.who.pid.as_raw_pid()).into_iter().flatten());
                tree.push(seen);
            }
        }
        tree
    }
}

impl Seen {
    /// None where it is gone, or a zombie.
    fn look(pid: Pid) -> Option<Self> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        Self::read(pid, &String::from_utf8_lossy(&stat))
    }

    /// Reads a line of `/proc/PID/stat`: `7 (name) S 1 42 …`, where the name may hold anything, brackets too.
    fn read(pid: Pid, stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let number = |nth: usize| fields.get(nth)?.parse::<i32>().ok();
        // A process whose first thread has ended looks like a zombie, but the others go on.
        let dead = matches!(*fields.first()?, "Z" | "X") && number(17)? <= 1;
        let who = Identity { pid, born: fields.get(19)?.parse().ok()? };
        let (limit, environment) = (OnceCell::new(), OnceCell::new());
        (!dead).then_some(Self { who, parent: number(1)?, group: number(2)?, limit, environment })
    }

    pub(super) fn who(&self) -> Identity {
        self.who
    }

    pub(super) fn is_in(&self, group: Pid) -> bool {
        self.group == group.as_raw_pid()
    }

    /// Whether this process is its parent: it was started here, or has fallen to us when its own parent ended.
    pub(super) fn is_our_child(&self) -> bool {
        self.parent == getpid().as_raw_pid()
    }

    /// Whether it was started by the run with this mark, at whatever remove.
    pub(super) fn bears(&self, mark: &Mark) -> bool {
        match self.limit() {
            Some(number) if mark::is_of_a_run(number) || mark::is_released(number) => mark.is(number),
            _ => mark.is_in(self.environment()),
        }
    }

    fn is_released(&self) -> bool {
        self.limit().is_some_and(mark::is_released)
    }

    /// Its limit on file locks, if it has one.
    fn limit(&self) -> Option<u64> {
        *self.limit.get_or_init(|| {
            let limits = fs::read_to_string(format!("/proc/{}/limits", self.who.pid)).ok()?;
            let line = limits.lines().find_map(|line| line.strip_prefix("Max file locks"))?;
            line.split_ascii_whitespace().next()?.parse().ok()
        })
    }

    fn environment(&self) -> &[u8] {
        // What can't be read isn't ours.
        self.environment.get_or_init(|| fs::read(format!("/proc/{}/environ", self.who.pid)).unwrap_or_default())
    }
}

impl Identity {
    /// A descriptor that becomes readable when it ends; none if it has.
    #[cfg(target_os = "linux")]
    pub(super) fn hold(self) -> Option<OwnedFd> {
        use rustix::process::{PidfdFlags, pidfd_open};

        let process = pidfd_open(self.pid, PidfdFlags::empty()).ok()?;
        // Held before this look: either it is the one that was seen, or the look tells the difference.
        (Seen::look(self.pid)?.who == self).then_some(process)
    }

    /// Sends it a signal, if it is there.
    #[cfg(target_os = "linux")]
    pub(super) fn send(self, signal: Signal) {
        if let Some(process) = self.hold() {
            // That it has just ended, or is somebody else's, can't be helped.
            let _ = rustix::process::pidfd_send_signal(process, signal);
        }
    }

    /// See above; nobody is ever seen here.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn hold(self) -> Option<OwnedFd> {
        None
    }

    /// See above.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn send(self, _signal: Signal) {}

    /// Whether we may stop it: what a job runs as another user (`sudo`) is beyond us.
    pub(super) fn is_ours(self) -> bool {
        test_kill_process(self.pid) != Err(rustix::io::Errno::PERM)
    }
}
