//! Everything that a run has started: signals to all of it, and who is left of it.
//!
//! Its process group gets a signal at once. Whoever has left the group is found by asking who has started whom, and
//! where a link of that chain is missing, because a process in between has ended, by the run's [`Mark`].

use std::collections::HashSet;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, Signal, kill_process_group};

use super::census::{Census, Identity, Seen};
use super::mark::Mark;

/// The processes of one run.
pub(super) struct Tree {
    /// Leads the group. While it has not been waited for, the number is its own.
    leader: Pid,
    mark: Option<Mark>,
    /// Whether what has lost its parent falls to this process.
    adopts: bool,
    /// Who belonged to it at the last look, so that it stays found when its own parent has ended.
    known: HashSet<Identity>,
}

/// How many of those who are left are waited for at once: when one ends, the rest is looked up anew.
const WAITED_FOR: usize = 32;

impl Tree {
    pub(super) fn new(leader: Pid, mark: Option<Mark>, adopts: bool) -> Self {
        Self { leader, mark, adopts, known: HashSet::new() }
    }

    /// Sends a signal to every one of them.
    pub(super) fn signal(&mut self, signal: Signal, census: &Census) {
        let (leader, strays) = (self.leader, self.look(census));
        signal_group(leader, signal);
        for stray in strays.iter().filter(|seen| !seen.is_in(leader)) {
            stray.who().send(signal);
        }
    }

    /// Those that are left and can be stopped, or some of them; each descriptor becomes readable when its process ends.
    pub(super) fn living(&mut self, census: &Census) -> Vec<OwnedFd> {
        let left = self.look(census).into_iter().map(Seen::who).filter(|who| who.is_ours());
        left.filter_map(Identity::hold).take(WAITED_FOR).collect()
    }

    /// Sends a signal to the group only, where nobody else could be found.
    pub(super) fn signal_group(&self, signal: Signal) {
        signal_group(self.leader, signal);
    }

    fn look<'a>(&mut self, census: &'a Census) -> Vec<&'a Seen> {
        let Self { leader, mark, adopts, known } = self;
        let tree = census.tree(|seen| {
            let stray = || mark.as_ref().is_some_and(|mark| (!*adopts || seen.is_our_child()) && seen.bears(mark));
            seen.is_in(*leader) || known.contains(&seen.who()) || stray()
        });
        *known = tree.iter().map(|seen| seen.who()).collect();
        tree
    }
}

fn signal_group(leader: Pid, signal: Signal) {
    // That nobody is left to get it, or that somebody may not be sent it, can't be helped.
    let _ = kill_process_group(leader, signal);
}
