//! What tells the processes of one run from all others, however far they have moved from it.
//!
//! Whatever a run starts inherits variables in its environment, which a program may wipe, and on Linux its limit on file
//! locks. The kernel keeps that limit and has not enforced it since version 2.4: a number written there does nothing but
//! go wherever the run's processes go, through `setsid`, `exec` and `env -i`.

use std::ffi::OsStr;

/// The mark of one run's processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    number: u64,
    variables: Vec<Vec<u8>>,
}

/// The numbers of marks: no limit that a person would set, and not the one that stands for none.
const NUMBERS: u64 = 1 << 62;
/// The number of what was started by a run and is no part of it.
const RELEASED: u64 = 1 << 61;

impl Mark {
    /// The mark of a run whose environment has these variables. Together they have to name one run on this machine.
    pub fn new(variables: &[(&str, &OsStr)]) -> Self {
        let variable = |(name, value): &(&str, &OsStr)| [name.as_bytes(), b"=", value.as_encoded_bytes()].concat();
        let variables: Vec<_> = variables.iter().map(variable).collect();
        // FNV-1a: a worker of another version, which may have to find what this one has left behind, gets the same.
        let bytes = variables.iter().flat_map(|variable| variable.iter().chain(&[0]));
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self { number: NUMBERS | (hash >> 2), variables }
    }

    /// Whether an environment, as the kernel shows it, has all the variables.
    pub(super) fn is_in(&self, environment: &[u8]) -> bool {
        self.variables.iter().all(|mark| environment.split(|byte| *byte == 0).any(|variable| variable == mark))
    }

    /// Whether this is its number.
    pub(super) fn is(&self, number: u64) -> bool {
        self.number == number
    }

    /// Does `spawn`, and what it starts inherits the number. So does all else that this process starts meanwhile.
    #[cfg(target_os = "linux")]
    pub(super) fn put_on<T>(&self, spawn: impl FnOnce() -> T) -> T {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let own = getrlimit(Resource::Locks);
        // Where somebody has set a low limit, the variables have to do.
        let marked = setrlimit(Resource::Locks, Rlimit { current: Some(self.number), ..own }).is_ok();
        let spawned = spawn();
        if marked {
            // It was so before, so it can't be refused.
            let _ = setrlimit(Resource::Locks, own);
        }
        spawned
    }

    /// See above.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn put_on<T>(&self, spawn: impl FnOnce() -> T) -> T {
        spawn()
    }
}

/// Whether the number is that of some run.
pub(super) fn is_of_a_run(number: u64) -> bool {
    (NUMBERS..NUMBERS << 1).contains(&number)
}

/// Whether the number says that its process is no part of the run in which it was started.
pub(super) fn is_released(number: u64) -> bool {
    number == RELEASED
}

/// From now on this process, and all that it starts, is no part of the run in which it was started, if it was: it
/// outlives that one's end.
pub fn release() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let own = getrlimit(Resource::Locks);
        // Where it is refused, no run has been able to leave a mark either.
        let _ = setrlimit(Resource::Locks, Rlimit { current: Some(RELEASED), ..own });
    }
}
