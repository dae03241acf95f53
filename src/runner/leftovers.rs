//! What is left of runs whose worker died.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::census::Census;
use super::mark::Mark;

/// What became of the processes that dead runs had left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// How many were sent KILL.
    pub killed: usize,
    /// How many of them are still there: the kernel ends a process that waits for a device only when it answers.
    pub left: usize,
}

/// Kills all that the runs with these marks have started, wherever it has moved itself, and waits until it is gone, but
/// not longer than `patience`. Finds nothing where the system can't tell.
pub fn kill_leftovers(marks: &[Mark], patience: Duration) -> Leftovers {
    let end = Instant::now() + patience;
    let mut known = HashSet::new();
    loop {
        let census = Census::take();
        let tree = census.tree(|seen| known.contains(&seen.who()) || marks.iter().any(|mark| seen.bears(mark)));
        let ours: Vec<_> = tree.iter().map(|seen| seen.who()).filter(|who| who.is_ours()).collect();
        for who in &ours {
            // Again each time: what is dying doesn't mind.
            who.send(Signal::KILL);
            known.insert(*who);
        }
        let wait = end.saturating_duration_since(Instant::now());
        if ours.is_empty() || wait.is_zero() {
            return Leftovers { killed: known.len(), left: ours.len() };
        }
        if let Some(process) = ours.iter().find_map(|who| who.hold()) {
            wait_for(&process, wait);
        }
    }
}

/// Waits until the process ends or the time is up.
fn wait_for(process: &OwnedFd, at_most: Duration) {
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    let timeout = Timespec::try_from(at_most).ok();
    // Interrupted by a signal, it is looked for once more.
    let _ = poll(&mut fds, timeout.as_ref());
}
