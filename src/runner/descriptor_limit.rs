//! The limit on open files, and how many runs fit into it.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many descriptors a run needs at most: pipes or a terminal, and the files of its log.
const PER_RUN: u64 = 6;
/// How many descriptors are left for everything else, besides those that were open at the start.
const RESERVED: u64 = 64;
/// An eighth of the descriptors is left for pipes that background processes of ended runs hold open.
const LINGERING_SHARE: u64 = 8;

/// The limit on open files of this process. It is raised when more runs are started than fit into it.
#[derive(Debug)]
pub(super) struct DescriptorLimit {
    /// The soft limit at the start, which jobs get.
    original: Option<u64>,
    /// How many descriptors were open at the start.
    inherited: u64,
}

impl DescriptorLimit {
    /// Reads the limit of this process.
    pub(super) fn read() -> Self {
        let inherited = fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
        Self { original: getrlimit(Resource::Nofile).current, inherited }
    }

    /// How many runs may be open at once. Raises the soft limit to the hard one if `wanted` are more than fit.
    pub(super) fn max_runs(&self, wanted: usize) -> usize {
        let limit = getrlimit(Resource::Nofile);
        let fit = self.capacity(limit.current);
        if wanted <= fit || limit.current == limit.maximum {
            return fit;
        }
        if setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).is_err() {
            return fit;
        }
        self.capacity(limit.maximum)
    }

    /// How many pipes of ended runs may stay open.
    pub(super) fn max_lingering_pipes() -> usize {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        usize::try_from(limit / LINGERING_SHARE).unwrap_or(usize::MAX)
    }

    fn capacity(&self, limit: Option<u64>) -> usize {
        let Some(limit) = limit else { return usize::MAX };
        let free = limit.saturating_sub(self.inherited + RESERVED + limit / LINGERING_SHARE);
        usize::try_from((free / PER_RUN).max(1)).unwrap_or(usize::MAX)
    }

    /// The soft limit of this process at its start, which runs get.
    pub(super) fn original(&self) -> Option<u64> {
        self.original
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_leave_room_for_everything_else() {
        let limit = DescriptorLimit { original: None, inherited: 10 };
        assert_eq!(limit.capacity(Some(1024)), (1024 - 10 - 64 - 128) / 6);
        assert_eq!(limit.capacity(Some(16)), 1, "one run is always tried");
        assert_eq!(limit.capacity(None), usize::MAX);
    }
}
