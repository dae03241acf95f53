//! Turns signals into messages.

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

use super::effect::ExitReason;
use super::message::Message;

/// Turns signals into messages until it is dropped.
pub(super) struct SignalWatch {
    handle: Handle,
    ignored: Arc<AtomicBool>,
}

impl SignalWatch {
    pub(super) fn start(messages: Sender<Message>) -> io::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH])?;
        let handle = signals.handle();
        let ignored = Arc::new(AtomicBool::new(false));
        let is_ignored = Arc::clone(&ignored);
        let work = move || {
            for signal in &mut signals {
                let message = if is_ignored.load(Ordering::Acquire) {
                    message_while_ignored(signal)
                } else {
                    message_for(signal)
                };
                if message.is_some_and(|message| messages.send(message).is_err()) {
                    return;
                }
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(work)?;
        Ok(Self { handle, ignored })
    }

    /// Ignores interactive signals while `meanwhile` runs another program of the process group in the terminal.
    pub(super) fn ignore_while<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        self.ignored.store(true, Ordering::Release);
        let result = meanwhile();
        self.ignored.store(false, Ordering::Release);
        result
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        self.handle.close();
    }
}

/// Stops the process group, as Ctrl-Z does in a program in cooked mode. Returns whether there is a shell that can
/// continue it.
pub(super) fn request_suspend() -> bool {
    has_shell() && kill_current_process_group(Signal::TSTP).is_ok()
}

/// Whether there is a shell that can continue this process after a stop.
pub fn has_shell() -> bool {
    // In a container the shell may be in another PID namespace; its session id is 0 then, which some bindings reject.
    getsid(None).is_ok_and(|session| session != getpgrp())
}

/// Stops this process until it is continued.
pub(super) fn stop() -> io::Result<()> {
    emulate_default_handler(SIGTSTP)
}

fn message_for(signal: i32) -> Option<Message> {
    Some(match signal {
        SIGWINCH => {
            let (width, height) = crossterm::terminal::size().ok()?;
            Message::Resize { width, height }
        }
        SIGTSTP => Message::Suspend,
        SIGCONT => Message::Repaint,
        other => Message::Exit(ExitReason::Signal(other)),
    })
}

/// Ctrl-C is meant for the program in the terminal; on Ctrl-Z this process stops together with it.
fn message_while_ignored(signal: i32) -> Option<Message> {
    match signal {
        SIGINT | SIGQUIT | SIGCONT => None,
        // If this fails, only the program stops, and the shell continues it.
        SIGTSTP => stop().err().map(|error| Message::Error(error.to_string())),
        other => message_for(other),
    }
}
