//! Input for runs in pseudo-terminals: a named pipe per run, into which screens write what is typed and the size of
//! their view. Nothing is stored, since input may be a password. A store on a server forwards the input of other machines.
//!
//! The pipe carries frames: one byte for the kind, two for the length, then the content. A frame is short enough to be
//! written atomically, so the frames of several screens don't mix.

use std::fmt::{self, Debug, Formatter};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};

use super::error::StoreError;
use super::private_files::{create_private_dir, give_to_owner, open_private, open_to_read};
use crate::model::{RunId, TerminalInput, WindowSize};

/// The pipes of a site.
#[derive(Clone, Debug)]
pub struct TerminalInputPipes {
    dir: PathBuf,
    forwarding: Option<InputForwarding>,
}

/// What a store that forwards input has to know.
pub(super) enum InputEvent {
    /// A run has opened its terminal; what arrives for it is to be written into this pipe.
    Opened(RunId, TerminalInputWriter),
    /// It has closed its terminal.
    Closed(RunId),
    /// A frame for a run that has no pipe on this machine.
    Typed(RunId, Vec<u8>),
}

/// Forwards input between machines.
#[derive(Clone)]
pub(super) struct InputForwarding(Arc<dyn Fn(InputEvent) -> Result<(), TerminalInputError> + Send + Sync>);

impl InputForwarding {
    pub(super) fn new(forward: impl Fn(InputEvent) -> Result<(), TerminalInputError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(forward))
    }
}

impl Debug for InputForwarding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("InputForwarding")
    }
}

/// The worker's end of a pipe. The pipe is removed when this is dropped.
#[derive(Debug)]
pub struct TerminalInputReader {
    path: PathBuf,
    pipe: File,
    /// The beginning of an incomplete frame.
    partial_frame: Vec<u8>,
    run: RunId,
    forwarding: Option<InputForwarding>,
}

/// A screen's end of a pipe. It never blocks.
#[derive(Debug)]
pub struct TerminalInputWriter {
    path: PathBuf,
    pipe: Option<File>,
    run: RunId,
    /// Where input goes without a pipe on this machine.
    forwarding: Option<InputForwarding>,
}

/// Why input could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TerminalInputError {
    /// The run has not opened its terminal yet, has ended, or its worker has died.
    #[error("the run has no open terminal")]
    NotConnected,
    /// The run has not read earlier input.
    #[error("the run does not read its input")]
    BufferFull,
}

const BYTES_FRAME: u8 = 1;
const SIZE_FRAME: u8 = 2;
const FRAME_HEADER_LEN: usize = 3;
/// The longest frame: every system writes this much atomically (`PIPE_BUF`).
const MAX_FRAME_LEN: usize = 512;
/// The capacity of a pipe, on systems where it can be set.
const PIPE_CAPACITY: usize = 1024 * 1024;

impl TerminalInputPipes {
    /// The pipes in `dir`. Nothing is created until a pipe is opened.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, forwarding: None }
    }

    /// Also forwards input from and to other machines.
    #[must_use]
    pub(super) fn forwarded_by(self, forwarding: InputForwarding) -> Self {
        Self { forwarding: Some(forwarding), ..self }
    }

    /// Creates the pipe of a run, replacing one that was left behind.
    pub fn open_reader(&self, run: RunId) -> Result<TerminalInputReader, StoreError> {
        create_private_dir(&self.dir)?;
        let path = self.path(run);
        self.remove(run);
        let failed = |source| StoreError::io(&path, source);
        create_fifo(&path).map_err(failed)?;
        // Opened for writing too, so that it does not read as ended when a screen closes its end.
        let pipe = open(&path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
        let pipe = pipe.map_err(|error| failed(error.into()))?;
        // Otherwise the pipe has the default capacity.
        #[cfg(target_os = "linux")]
        let _ = rustix::pipe::fcntl_setpipe_size(&pipe, PIPE_CAPACITY);
        let forwarding = self.forwarding.clone();
        if let Some(forwarding) = &forwarding {
            // On this machine, it can be typed into in any case.
            let local = TerminalInputWriter { path: path.clone(), pipe: None, run, forwarding: None };
            let _ = (forwarding.0)(InputEvent::Opened(run, local));
        }
        Ok(TerminalInputReader { path, pipe: pipe.into(), partial_frame: Vec::new(), run, forwarding })
    }

    /// A writer for a run, whose pipe need not exist yet.
    pub fn writer(&self, run: RunId) -> TerminalInputWriter {
        TerminalInputWriter { path: self.path(run), pipe: None, run, forwarding: self.forwarding.clone() }
    }

    /// Removes the pipe of a run whose worker died.
    pub fn remove(&self, run: RunId) {
        // A pipe that remains has no reader.
        let _ = fs::remove_file(self.path(run));
    }

    /// The last size at which a screen showed a terminal, or the default.
    pub fn last_size(&self) -> WindowSize {
        let mut bytes = [0; 4];
        let read = open_to_read(&self.size_path()).and_then(|file| file.read_exact_at(&mut bytes, 0));
        read.ok().and_then(|()| size(bytes)).unwrap_or_default()
    }

    /// Sets the initial size of the terminals of new runs.
    pub fn record_size(&self, size: WindowSize) -> Result<(), StoreError> {
        create_private_dir(&self.dir)?;
        let path = self.size_path();
        open_private(&path)?.write_all_at(&bytes(size), 0).map_err(|source| StoreError::io(path, source))
    }

    fn path(&self, run: RunId) -> PathBuf {
        self.dir.join(run.to_string())
    }

    fn size_path(&self) -> PathBuf {
        self.dir.join("size")
    }
}

impl TerminalInputReader {
    /// Reads the available input without blocking.
    pub fn read(&mut self) -> Vec<TerminalInput> {
        let mut buffer = [0; 16 * 1024];
        match self.pipe.read(&mut buffer) {
            Ok(len) => self.partial_frame.extend_from_slice(&buffer[..len]),
            // No input is available, or reading failed, which can't be reported.
            Err(_) => return Vec::new(),
        }
        let mut typed = Vec::new();
        while let Some((frame, len)) = first_frame(&self.partial_frame) {
            typed.extend(frame);
            self.partial_frame.drain(..len);
        }
        typed
    }
}

impl AsFd for TerminalInputReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Drop for TerminalInputReader {
    fn drop(&mut self) {
        // A pipe that remains has no reader.
        let _ = fs::remove_file(&self.path);
        if let Some(forwarding) = &self.forwarding {
            let _ = (forwarding.0)(InputEvent::Closed(self.run));
        }
    }
}

impl TerminalInputWriter {
    /// Another writer for the same run.
    #[must_use]
    pub fn reopen(&self) -> Self {
        Self { path: self.path.clone(), pipe: None, run: self.run, forwarding: self.forwarding.clone() }
    }

    /// Sends typed bytes. If the pipe becomes full, the rest is dropped.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), TerminalInputError> {
        bytes.chunks(MAX_FRAME_LEN - FRAME_HEADER_LEN).try_for_each(|piece| self.write(BYTES_FRAME, piece))
    }

    /// Sends the size at which the terminal is shown.
    pub fn resize(&mut self, size: WindowSize) -> Result<(), TerminalInputError> {
        self.write(SIZE_FRAME, &bytes(size))
    }

    fn write(&mut self, kind: u8, content: &[u8]) -> Result<(), TerminalInputError> {
        let length = u16::try_from(content.len()).map_err(|_| TerminalInputError::BufferFull)?;
        self.write_frame(&[&[kind], &length.to_le_bytes()[..], content].concat())
    }

    /// Writes a whole frame, or nothing.
    pub(super) fn write_frame(&mut self, frame: &[u8]) -> Result<(), TerminalInputError> {
        if frame.len() > MAX_FRAME_LEN {
            return Err(TerminalInputError::NotConnected);
        }
        self.pipe = self.pipe.take().or_else(|| open_pipe(&self.path));
        let Some(pipe) = &mut self.pipe else {
            let forwarding = self.forwarding.as_ref().ok_or(TerminalInputError::NotConnected)?;
            return (forwarding.0)(InputEvent::Typed(self.run, frame.to_vec()));
        };
        match pipe.write_all(frame) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(TerminalInputError::BufferFull),
            Err(_) => {
                self.pipe = None;
                Err(TerminalInputError::NotConnected)
            }
        }
    }
}

/// Opens the pipe for writing, if it has a reader. Other kinds of file are refused.
fn open_pipe(path: &Path) -> Option<File> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let pipe = open(path, flags, Mode::empty()).ok()?;
    let kind = FileType::from_raw_mode(fstat(&pipe).ok()?.st_mode);
    (kind == FileType::Fifo).then(|| pipe.into())
}

/// The first frame of `bytes` and its length, if the frame is complete. The content is none if it is invalid.
fn first_frame(bytes: &[u8]) -> Option<(Option<TerminalInput>, usize)> {
    let (header, rest) = bytes.split_at_checked(FRAME_HEADER_LEN)?;
    let length = usize::from(u16::from_le_bytes([header[1], header[2]]));
    let content = rest.get(..length)?;
    let typed = match header[0] {
        BYTES_FRAME => Some(TerminalInput::Bytes(content.to_vec())),
        SIZE_FRAME => content.try_into().ok().and_then(size).map(TerminalInput::Size),
        _ => None,
    };
    Some((typed, FRAME_HEADER_LEN + length))
}

fn bytes(size: WindowSize) -> [u8; 4] {
    let ([a, b], [c, d]) = (size.columns.to_le_bytes(), size.rows.to_le_bytes());
    [a, b, c, d]
}

fn size(bytes: [u8; 4]) -> Option<WindowSize> {
    let [a, b, c, d] = bytes;
    let (columns, rows) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
    (columns > 0 && rows > 0).then_some(WindowSize { columns, rows })
}

#[cfg(not(target_vendor = "apple"))]
fn create_fifo(path: &Path) -> io::Result<()> {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, Mode::RUSR | Mode::WUSR)?;
    give_to_owner(path)
}

/// Not available without unsafe code.
#[cfg(target_vendor = "apple")]
fn create_fifo(_path: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
