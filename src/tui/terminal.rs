//! The terminal: taken for the screen, and given back on every way out.

use std::io::{self, BufWriter, Stdout, Write, stdout};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crossterm::cursor::Show;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Size;

use super::wake::{Wake, Why};
use super::{clipboard, notify};

/// Whether the terminal is ours now. There is one terminal to a process, and a panic in any thread must find it.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// A frame is written in one piece as long as it is shorter than this, in bytes.
const FRAME: usize = 64 * 1024;

/// The terminal while it is ours; given back when dropped.
pub(super) struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Terminal {
    /// Takes the terminal: raw mode, the alternate screen, pasted text marked as such.
    pub(super) fn take() -> io::Result<Self> {
        let backend = CrosstermBackend::new(BufWriter::with_capacity(FRAME, stdout()));
        let terminal = Self { inner: ratatui::Terminal::new(backend)? };
        take()?;
        Ok(terminal)
    }

    /// Its size in cells.
    pub(super) fn size(&self) -> io::Result<Size> {
        self.inner.size()
    }

    /// Draws a frame; the terminal shows it at once or not at all.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        // Given back behind our back: a thread has panicked and we are about to leave.
        if !TAKEN.load(Ordering::Acquire) {
            return Ok(());
        }
        queue!(self.inner.backend_mut(), BeginSynchronizedUpdate)?;
        self.inner.draw(draw)?;
        queue!(self.inner.backend_mut(), EndSynchronizedUpdate)?;
        self.inner.backend_mut().flush()
    }

    /// Puts a text into the clipboard of whoever sits before the terminal.
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        clipboard::copy(text, self.inner.backend_mut())
    }

    /// Shows a notice of its own to whoever looks elsewhere.
    pub(super) fn notify(&mut self, text: &str) -> io::Result<()> {
        notify::show(text, self.inner.backend_mut())
    }

    /// Gives the terminal to somebody else for a while.
    pub(super) fn lend<T>(&mut self, meanwhile: impl FnOnce() -> T) -> io::Result<T> {
        give_back();
        let result = meanwhile();
        take()?;
        self.repaint()?;
        Ok(result)
    }

    /// Takes the terminal anew and draws everything with the next frame: nobody knows what it shows now.
    pub(super) fn retake(&mut self) -> io::Result<()> {
        self.lend(|| ())
    }

    fn repaint(&mut self) -> io::Result<()> {
        // Not `clear`, which asks the terminal where its cursor is and waits for the answer.
        let size = self.inner.size()?;
        self.inner.resize(size.into())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::Release);
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)
}

/// Gives the terminal back, if it is ours. Failures are of no use: there is nobody left to tell.
fn give_back() {
    if TAKEN.swap(false, Ordering::AcqRel) {
        let mut out = stdout();
        let _ = execute!(out, EndSynchronizedUpdate, DisableBracketedPaste, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
        let _ = out.flush();
    }
}

type Hook = Arc<dyn Fn(&panic::PanicHookInfo<'_>) + Send + Sync>;

/// Gives the terminal back before a panic of any thread is reported, and wakes the screen so that it leaves.
pub(super) struct PanicGuard {
    before: Hook,
}

impl PanicGuard {
    pub(super) fn new(wakes: Sender<Wake>) -> Self {
        let before: Hook = Arc::from(panic::take_hook());
        let report = Arc::clone(&before);
        let wakes = Mutex::new(wakes);
        panic::set_hook(Box::new(move |info| {
            give_back();
            report(info);
            let wakes = wakes.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = wakes.send(Wake::Leave(Why::Broken));
        }));
        Self { before }
    }
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        // A hook can't be changed by a thread that panics; ours does no harm then.
        if !thread::panicking() {
            let before = Arc::clone(&self.before);
            panic::set_hook(Box::new(move |info| before(info)));
        }
    }
}
