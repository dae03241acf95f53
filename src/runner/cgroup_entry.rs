//! Moves runs into cgroups of their own when they have lasted for a while.
//!
//! Entering a cgroup costs up to as much as starting a process where one run follows the other at once, and 10 to 45 ms
//! after a pause, in which the kernel waits for all processors. So a run without limits starts outside, and a thread moves
//! its processes later, without delaying any run. Runs that end before that never have a cgroup.
//!
//! Until then its processes are found by their parents, process group and [`RunTag`].

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use std::{io, iter, process, slice, thread};

use rustix::process::Pid;

use super::cgroup::{self, EarlierUsage, RunCgroup};
use super::live_usage::ProcessUsage;
use super::process_table::{ProcessIdentity, ProcessInfo, children_of};
use super::run_tag::RunTag;
use super::sigchld_mask::with_sigchld_blocked;
use super::usage_meter::read_io;
use crate::crash;

/// A run that lasts so long gets a cgroup.
const MIN_DURATION: Duration = Duration::from_secs(1);
/// How often the processes of a run are looked up: those that were forked while the others were moved are found next time.
/// A run that keeps forking faster than that stays partly outside.
const MAX_LOOKUPS: usize = 16;

/// Moves runs into cgroups. Its thread starts with the first of them, and ends when this is dropped.
#[derive(Default)]
pub(super) struct CgroupEntry {
    requests: Option<Sender<EntryRequest>>,
}

/// A run that has to be moved.
struct EntryRequest {
    leader: ProcessIdentity,
    tag: RunTag,
    /// The leaders of all runs. Other children of this process are orphans that it has adopted.
    leaders: Arc<HashSet<i32>>,
    /// Gets the cgroup as soon as the leader is in it.
    created: Sender<Arc<RunCgroup>>,
}

/// After what time a run without limits gets a cgroup.
pub(super) fn min_duration() -> Duration {
    crash::shortened("SETLIST_CGROUP_AFTER", MIN_DURATION)
}

impl CgroupEntry {
    /// Moves the run of this process into a cgroup, which the receiver gets, unless the run has ended or that fails.
    pub(super) fn request(
        &mut self,
        leader: ProcessIdentity,
        tag: RunTag,
        leaders: Arc<HashSet<i32>>,
    ) -> Receiver<Arc<RunCgroup>> {
        let (created, receiver) = channel();
        if self.requests.is_none() {
            self.requests = start_thread().ok();
        }
        if let Some(requests) = &self.requests {
            // The thread has not ended, unless it has panicked.
            let _ = requests.send(EntryRequest { leader, tag, leaders, created });
        }
        receiver
    }
}

fn start_thread() -> io::Result<Sender<EntryRequest>> {
    let (requests, receiver) = channel::<EntryRequest>();
    let thread = thread::Builder::new().name("cgroups".to_owned());
    with_sigchld_blocked(|| thread.spawn(move || receiver.iter().for_each(EntryRequest::perform)))?;
    Ok(requests)
}

impl EntryRequest {
    fn perform(self) {
        let mut processes = self.find_processes();
        if processes.is_empty() {
            return;
        }
        let Some(run_cgroup) = RunCgroup::create(&self.tag).map(Arc::new) else { return };
        let (mut tried, mut is_sent) = (HashSet::new(), false);
        for _ in 0..MAX_LOOKUPS {
            // The others were forked in the cgroup, or are in that of a run of their own or elsewhere.
            processes.retain(|process| {
                cgroup::is_beside_this_process(process.identity().pid()) && tried.insert(process.identity())
            });
            if processes.is_empty() {
                return;
            }
            // The leader comes first, and parents before their children: what these had used does not count twice.
            for process in &processes {
                let pid = process.identity().pid();
                let is_added = run_cgroup.add(pid, &usage_of(pid)).is_ok();
                if is_added && !is_unchanged(process) {
                    cgroup::move_back(pid);
                }
                if !is_sent && (!is_added || self.created.send(Arc::clone(&run_cgroup)).is_err()) {
                    // Cgroups can't be used here, or the run has ended.
                    return;
                }
                is_sent = true;
                crash::point("entering");
            }
            processes = self.find_processes();
        }
    }

    /// The processes of the run, except for those that have shed all marks and lost their parents; the leader first. None if
    /// the run has ended.
    fn find_processes(&self) -> Vec<ProcessInfo> {
        let own = i32::try_from(process::id()).unwrap_or_default();
        let adopted = children_of(own).into_iter().filter(|pid| !self.leaders.contains(pid) && self.has_tag(*pid));
        let tree = ProcessInfo::read_trees(iter::once(self.leader.pid()).chain(adopted));
        // Otherwise its id is free or that of another process.
        if tree.iter().any(|process| process.identity() == self.leader) { tree } else { Vec::new() }
    }

    fn has_tag(&self, pid: i32) -> bool {
        let process = Pid::from_raw(pid).and_then(ProcessInfo::read);
        process.is_some_and(|process| {
            process.tag_number(slice::from_ref(&self.tag)).is_some_and(|number| number == self.tag.number())
        })
    }
}

/// Whether a process that was moved is the one that was found, not another with its id, and has not
/// [detached](super::detach_from_run) before it was moved. If it does so later, it leaves the cgroup itself.
fn is_unchanged(found: &ProcessInfo) -> bool {
    let now = Pid::from_raw(found.identity().pid()).and_then(ProcessInfo::read);
    now.is_none_or(|now| now.identity() == found.identity() && !now.is_detached())
}

/// What a process has used so far, with its descendants that were waited for.
fn usage_of(pid: i32) -> EarlierUsage {
    let usage = ProcessUsage::read(pid);
    let (user, system) = usage.map(|usage| (usage.user, usage.system)).unwrap_or_default();
    EarlierUsage { user, system, io: u32::try_from(pid).ok().and_then(read_io).unwrap_or_default() }
}
