//! The terminal: taken for the screen, and given back on every way out.

use std::cell::RefCell;
use std::io::{self, BufWriter, Write, stdout};
use std::panic;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crossterm::cursor::Show;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::style::Print;
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Size};

use super::wake::{Wake, Why};
use super::{clipboard, notify};

/// Whether the terminal is ours now. There is one terminal to a process, and a panic in any thread must find it.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// A frame is written in one piece as long as it is shorter than this, in bytes.
const FRAME: usize = 64 * 1024;

/// Has the terminal report clicks and the wheel; moves of the mouse would only wake us up.
const TAKE_MOUSE: Print<&str> = Print("\x1b[?1000h\x1b[?1006h");
const LEAVE_MOUSE: Print<&str> = Print("\x1b[?1006l\x1b[?1000l");

/// The terminal while it is ours; given back when dropped.
pub(super) struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<Gather>>,
    frame: Gather,
    /// What it shows: the cells and where the cursor is; none where nobody knows.
    shown: Option<(Buffer, Option<Position>)>,
    /// The mouse is ours, too.
    mouse: bool,
}

/// The bytes of one frame, which are written at once or not at all.
#[derive(Clone, Default)]
struct Gather(Rc<RefCell<Vec<u8>>>);

impl Write for Gather {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Terminal {
    /// Takes the terminal: raw mode, the alternate screen, pasted text marked as such, and the mouse if that is wanted.
    pub(super) fn take(mouse: bool) -> io::Result<Self> {
        let frame = Gather::default();
        let inner = ratatui::Terminal::new(CrosstermBackend::new(frame.clone()))?;
        let terminal = Self { inner, frame, shown: None, mouse };
        take(mouse)?;
        Ok(terminal)
    }

    /// Takes the mouse, or lets go of it.
    pub(super) fn capture(&mut self, mouse: bool) -> io::Result<()> {
        self.mouse = mouse;
        if mouse { execute!(stdout(), TAKE_MOUSE) } else { execute!(stdout(), LEAVE_MOUSE) }
    }

    /// Its size in cells.
    pub(super) fn size(&self) -> io::Result<Size> {
        self.inner.size()
    }

    /// Draws a frame; the terminal shows it at once or not at all. `draw` returns where the cursor is. Nothing is written
    /// where nothing has changed.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>) -> Option<Position>) -> io::Result<()> {
        // Given back behind our back: a thread has panicked and we are about to leave.
        if !TAKEN.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut cursor = None;
        let drawn = self.inner.draw(|frame| cursor = draw(frame))?;
        let same = self.shown.as_ref().is_some_and(|(buffer, place)| buffer == drawn.buffer && *place == cursor);
        if !same {
            self.shown = Some((drawn.buffer.clone(), cursor));
            let mut out = BufWriter::with_capacity(FRAME, stdout());
            queue!(out, BeginSynchronizedUpdate)?;
            out.write_all(&self.frame.0.borrow())?;
            queue!(out, EndSynchronizedUpdate)?;
            out.flush()?;
        }
        self.frame.0.borrow_mut().clear();
        Ok(())
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
        take(self.mouse)?;
        self.repaint()?;
        Ok(result)
    }

    /// Takes the terminal anew and draws everything with the next frame: nobody knows what it shows now.
    pub(super) fn retake(&mut self) -> io::Result<()> {
        self.lend(|| ())
    }

    fn repaint(&mut self) -> io::Result<()> {
        self.shown = None;
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

fn take(mouse: bool) -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::Release);
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)?;
    if mouse { execute!(stdout(), TAKE_MOUSE) } else { Ok(()) }
}

/// Gives the terminal back, if it is ours. Failures are of no use: there is nobody left to tell.
fn give_back() {
    if TAKEN.swap(false, Ordering::AcqRel) {
        let mut out = stdout();
        let _ = execute!(out, EndSynchronizedUpdate, LEAVE_MOUSE, DisableBracketedPaste, LeaveAlternateScreen, Show);
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
