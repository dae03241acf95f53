//! TERM and interrupt, for commands that run jobs in the foreground.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;

use super::Exit;
use crate::runner::{was_ignored_at_start, with_sigchld_blocked};
use crate::tui::has_shell;
use crate::worker::Shutdown;

/// Which signal has come first since; 0 for none.
#[derive(Clone, Default)]
pub(super) struct Interrupted(Arc<AtomicI32>);

impl Interrupted {
    /// Whether one has come.
    pub(super) fn yes(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Whether it was TERM: the usual way to end a service, which is no failure of it.
    pub(super) fn by_term(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SIGTERM
    }
}

/// From now on the first interrupt, TERM or hang-up asks to `leave` soon, the second now. At the third the process ends
/// whatever it waits for, a full disk say: what is left of its jobs is killed by whoever looks next. When the terminal
/// suspends the process, and there is a shell that could continue it, it is asked to `rest`.
pub(super) fn watch(
    leave: impl Fn(Shutdown) + Send + 'static,
    rest: impl Fn() + Send + 'static,
) -> io::Result<Interrupted> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGTSTP])?;
    // `nohup` lets a program continue after the terminal is closed.
    if !was_ignored_at_start(SIGHUP) {
        signals.add_signal(SIGHUP)?;
    }
    let interrupted = Interrupted::default();
    let seen = interrupted.clone();
    let serve = move || {
        let mut times = 0;
        for signal in signals.forever() {
            match times {
                _ if signal == SIGTSTP => {
                    if has_shell() {
                        rest();
                    }
                    continue;
                }
                0 => {
                    seen.0.store(signal, Ordering::Relaxed);
                    leave(Shutdown::Graceful);
                }
                1 => leave(Shutdown::Immediate),
                _ => std::process::exit(Exit::Interrupted as i32),
            }
            times += 1;
        }
    };
    with_sigchld_blocked(|| thread::spawn(serve));
    Ok(interrupted)
}
