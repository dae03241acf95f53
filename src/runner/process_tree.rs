//! The processes of one run: sends signals to all of them and finds those that are still alive.
//!
//! The process group gets a signal at once. Processes that have left the group are found by their parents, and where a
//! parent has ended, by the run's [`RunTag`] or its cgroup.

use std::collections::HashSet;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, Signal, kill_process_group};

use super::cgroup::{self, RunCgroup};
use super::process_table::{ProcessIdentity, ProcessInfo, ProcessTable};
use super::run_tag::{self, RunTag};

/// The processes of one run.
pub(super) struct ProcessTree {
    /// The leader of the process group. Its id is not reused before it has been waited for.
    leader: Pid,
    tag: Option<RunTag>,
    cgroup: Option<RunCgroup>,
    /// Whether this process adopts orphans.
    is_subreaper: bool,
    /// The processes found last time: they are still found after their parents have ended.
    known: HashSet<ProcessIdentity>,
}

/// How many survivors are waited for at once. When one ends, the tree is read again.
const MAX_WATCHED: usize = 32;

impl ProcessTree {
    pub(super) fn new(leader: Pid, tag: Option<RunTag>, cgroup: Option<RunCgroup>, is_subreaper: bool) -> Self {
        Self { leader, tag, cgroup, is_subreaper, known: HashSet::new() }
    }

    /// Its cgroup, if it has one.
    pub(super) fn cgroup(&self) -> Option<&RunCgroup> {
        self.cgroup.as_ref()
    }

    /// Sends a signal to every process of the run.
    pub(super) fn signal(&mut self, signal: Signal, table: &ProcessTable) {
        let (leader, processes) = (self.leader, self.find(table));
        signal_group(leader, signal);
        if let Some(cgroup) = self.cgroup.as_ref().filter(|_| signal == Signal::KILL) {
            cgroup.kill();
        }
        for stray in processes.iter().filter(|process| !process.is_in_group(leader)) {
            stray.identity().signal(signal);
        }
    }

    /// Descriptors of up to [`MAX_WATCHED`] live processes that can be stopped; each becomes readable when its process
    /// ends.
    pub(super) fn open_survivors(&mut self, table: &ProcessTable) -> Vec<OwnedFd> {
        let survivors = self.find(table).into_iter().map(ProcessInfo::identity);
        let stoppable = survivors.filter(|identity| identity.can_be_signalled());
        stoppable.filter_map(ProcessIdentity::open_pidfd).take(MAX_WATCHED).collect()
    }

    /// Sends a signal to the process group only.
    pub(super) fn signal_group(&self, signal: Signal) {
        signal_group(self.leader, signal);
    }

    fn find<'a>(&mut self, table: &'a ProcessTable) -> Vec<&'a ProcessInfo> {
        let Self { leader, tag, cgroup, is_subreaper, known } = self;
        let members = cgroup.iter().flat_map(RunCgroup::processes).filter_map(|pid| table.with_pid(pid));
        let known_before = known.iter().filter_map(|identity| table.find(*identity));
        let strays = tag.iter().flat_map(|tag| table.with_tag(tag, *is_subreaper));
        let tree = table.tree(table.in_group(*leader).chain(members).chain(known_before).chain(strays));
        *known = tree.iter().map(|process| process.identity()).collect();
        tree
    }
}

/// Detaches this process and its future children from the run that started it, if any, so that stopping the run does not
/// stop them.
pub fn detach_from_run() {
    cgroup::leave_run();
    run_tag::set_detached();
}

fn signal_group(leader: Pid, signal: Signal) {
    // Fails if the group is empty or has only processes of other users.
    let _ = kill_process_group(leader, signal);
}
