//! The processes of one run: sends signals to all of them and finds those that are still alive.
//!
//! The process group gets a signal at once. Processes that have left the group are found by their parents, and where a
//! parent has ended, by the run's [`RunTag`] or its cgroup.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process_group};

use super::cgroup::{self, RunCgroup};
use super::cgroup_entry::CgroupEntry;
use super::process_table::{ProcessIdentity, ProcessInfo, ProcessTable};
use super::run_tag::{self, RunTag};

/// The processes of one run.
pub(super) struct ProcessTree {
    /// The leader of the process group. Its id is not reused before it has been waited for.
    leader: Pid,
    tag: Option<RunTag>,
    cgroup: TreeCgroup,
    /// Whether this process adopts orphans.
    is_subreaper: bool,
    /// The processes found last time: they are still found after their parents have ended.
    known: HashSet<ProcessIdentity>,
}

/// Whether a tree is in a cgroup.
pub(super) enum TreeCgroup {
    /// It stays outside.
    None,
    /// It is moved into one at this time.
    EnterAt(Instant),
    /// One is being created.
    Requested(Receiver<Arc<RunCgroup>>),
    /// It is in one, or is being moved into it.
    In(Arc<RunCgroup>),
}

/// How many survivors are waited for at once. When one ends, the tree is read again.
const MAX_WATCHED: usize = 32;

impl ProcessTree {
    pub(super) fn new(leader: Pid, tag: Option<RunTag>, cgroup: TreeCgroup, is_subreaper: bool) -> Self {
        Self { leader, tag, cgroup, is_subreaper, known: HashSet::new() }
    }

    /// When it has to be [moved](Self::enter_cgroup) into a cgroup.
    pub(super) fn entry_due(&self) -> Option<Instant> {
        match self.cgroup {
            TreeCgroup::EnterAt(due) => Some(due),
            _ => None,
        }
    }

    /// Starts to move it into a cgroup. `leaders` are those of all runs.
    pub(super) fn enter_cgroup(&mut self, entry: &mut CgroupEntry, leaders: &Arc<HashSet<i32>>) {
        let leader = ProcessInfo::read(self.leader);
        self.cgroup = match leader.zip(self.tag.clone()) {
            Some((leader, tag)) => TreeCgroup::Requested(entry.request(leader.identity(), tag, Arc::clone(leaders))),
            None => TreeCgroup::None,
        };
    }

    /// Its cgroup, if there is one. Its processes may still be on their way there.
    pub(super) fn cgroup(&mut self) -> Option<&RunCgroup> {
        if let TreeCgroup::Requested(created) = &self.cgroup
            && let Ok(cgroup) = created.try_recv()
        {
            self.cgroup = TreeCgroup::In(cgroup);
        }
        match &self.cgroup {
            TreeCgroup::In(cgroup) => Some(cgroup),
            _ => None,
        }
    }

    /// Sends a signal to every process of the run.
    pub(super) fn signal(&mut self, signal: Signal, table: &ProcessTable) {
        let (leader, processes) = (self.leader, self.find(table));
        signal_group(leader, signal);
        if let Some(cgroup) = self.cgroup().filter(|_| signal == Signal::KILL) {
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
        let members = self.cgroup().map(RunCgroup::processes).unwrap_or_default();
        let Self { leader, tag, is_subreaper, known, .. } = self;
        let members = members.into_iter().filter_map(|pid| table.with_pid(pid));
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
    // In this order: a worker that moves it into the cgroup of the run meanwhile sees that it has detached, or is done.
    run_tag::set_detached();
    cgroup::leave_run();
}

fn signal_group(leader: Pid, signal: Signal) {
    // Fails if the group is empty or has only processes of other users.
    let _ = kill_process_group(leader, signal);
}
