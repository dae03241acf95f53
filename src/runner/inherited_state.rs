//! Keeps what this process inherited from its parent away from jobs and workers.
//!
//! A child process inherits open files, the set of ignored signals and the signal mask. The parent passes them
//! on unintentionally: `flock LOCK setlist retry …` an open lock file, `nohup` an ignored SIGHUP, and a shell
//! script's `&` ignored SIGINT and SIGQUIT. Jobs start with standard input, output and error only, and with all
//! signals at their default.

use std::fs;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use nix::sys::signal::SigSet;
use signal_hook::consts::{FORBIDDEN, SIGPIPE, SIGTTIN, SIGTTOU, SIGXFSZ};

use crate::crash;

/// The signals that were ignored when this process started: bit `n - 1` for signal `n`.
static IGNORED_AT_START: OnceLock<u64> = OnceLock::new();

/// The first descriptor after standard input, output and error.
const FIRST_INHERITED_FD: i32 = 3;

/// Isolates the processes that this process will start from what it inherited. Call it once, at the start of the program,
/// before it starts threads.
///
/// Files stay open in this process, so that a lock on one is held until the process ends. Ignored signals get a handler
/// that does nothing: this process continues to ignore them, and the kernel resets handled signals in its children.
pub fn isolate_children() {
    close_fds::set_fds_cloexec(FIRST_INHERITED_FD, &[]);
    // Fails only for an invalid argument.
    let _ = SigSet::empty().thread_set_mask();
    let ignored = *IGNORED_AT_START.get_or_init(read_ignored_signals);
    let ignored = (1..=64).filter(|signal| is_in_set(ignored, *signal));
    // A write beyond `ulimit -f` then fails with an error that can be reported, instead of killing this process.
    let file_size_limit = (!crash::is_file_size_limit_fatal()).then_some(SIGXFSZ);
    for signal in ignored.chain(file_size_limit).filter(|signal| !has_own_rules(*signal)) {
        // Fails for the numbers that the C library reserves.
        let _ = signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)));
    }
}

/// Whether the parent of this process had asked it to ignore a signal, as `nohup` does with SIGHUP.
pub fn was_ignored_at_start(signal: i32) -> bool {
    is_in_set(IGNORED_AT_START.get().copied().unwrap_or_default(), signal)
}

/// Whether a signal must not get a handler here: SIGPIPE is ignored by Rust's runtime, which resets it in children, and a
/// handler for a background process's access to the terminal would run again and again.
fn has_own_rules(signal: i32) -> bool {
    FORBIDDEN.contains(&signal) || [SIGPIPE, SIGTTIN, SIGTTOU].contains(&signal)
}

fn is_in_set(set: u64, signal: i32) -> bool {
    u32::try_from(signal - 1).is_ok_and(|bit| set.checked_shr(bit).is_some_and(|set| set & 1 == 1))
}

/// The signals that this process ignores. Empty where there is no `/proc`.
fn read_ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or_default()
}
