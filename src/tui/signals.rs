//! Signals, as wake-ups.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;

use nix::unistd::{getpgrp, getsid};
use rustix::process::{Signal, kill_current_process_group};
use signal_hook::consts::signal::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;

use super::wake::{Wake, Why};

/// Turns signals into wake-ups until it is dropped.
pub(super) struct SignalWatch {
    handle: Handle,
    lent: Arc<AtomicBool>,
}

impl SignalWatch {
    pub(super) fn start(wakes: Sender<Wake>) -> io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH])?;
        let handle = signals.handle();
        let lent = Arc::new(AtomicBool::new(false));
        let is_lent = Arc::clone(&lent);
        let work = move || {
            for signal in &mut signals {
                let wake = if is_lent.load(Ordering::Acquire) { while_lent(signal) } else { wake(signal) };
                if wake.is_some_and(|wake| wakes.send(wake).is_err()) {
                    return;
                }
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(work)?;
        Ok(Self { handle, lent })
    }

    /// While `meanwhile` runs, the terminal and its keys belong to another program of our process group.
    pub(super) fn lend<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        self.lent.store(true, Ordering::Release);
        let result = meanwhile();
        self.lent.store(false, Ordering::Release);
        result
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        self.handle.close();
    }
}

/// Asks our whole process group to stop, as Ctrl-Z would in a program that doesn't read it as a key. Tells whether
/// there is a shell above that could continue it.
pub(super) fn ask_to_suspend() -> bool {
    has_shell() && kill_current_process_group(Signal::TSTP).is_ok()
}

/// Whether there is a shell above that could continue this process: where there is none, stopping would be for ever.
pub fn has_shell() -> bool {
    // In a container it may be out of sight. Its session has the number 0 then, which not every binding bears.
    getsid(None).is_ok_and(|session| session != getpgrp())
}

/// Stops this process until somebody continues it.
pub(super) fn stop() -> io::Result<()> {
    emulate_default_handler(SIGTSTP)
}

fn wake(signal: i32) -> Option<Wake> {
    Some(match signal {
        SIGWINCH => {
            let (width, height) = crossterm::terminal::size().ok()?;
            Wake::Resize { width, height }
        }
        SIGTSTP => Wake::Suspend,
        SIGCONT => Wake::Repaint,
        other => Wake::Leave(Why::Signal(other)),
    })
}

/// Ctrl-C and Ctrl-Z are meant for the program that has the terminal; we stop together with it.
fn while_lent(signal: i32) -> Option<Wake> {
    match signal {
        SIGINT | SIGQUIT | SIGCONT => None,
        // When this fails, the program stops alone, and the shell continues it all the same.
        SIGTSTP => stop().err().map(|error| Wake::Trouble(error.to_string())),
        other => wake(other),
    }
}
