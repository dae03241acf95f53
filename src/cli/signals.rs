//! Signal handling of commands that run jobs in the foreground.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::exit::ExitStatus;
use crate::runner::{was_ignored_at_start, with_sigchld_blocked};
use crate::tui::has_shell;
use crate::worker::Shutdown;

/// Handles signals from its installation on. Signals that arrive before a worker is attached are kept for it.
///
/// The first SIGINT, SIGTERM or SIGHUP shuts the worker down gracefully, the second one immediately. The third exits the
/// process even if it is blocked, for example by a full disk; the next process then kills the remaining jobs. SIGTSTP
/// suspends the worker if a shell could continue the process.
#[derive(Clone, Default)]
pub(super) struct SignalHandler(Arc<Mutex<Received>>);

/// What was received, and who acts on it.
#[derive(Default)]
struct Received {
    /// The first signal that ends the process.
    first: Option<i32>,
    /// How many signals that end the process were received.
    count: u32,
    worker: Option<AttachedWorker>,
    /// Nothing is left that has to be recorded.
    exits_at_once: bool,
}

struct AttachedWorker {
    shut_down: Box<dyn Fn(Shutdown) + Send>,
    suspend: Box<dyn Fn() + Send>,
}

impl SignalHandler {
    /// Installs the handlers. Install them before anything is changed that an interrupt has to undo.
    pub(super) fn install() -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGTSTP])?;
        // `nohup` lets a program continue after the terminal is closed.
        if !was_ignored_at_start(SIGHUP) {
            signals.add_signal(SIGHUP)?;
        }
        let handler = Self::default();
        let receiver = handler.clone();
        with_sigchld_blocked(|| thread::spawn(move || signals.forever().for_each(|signal| receiver.receive(signal))));
        Ok(handler)
    }

    /// Lets a worker act on the signals from now on, and on those that were received before. SIGINT sets `interrupted`.
    pub(super) fn attach(
        &self,
        interrupted: Arc<AtomicBool>,
        shut_down: impl Fn(Shutdown) + Send + 'static,
        suspend: impl Fn() + Send + 'static,
    ) {
        // There is a handler already, so this can't fail.
        let _ = flag::register(SIGINT, interrupted);
        let mut received = self.received();
        if received.first.is_some() {
            shut_down(Shutdown::Graceful);
        }
        received.worker = Some(AttachedWorker { shut_down: Box::new(shut_down), suspend: Box::new(suspend) });
    }

    /// Lets the next signal exit the process, because nothing is left that has to be recorded. Returns whether one was
    /// received before.
    pub(super) fn let_exit(&self) -> bool {
        let mut received = self.received();
        received.exits_at_once = true;
        received.first.is_some()
    }

    /// Whether a signal was received that ends the process.
    pub(super) fn is_interrupted(&self) -> bool {
        self.received().first.is_some()
    }

    /// Whether the first of them was TERM: the normal way to stop a service.
    pub(super) fn is_terminated(&self) -> bool {
        self.received().first == Some(SIGTERM)
    }

    fn received(&self) -> MutexGuard<'_, Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receive(&self, signal: i32) {
        let mut received = self.received();
        if signal == SIGTSTP {
            match &received.worker {
                _ if !has_shell() => {}
                Some(worker) => (worker.suspend)(),
                None => {
                    drop(received);
                    // If the process can't be suspended, it continues.
                    let _ = emulate_default_handler(SIGTSTP);
                }
            }
            return;
        }
        received.first.get_or_insert(signal);
        received.count += 1;
        match (received.count, &received.worker) {
            _ if received.exits_at_once => std::process::exit(ExitStatus::Interrupted.code().into()),
            (1, Some(worker)) => (worker.shut_down)(Shutdown::Graceful),
            (1, None) => {}
            (2, Some(worker)) => (worker.shut_down)(Shutdown::Immediate),
            _ => std::process::exit(ExitStatus::Interrupted.code().into()),
        }
    }
}
