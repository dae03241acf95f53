//! Kills the processes of runs whose worker died.

use std::collections::HashSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::cgroup::{self, RunCgroup};
use super::process_table::{ProcessInfo, ProcessTable};
use super::run_tag::RunTag;

/// What became of the processes of dead workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrphanReport {
    /// How many were sent KILL.
    pub killed: usize,
    /// How many of them have not ended: the kernel delays KILL for a process that waits for a device.
    pub remaining: usize,
}

/// Kills every process of the runs with these tags and waits until all have ended or `timeout` has passed. Finds none
/// where there is no `/proc`.
pub fn kill_orphans(tags: &[RunTag], timeout: Duration) -> OrphanReport {
    let deadline = Instant::now() + timeout;
    let mut killed = HashSet::new();
    let cgroups = cgroup::find(tags);
    cgroups.iter().for_each(RunCgroup::kill);
    loop {
        let table = ProcessTable::read();
        let members = cgroups.iter().flat_map(RunCgroup::processes).filter_map(|pid| table.with_pid(pid));
        let killed_before = killed.iter().filter_map(|identity| table.find(*identity));
        let tagged = tags.iter().flat_map(|tag| table.with_tag(tag, false));
        let processes = table.tree(members.chain(killed_before).chain(tagged)).into_iter().map(ProcessInfo::identity);
        let killable: Vec<_> = processes.filter(|identity| identity.can_be_signalled()).collect();
        for identity in &killable {
            // Repeating it for a process that is about to end does no harm.
            identity.signal(Signal::KILL);
            killed.insert(*identity);
        }
        let wait = deadline.saturating_duration_since(Instant::now());
        if killable.is_empty() || wait.is_zero() {
            return OrphanReport { killed: killed.len(), remaining: killable.len() };
        }
        // One look at the process table serves all that end meanwhile.
        for process in killable.iter().filter_map(|identity| identity.open_pidfd()) {
            wait_for_exit(&process, deadline.saturating_duration_since(Instant::now()));
        }
    }
}

/// Whether a process of this PID namespace can be seen, and thus all of them.
pub fn is_pid_namespace_visible(namespace: &str) -> bool {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_in_namespace = |entry: &fs::DirEntry| {
        fs::read_link(entry.path().join("ns/pid")).is_ok_and(|link| link.as_os_str() == namespace)
    };
    entries
        .filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
        .any(|entry| is_in_namespace(&entry))
}

/// Waits until the process ends or the time is up.
fn wait_for_exit(process: &OwnedFd, at_most: Duration) {
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    let timeout = Timespec::try_from(at_most).ok();
    // If a signal interrupts it, the caller looks again.
    let _ = poll(&mut fds, timeout.as_ref());
}
