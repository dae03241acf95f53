//! Tags that identify the processes of a run, however many forks and sessions they are away from it.
//!
//! Every process of a run inherits the run's environment variables, which a program may clear, and on Linux its limit on
//! file locks. The kernel stores that limit but has not enforced it since version 2.4, so a number written there has no
//! effect other than being inherited through `setsid`, `exec` and `env -i`.

use std::ffi::OsStr;

use crate::stable_hash::stable_hash;

/// Identifies the processes of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunTag {
    number: u64,
    variables: Vec<Vec<u8>>,
}

/// Tags are in 2^62..2^63: above real limits, below the value for unlimited.
const TAG_BASE: u64 = 1 << 62;
/// How the names of the variables of all tags begin.
const VARIABLE_PREFIX: &[u8] = b"SETLIST_";
/// The number of a process that was started by a run and does not belong to it.
const DETACHED_TAG: u64 = 1 << 61;

impl RunTag {
    /// The tag of the run with these environment variables, which together must be unique on this machine. Their names
    /// begin with `SETLIST_`.
    pub fn new(variables: &[(&str, &OsStr)]) -> Self {
        let variable = |(name, value): &(&str, &OsStr)| [name.as_bytes(), b"=", value.as_encoded_bytes()].concat();
        let variables: Vec<_> = variables.iter().map(variable).collect();
        // The number must be the same in every version: another version may have to find the orphans.
        let hash = stable_hash(variables.iter().flat_map(|variable| variable.iter().chain(&[0])).copied());
        Self { number: TAG_BASE | (hash >> 2), variables }
    }

    /// Its number.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether an environment, as read from `/proc/PID/environ`, has all the variables.
    pub(super) fn matches_environment(&self, environment: &[u8]) -> bool {
        self.variables.iter().all(|wanted| environment.split(|byte| *byte == 0).any(|variable| variable == wanted))
    }

    /// Calls `spawn` with the limit set, so that the child inherits it. Any other child that this process starts
    /// meanwhile inherits it too.
    #[cfg(target_os = "linux")]
    pub(super) fn tag_children<T>(&self, spawn: impl FnOnce() -> T) -> T {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let own = getrlimit(Resource::Locks);
        // Fails under a low hard limit; then only the variables identify the run.
        let tagged = setrlimit(Resource::Locks, Rlimit { current: Some(self.number), ..own }).is_ok();
        let spawned = spawn();
        if tagged {
            // Restoring an earlier soft limit can't fail.
            let _ = setrlimit(Resource::Locks, own);
        }
        spawned
    }

    /// Calls `spawn`; only Linux keeps the limit.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn tag_children<T>(&self, spawn: impl FnOnce() -> T) -> T {
        spawn()
    }
}

/// Whether an environment may have the variables of some tag. Most processes of a machine have none, and those of a
/// thousand runs would each be compared with all of them.
pub(super) fn may_have_variables(environment: &[u8]) -> bool {
    environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(VARIABLE_PREFIX))
}

/// Whether a limit on file locks is the tag of some run.
pub(super) fn is_run_tag(limit: u64) -> bool {
    (TAG_BASE..TAG_BASE << 1).contains(&limit)
}

/// Whether a limit on file locks marks a process that has detached from its run.
pub(super) fn is_detached(limit: u64) -> bool {
    limit == DETACHED_TAG
}

/// Marks this process and its future children as not belonging to the run that started them.
pub(super) fn set_detached() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let own = getrlimit(Resource::Locks);
        // Where this fails, a run could not have set its tag either.
        let _ = setrlimit(Resource::Locks, Rlimit { current: Some(DETACHED_TAG), ..own });
    }
}
