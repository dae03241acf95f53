//! The umask and the limits of runs, which are those of the user who has requested them.

use std::cell::Cell;
use std::os::unix::process::CommandExt;
use std::process::Command;

#[cfg(target_os = "linux")]
use nix::sched::{CloneFlags, unshare};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

use crate::model::Environment;

/// The soft limits that runs get, by their names in `limits.conf`. Not that on file locks, which identifies runs.
pub(super) const LIMITS: [(&str, Resource); 10] = [
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("memlock", Resource::Memlock),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("stack", Resource::Stack),
];

/// Calls `spawn` with the umask of this environment, so that the child inherits it.
pub(super) fn with_umask<T>(environment: Option<&Environment>, spawn: impl FnOnce() -> T) -> T {
    let Some(mask) = environment.and_then(|environment| environment.umask) else { return spawn() };
    unshare_umask();
    let own = umask(Mode::from_raw_mode(mask));
    let spawned = spawn();
    umask(own);
    spawned
}

/// Gives this thread a umask of its own, so that files which other threads create meanwhile keep that of the process.
fn unshare_umask() {
    thread_local! {
        static IS_UNSHARED: Cell<bool> = const { Cell::new(false) };
    }
    if !IS_UNSHARED.replace(true) {
        // Where it is not allowed, the umask is the right one for the child anyway.
        #[cfg(target_os = "linux")]
        let _ = unshare(CloneFlags::CLONE_FS);
    }
}

/// The limits of a run that differ from those of this process.
#[derive(Clone, Debug, Default)]
pub(super) struct ChildLimits(Vec<(Resource, Rlimit)>);

impl ChildLimits {
    /// The soft limits of this environment, as far as the hard limits allow. `open_files` is the soft limit on open files
    /// of a run without an environment.
    pub(super) fn new(environment: Option<&Environment>, open_files: Option<u64>) -> Self {
        let wanted_of = |name: &str, own: Rlimit| {
            let requested = environment.and_then(|environment| {
                let (_, limit) = environment.soft_limits.iter().find(|(known, _)| known == name)?;
                Some(*limit)
            });
            requested.unwrap_or(if name == "nofile" { open_files } else { own.current })
        };
        let changed = LIMITS.into_iter().filter_map(|(name, resource)| {
            let own = getrlimit(resource);
            let current = match (wanted_of(name, own), own.maximum) {
                (Some(wanted), Some(maximum)) => Some(wanted.min(maximum)),
                (wanted, maximum) => wanted.or(maximum),
            };
            (current != own.current).then_some((resource, Rlimit { current, ..own }))
        });
        Self(changed.collect())
    }

    /// Sets the limits in the process that this command starts, before its first instruction. Without limits nothing is
    /// set, because std then uses the faster `posix_spawn`.
    pub(super) fn apply_to(self, command: &mut Command) {
        if self.0.is_empty() {
            return;
        }
        let set_limits = move || {
            for (resource, limit) in &self.0 {
                // The soft limit is not above the hard one, so this can't fail.
                let _ = setrlimit(*resource, *limit);
            }
            Ok(())
        };
        #[expect(
            unsafe_code,
            reason = "std has no safe way to set a limit between fork and exec; set from outside \
                                        after that, it would come too late for the first instructions"
        )]
        // SAFETY: the closure only makes system calls, and allocates and locks nothing.
        unsafe {
            command.pre_exec(set_limits);
        }
    }
}
