//! The umask and the limits of runs, which are those of the user who has requested them.

use std::cell::Cell;

#[cfg(target_os = "linux")]
use nix::sched::{CloneFlags, unshare};
use rustix::fs::Mode;
use rustix::process::{Pid, Resource, umask};

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

/// Gives a process that was just started the limits of this environment, as far as its hard limits allow.
#[cfg(target_os = "linux")]
pub(super) fn set_limits(environment: &Environment, child: Pid) {
    use rustix::process::{Rlimit, getrlimit, prlimit};

    for (name, resource) in LIMITS {
        let Some((_, wanted)) = environment.soft_limits.iter().find(|(known, _)| known == name) else { continue };
        let own = getrlimit(resource);
        let current = match (wanted, own.maximum) {
            (Some(wanted), Some(maximum)) => Some((*wanted).min(maximum)),
            (wanted, maximum) => wanted.or(maximum),
        };
        if current != own.current {
            // Fails if it has already ended.
            let _ = prlimit(Some(child), resource, Rlimit { current, ..own });
        }
    }
}

/// Does nothing: only Linux can set the limits of another process.
#[cfg(not(target_os = "linux"))]
pub(super) fn set_limits(_environment: &Environment, _child: Pid) {}
