//! Signal handling of commands that run jobs in the foreground.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;

use super::exit::ExitStatus;
use crate::runner::{was_ignored_at_start, with_sigchld_blocked};
use crate::tui::has_shell;
use crate::worker::Shutdown;

/// The first signal that was received; 0 for none.
#[derive(Clone, Default)]
pub(super) struct Interrupted(Arc<AtomicI32>);

impl Interrupted {
    /// Whether a signal was received.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Whether it was TERM: the normal way to stop a service.
    pub(super) fn is_sigterm(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SIGTERM
    }
}

/// Handles signals from now on: the first SIGINT, SIGTERM or SIGHUP calls `shut_down` with `Graceful`, the second with
/// `Immediate`. The third exits the process even if it is blocked, for example by a full disk; the next process then kills
/// the remaining jobs. SIGTSTP calls `suspend` if a shell could continue the process.
pub(super) fn handle_signals(
    shut_down: impl Fn(Shutdown) + Send + 'static,
    suspend: impl Fn() + Send + 'static,
) -> io::Result<Interrupted> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGTSTP])?;
    // `nohup` lets a program continue after the terminal is closed.
    if !was_ignored_at_start(SIGHUP) {
        signals.add_signal(SIGHUP)?;
    }
    let interrupted = Interrupted::default();
    let first_signal = interrupted.clone();
    let handle = move || {
        let mut count = 0;
        for signal in signals.forever() {
            match count {
                _ if signal == SIGTSTP => {
                    if has_shell() {
                        suspend();
                    }
                    continue;
                }
                0 => {
                    first_signal.0.store(signal, Ordering::Relaxed);
                    shut_down(Shutdown::Graceful);
                }
                1 => shut_down(Shutdown::Immediate),
                _ => std::process::exit(ExitStatus::Interrupted.code().into()),
            }
            count += 1;
        }
    };
    with_sigchld_blocked(|| thread::spawn(handle));
    Ok(interrupted)
}
