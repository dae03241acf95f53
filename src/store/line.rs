//! How a screen reaches a run in a pseudo-terminal: a named pipe per run, into which any screen writes what is typed and
//! how large it shows the terminal. Nothing of it is kept, since it may be a password.
//!
//! What is written is a row of frames: a byte that says what it is, the length in two bytes, the content. A frame is
//! short enough for the system to write it whole or not at all, so several screens don't mix theirs up.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};

use super::StoreError;
use super::folder::{make_folder, open_private};
use crate::model::{RunId, Typed, WindowSize};

/// The lines of a site.
#[derive(Clone, Debug)]
pub struct Lines {
    folder: PathBuf,
}

/// A worker's end of a line; the line is there as long as this is.
#[derive(Debug)]
pub struct LineReader {
    path: PathBuf,
    pipe: File,
    /// The beginning of a frame.
    rest: Vec<u8>,
}

/// A screen's end of a line. Nothing that it does ever waits.
#[derive(Debug)]
pub struct LineWriter {
    path: PathBuf,
    pipe: Option<File>,
}

/// Why a run can't be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// Nobody listens: the run has not begun to, is over, or its worker has died.
    #[error("nobody listens")]
    Gone,
    /// What was typed before has not been read yet.
    #[error("it doesn't read what is typed")]
    Full,
}

const BYTES: u8 = 1;
const SIZE: u8 = 2;
const HEADER: usize = 3;
/// The most that is written at once; the system takes that much whole everywhere.
const FRAME: usize = 512;
/// How much a line holds that is read late, where that can be chosen.
const ROOM: usize = 1024 * 1024;

impl Lines {
    /// The lines that are in `folder`; nothing is made before there is one.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Opens the line of a run, in place of one that was left behind.
    pub fn reader(&self, run: RunId) -> Result<LineReader, StoreError> {
        make_folder(&self.folder)?;
        let path = self.path(run);
        self.remove(run);
        let failed = |source| StoreError::io(&path, source);
        make(&path).map_err(failed)?;
        // For writing too: otherwise it would read as ended whenever a screen leaves.
        let pipe = open(&path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
        let pipe = pipe.map_err(|error| failed(error.into()))?;
        // It only holds less otherwise.
        #[cfg(target_os = "linux")]
        let _ = rustix::pipe::fcntl_setpipe_size(&pipe, ROOM);
        Ok(LineReader { path, pipe: pipe.into(), rest: Vec::new() })
    }

    /// The line of a run, whether it is there yet or not.
    pub fn writer(&self, run: RunId) -> LineWriter {
        LineWriter { path: self.path(run), pipe: None }
    }

    /// Takes away what a worker that died has left of a run's line.
    pub fn remove(&self, run: RunId) {
        // If it stays, nobody listens.
        let _ = fs::remove_file(self.path(run));
    }

    /// The size in which a screen showed a terminal last; the usual one when none has.
    pub fn size(&self) -> WindowSize {
        let mut bytes = [0; 4];
        let read = File::open(self.size_path()).and_then(|file| file.read_exact_at(&mut bytes, 0));
        read.ok().and_then(|()| size(bytes)).unwrap_or_default()
    }

    /// Runs begin with this size from now on.
    pub fn set_size(&self, size: WindowSize) -> Result<(), StoreError> {
        make_folder(&self.folder)?;
        let path = self.size_path();
        open_private(&path)?.write_all_at(&bytes(size), 0).map_err(|source| StoreError::io(path, source))
    }

    fn path(&self, run: RunId) -> PathBuf {
        self.folder.join(run.to_string())
    }

    fn size_path(&self) -> PathBuf {
        self.folder.join("size")
    }
}

impl LineReader {
    /// What has come by now, in order; without waiting.
    pub fn read(&mut self) -> Vec<Typed> {
        let mut buffer = [0; 16 * 1024];
        match self.pipe.read(&mut buffer) {
            Ok(len) => self.rest.extend_from_slice(&buffer[..len]),
            // Nothing, or nothing any more; there is nobody to tell.
            Err(_) => return Vec::new(),
        }
        let mut typed = Vec::new();
        while let Some((frame, len)) = first_frame(&self.rest) {
            typed.extend(frame);
            self.rest.drain(..len);
        }
        typed
    }
}

impl AsFd for LineReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Drop for LineReader {
    fn drop(&mut self) {
        // If it stays, nobody listens.
        let _ = fs::remove_file(&self.path);
    }
}

impl LineWriter {
    /// Another end of the same line.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { path: self.path.clone(), pipe: None }
    }

    /// Sends what was typed. When the line is full in the middle of it, the rest is dropped.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Unreachable> {
        bytes.chunks(FRAME - HEADER).try_for_each(|piece| self.write(BYTES, piece))
    }

    /// Says how large the terminal is shown.
    pub fn resize(&mut self, size: WindowSize) -> Result<(), Unreachable> {
        self.write(SIZE, &bytes(size))
    }

    fn write(&mut self, kind: u8, content: &[u8]) -> Result<(), Unreachable> {
        let length = u16::try_from(content.len()).map_err(|_| Unreachable::Full)?;
        let frame = [&[kind], &length.to_le_bytes()[..], content].concat();
        let pipe = match &mut self.pipe {
            Some(pipe) => pipe,
            none => none.insert(open_pipe(&self.path).ok_or(Unreachable::Gone)?),
        };
        match pipe.write_all(&frame) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Unreachable::Full),
            Err(_) => {
                self.pipe = None;
                Err(Unreachable::Gone)
            }
        }
    }
}

/// The screen's end, if somebody listens. What is typed goes to nothing but a pipe.
fn open_pipe(path: &Path) -> Option<File> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let pipe = open(path, flags, Mode::empty()).ok()?;
    let kind = FileType::from_raw_mode(fstat(&pipe).ok()?.st_mode);
    (kind == FileType::Fifo).then(|| pipe.into())
}

/// The frame at the start of `bytes`, if all of it is there, and its length; nothing that makes no sense.
fn first_frame(bytes: &[u8]) -> Option<(Option<Typed>, usize)> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let length = usize::from(u16::from_le_bytes([header[1], header[2]]));
    let content = rest.get(..length)?;
    let typed = match header[0] {
        BYTES => Some(Typed::Bytes(content.to_vec())),
        SIZE => content.try_into().ok().and_then(size).map(Typed::Size),
        _ => None,
    };
    Some((typed, HEADER + length))
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
fn make(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::mkfifoat(rustix::fs::CWD, path, Mode::RUSR | Mode::WUSR)?)
}

/// Without unsafe code there is no way to make one here.
#[cfg(target_vendor = "apple")]
fn make(_path: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
