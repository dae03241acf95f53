//! The terminal: entered for the screen, and restored on every way out.

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
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect, Size};
use ratatui::{Frame, TerminalOptions, Viewport};

use super::effect::ExitReason;
use super::linear::LINEAR_SIZE;
use super::message::Message;
use super::{clipboard, notifications};

/// Whether the screen has the terminal. Static, because a panic in any thread must restore it.
static IS_ENTERED: AtomicBool = AtomicBool::new(false);
/// Whether it prints lines instead of drawing.
static IS_LINEAR: AtomicBool = AtomicBool::new(false);

/// Frames up to this many bytes are written at once.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// Reports clicks and the wheel, but not movements, which would only cause wake-ups.
const CAPTURE_MOUSE: Print<&str> = Print("\x1b[?1000h\x1b[?1006h");
const RELEASE_MOUSE: Print<&str> = Print("\x1b[?1006l\x1b[?1000l");

/// The terminal of the screen; restored when dropped.
pub(super) struct HostTerminal {
    inner: ratatui::Terminal<CrosstermBackend<FrameBuffer>>,
    frame: FrameBuffer,
    /// The cells and the cursor that it shows; none if unknown.
    shown: Option<(Buffer, Option<Position>)>,
    /// Whether the mouse is captured.
    captures_mouse: bool,
}

/// The bytes of one frame.
#[derive(Clone, Default)]
struct FrameBuffer(Rc<RefCell<Vec<u8>>>);

impl Write for FrameBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl HostTerminal {
    /// Enters the terminal: raw mode, the alternate screen, bracketed paste, and mouse reports if wanted.
    pub(super) fn enter(mouse: bool) -> io::Result<Self> {
        let frame = FrameBuffer::default();
        let inner = ratatui::Terminal::new(CrosstermBackend::new(frame.clone()))?;
        let terminal = Self { inner, frame, shown: None, captures_mouse: mouse };
        enter(mouse)?;
        Ok(terminal)
    }

    /// Enters the terminal to print lines: only in raw mode. Frames are drawn, but not shown.
    pub(super) fn enter_linear() -> io::Result<Self> {
        IS_LINEAR.store(true, Ordering::Release);
        let frame = FrameBuffer::default();
        let viewport = Viewport::Fixed(Rect::from((Position::ORIGIN, LINEAR_SIZE)));
        let backend = CrosstermBackend::new(frame.clone());
        let inner = ratatui::Terminal::with_options(backend, TerminalOptions { viewport })?;
        let terminal = Self { inner, frame, shown: None, captures_mouse: false };
        enter(false)?;
        Ok(terminal)
    }

    /// The last frame that was drawn, but not shown.
    pub(super) fn drawn(&self) -> Option<&Buffer> {
        self.shown.as_ref().map(|(buffer, _)| buffer)
    }

    /// Prints lines.
    pub(super) fn print(lines: &[String]) -> io::Result<()> {
        if lines.is_empty() || !IS_ENTERED.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut out = stdout().lock();
        // In raw mode, a line end does not go back to the first column.
        lines.iter().try_for_each(|line| write!(out, "{line}\r\n"))?;
        out.flush()
    }

    /// Captures the mouse, or releases it.
    pub(super) fn capture_mouse(&mut self, mouse: bool) -> io::Result<()> {
        if is_linear() {
            return Ok(());
        }
        self.captures_mouse = mouse;
        if mouse { execute!(stdout(), CAPTURE_MOUSE) } else { execute!(stdout(), RELEASE_MOUSE) }
    }

    /// The size in cells.
    pub(super) fn size(&self) -> io::Result<Size> {
        if is_linear() { Ok(LINEAR_SIZE) } else { self.inner.size() }
    }

    /// Draws a frame with a synchronized update. `draw` returns the position of the cursor. An unchanged frame isn't
    /// written.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>) -> Option<Position>) -> io::Result<()> {
        // A thread has panicked and restored the terminal; the screen is about to close.
        if !IS_ENTERED.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut cursor = None;
        let drawn = self.inner.draw(|frame| cursor = draw(frame))?;
        let same = self.shown.as_ref().is_some_and(|(buffer, place)| buffer == drawn.buffer && *place == cursor);
        if !same {
            self.shown = Some((drawn.buffer.clone(), cursor));
        }
        if !same && !is_linear() {
            let mut out = BufWriter::with_capacity(WRITE_BUFFER_BYTES, stdout());
            queue!(out, BeginSynchronizedUpdate)?;
            out.write_all(&self.frame.0.borrow())?;
            queue!(out, EndSynchronizedUpdate)?;
            out.flush()?;
        }
        self.frame.0.borrow_mut().clear();
        Ok(())
    }

    /// Copies a text to the clipboard.
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        clipboard::copy(text, self.inner.backend_mut())
    }

    /// Shows a desktop notification.
    pub(super) fn notify(&mut self, text: &str) -> io::Result<()> {
        notifications::show(text, self.inner.backend_mut())
    }

    /// Restores the terminal while `meanwhile` runs, then enters it again.
    pub(super) fn release_while<T>(&mut self, meanwhile: impl FnOnce() -> T) -> io::Result<T> {
        restore();
        let result = meanwhile();
        enter(self.captures_mouse)?;
        self.repaint()?;
        Ok(result)
    }

    /// Enters the terminal again, and draws everything with the next frame.
    pub(super) fn reenter(&mut self) -> io::Result<()> {
        self.release_while(|| ())
    }

    fn repaint(&mut self) -> io::Result<()> {
        if is_linear() {
            return Ok(());
        }
        self.shown = None;
        // Not `clear`, which asks the terminal for its cursor position and waits for the answer.
        let size = self.inner.size()?;
        self.inner.resize(size.into())
    }
}

impl Drop for HostTerminal {
    fn drop(&mut self) {
        restore();
    }
}

fn enter(mouse: bool) -> io::Result<()> {
    enable_raw_mode()?;
    IS_ENTERED.store(true, Ordering::Release);
    if is_linear() {
        return Ok(());
    }
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)?;
    if mouse { execute!(stdout(), CAPTURE_MOUSE) } else { Ok(()) }
}

fn is_linear() -> bool {
    IS_LINEAR.load(Ordering::Acquire)
}

/// Restores the terminal, if the screen has it. Failures are ignored: they can't be shown.
fn restore() {
    if IS_ENTERED.swap(false, Ordering::AcqRel) {
        let mut out = stdout();
        if is_linear() {
            let _ = disable_raw_mode();
            return;
        }
        let _ = execute!(out, EndSynchronizedUpdate, RELEASE_MOUSE, DisableBracketedPaste, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
        let _ = out.flush();
    }
}

type PanicHook = Arc<dyn Fn(&panic::PanicHookInfo<'_>) + Send + Sync>;

/// Restores the terminal before a panic of any thread is reported, and closes the screen.
pub(super) struct PanicGuard {
    previous: PanicHook,
}

impl PanicGuard {
    pub(super) fn new(messages: Sender<Message>) -> Self {
        let previous: PanicHook = Arc::from(panic::take_hook());
        let report = Arc::clone(&previous);
        let messages = Mutex::new(messages);
        panic::set_hook(Box::new(move |info| {
            restore();
            report(info);
            let messages = messages.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = messages.send(Message::Exit(ExitReason::ThreadPanicked));
        }));
        Self { previous }
    }
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        // A panicking thread can't change the hook.
        if !thread::panicking() {
            let previous = Arc::clone(&self.previous);
            panic::set_hook(Box::new(move |info| previous(info)));
        }
    }
}
