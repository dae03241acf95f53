//! One copy of what many jobs of a file have in common: a site of 100,000 jobs is held in memory.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::model::{Retry, Setup, Terms};

/// What the jobs of matrices may take together, in bytes: what differs in them is not shared. As much as a file in which
/// they were written out.
const ROOM: usize = 64 << 20;

/// What all jobs may take for their copies of what they inherit, in bytes: thirty variables in each of 100,000 jobs that
/// have some of their own.
const INHERITED: usize = 256 << 20;

/// What the jobs of a file share.
pub(super) struct Shared {
    setups: HashSet<Same<Setup>, RandomState>,
    terms: HashSet<Same<Terms>, RandomState>,
    room: usize,
    /// None once it was not enough.
    inherited: Option<usize>,
}

impl Shared {
    /// With what jobs of all files share.
    pub(super) fn new() -> Self {
        Self {
            setups: HashSet::from_iter([Same(Setup::plain())]),
            terms: HashSet::from_iter([Same(Terms::none())]),
            room: ROOM,
            inherited: Some(INHERITED),
        }
    }

    /// Takes room for what is not shared; tells whether there was any left.
    pub(super) fn take_room(&mut self, bytes: usize) -> bool {
        let left = self.room.checked_sub(bytes);
        self.room = left.unwrap_or(self.room);
        left.is_some()
    }

    /// Takes room for what one job inherits; tells whether there was any left, and calls `full` when there is none for
    /// the first time.
    pub(super) fn inherit(&mut self, bytes: usize, full: impl FnOnce()) -> bool {
        let Some(room) = self.inherited else { return false };
        self.inherited = room.checked_sub(bytes);
        if self.inherited.is_none() {
            full();
        }
        self.inherited.is_some()
    }

    /// The only copy of this setup.
    pub(super) fn setup(&mut self, setup: Setup) -> Arc<Setup> {
        only(&mut self.setups, setup)
    }

    /// The only copy of these terms.
    pub(super) fn terms(&mut self, terms: Terms) -> Arc<Terms> {
        only(&mut self.terms, terms)
    }
}

fn only<T>(known: &mut HashSet<Same<T>, RandomState>, new: T) -> Arc<T>
where
    Same<T>: Hash + Eq,
{
    let new = Same(Arc::new(new));
    if let Some(Same(known)) = known.get(&new) {
        return Arc::clone(known);
    }
    let shared = Arc::clone(&new.0);
    known.insert(new);
    shared
}

/// Equal by what it holds.
struct Same<T>(Arc<T>);

impl<T: PartialEq> PartialEq for Same<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

// A backoff is a number of at least 1, so all terms equal themselves.
impl<T: PartialEq> Eq for Same<T> {}

impl Hash for Same<Setup> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Setup { env, env_files, cwd, stdin, timeout, grace, ok_codes, pty, log_limit, on_finish } = &*self.0;
        (env, env_files, cwd, stdin, timeout, grace, ok_codes, pty, log_limit, on_finish).hash(state);
    }
}

impl Hash for Same<Terms> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Terms { needs, after, priority, weight, retry, confirm } = &*self.0;
        // What jobs differ in is enough.
        let Retry { max, delay, .. } = retry;
        for need in needs {
            need.job.hash(state);
        }
        (after.is_some(), priority, weight, max, delay, confirm).hash(state);
    }
}
