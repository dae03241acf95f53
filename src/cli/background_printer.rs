//! Prints on a thread of its own, so that a reader who stops reading (a full pipe, Ctrl-S in the terminal) never holds back
//! the jobs, their records or a signal.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use indicatif::ProgressBar;

use super::{error, safe_output};
use crate::runner::with_sigchld_blocked;
use crate::text::count_noun;

/// How many messages of the log may wait to be read; more are left out. Lines about jobs are few, and wait all.
const MAX_WAITING_MESSAGES: usize = 10_000;

/// How long a command that was interrupted waits until its last lines are printed.
pub(super) const PRINT_TIMEOUT: Duration = Duration::from_secs(1);

/// What is printed.
enum PrintStep {
    /// A line on standard output.
    Line(String),
    /// Lines on standard error.
    ErrorLines(Vec<String>),
    /// A message of the log, on standard error.
    LogMessage(Vec<u8>),
    /// A change of the progress bar.
    Bar(Box<dyn FnOnce(&ProgressBar) + Send>),
    /// Everything before it was printed: answers with the first error of standard output.
    Flush(Sender<Option<io::Error>>),
}

/// The handle of the thread. It prints in order, and above the progress bar.
#[derive(Clone)]
pub(super) struct BackgroundPrinter {
    steps: Sender<PrintStep>,
    has_bar: bool,
    waiting_messages: Arc<AtomicUsize>,
    left_out: Arc<AtomicUsize>,
}

impl BackgroundPrinter {
    /// Starts the thread. Colours of the log are kept if `color` is set.
    pub(super) fn start(bar: ProgressBar, color: bool) -> io::Result<Self> {
        let (steps, inbox) = channel();
        let has_bar = !bar.is_hidden();
        let (waiting_messages, left_out) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let printer = Printer {
            bar,
            color,
            waiting_messages: Arc::clone(&waiting_messages),
            left_out: Arc::clone(&left_out),
            error: None,
        };
        // It ends with the process: a blocked write can't be interrupted.
        with_sigchld_blocked(|| {
            thread::Builder::new().name("printer".to_owned()).spawn(move || printer.serve(&inbox))
        })?;
        Ok(Self { steps, has_bar, waiting_messages, left_out })
    }

    /// Whether the progress bar is shown.
    pub(super) fn has_bar(&self) -> bool {
        self.has_bar
    }

    /// Prints a line on standard output.
    pub(super) fn print_line(&self, line: String) {
        self.send(PrintStep::Line(line));
    }

    /// Prints lines on standard error.
    pub(super) fn print_errors(&self, lines: Vec<String>) {
        self.send(PrintStep::ErrorLines(lines));
    }

    /// Changes the progress bar.
    pub(super) fn change_bar(&self, change: impl FnOnce(&ProgressBar) + Send + 'static) {
        self.send(PrintStep::Bar(Box::new(change)));
    }

    /// A writer for messages of the log.
    pub(super) fn log_writer(&self) -> LogMessageWriter {
        LogMessageWriter(self.clone())
    }

    /// Waits until everything is printed, at most so long. Fails if standard output could not be written.
    pub(super) fn flush(&self, at_most: Option<Duration>) -> io::Result<()> {
        let (answer, printed) = channel();
        self.send(PrintStep::Flush(answer));
        let error = match at_most {
            Some(at_most) => printed.recv_timeout(at_most),
            None => printed.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        error.ok().flatten().map_or(Ok(()), Err)
    }

    fn send(&self, step: PrintStep) {
        // The thread ends only with the process.
        let _ = self.steps.send(step);
    }
}

/// Writes messages of the log, one per call.
pub(super) struct LogMessageWriter(BackgroundPrinter);

impl Write for LogMessageWriter {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        let BackgroundPrinter { waiting_messages, left_out, .. } = &self.0;
        if waiting_messages.load(Ordering::Relaxed) < MAX_WAITING_MESSAGES {
            waiting_messages.fetch_add(1, Ordering::Relaxed);
            self.0.send(PrintStep::LogMessage(message.to_vec()));
        } else {
            left_out.fetch_add(1, Ordering::Relaxed);
        }
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the thread has.
struct Printer {
    bar: ProgressBar,
    color: bool,
    waiting_messages: Arc<AtomicUsize>,
    left_out: Arc<AtomicUsize>,
    /// The first error of standard output. Nothing more is written there.
    error: Option<io::Error>,
}

impl Printer {
    fn serve(mut self, inbox: &Receiver<PrintStep>) {
        for step in inbox {
            match step {
                PrintStep::Line(line) => {
                    if self.error.is_none() {
                        self.error = self.bar.suspend(|| writeln!(safe_output::stdout(), "{line}")).err();
                    }
                }
                PrintStep::ErrorLines(lines) => {
                    self.bar.suspend(|| lines.iter().for_each(|line| error::print_line(line)));
                }
                PrintStep::LogMessage(message) => self.print_message(&message),
                PrintStep::Bar(change) => change(&self.bar),
                // The receiver is gone if it has waited long enough.
                PrintStep::Flush(answer) => drop(answer.send(self.error.take())),
            }
        }
    }

    fn print_message(&self, message: &[u8]) {
        self.waiting_messages.fetch_sub(1, Ordering::Relaxed);
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        self.bar.suspend(|| {
            let mut out = safe_output::stderr(self.color);
            // Jobs keep running if a message can't be written, for example because the terminal was closed.
            let _ = out.write_all(message).and_then(|()| out.flush());
            if left_out > 0 {
                let count = count_noun(left_out, "message");
                let _ = writeln!(out, "({count} left out, because the reader of this output was too slow)");
            }
        });
    }
}
