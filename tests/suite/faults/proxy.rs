//! A proxy between workers and a server that breaks connections, at a chosen message or all at once.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use tempfile::TempDir;

/// The direction of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    ToServer,
    ToClient,
}

/// How a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    /// Both ends are closed.
    Close,
    /// Same, and new connections are refused from then on.
    CloseAndRefuse,
    /// Nothing arrives any more, and neither end notices.
    Silence,
}

/// Where the next connection breaks.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub(super) direction: Direction,
    /// How many messages in this direction pass first, over all connections.
    pub(super) after: usize,
    /// How many bytes of the next message pass.
    pub(super) bytes: usize,
    /// Only messages with this text count.
    pub(super) text: &'static str,
    pub(super) how: Break,
}

/// What the proxy does with all connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Pass,
    /// Accepts connections, and loses what is sent over them.
    Silence,
    /// Closes connections at once.
    Refuse,
}

/// A proxy. Its threads end with the process.
pub(super) struct Proxy {
    folder: TempDir,
    state: Arc<Mutex<State>>,
}

struct State {
    mode: Mode,
    cut: Option<Cut>,
    /// Both ends of all connections.
    ends: Vec<UnixStream>,
}

/// One direction of a connection.
struct Pump {
    direction: Direction,
    from: UnixStream,
    to: UnixStream,
    /// Whether the connection has lost something; then nothing else arrives.
    is_silent: Arc<Mutex<bool>>,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// A proxy in front of the server with this socket.
    pub(super) fn start(server: PathBuf) -> Self {
        let folder = TempDir::with_prefix("setlist-proxy").unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let state = Arc::new(Mutex::new(State { mode: Mode::Pass, cut: None, ends: Vec::new() }));
        let accepted = Arc::clone(&state);
        thread::spawn(move || listener.incoming().flatten().for_each(|client| connect(&client, &server, &accepted)));
        Self { folder, state }
    }

    /// The folder of its socket.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn set_mode(&self, mode: Mode) {
        self.state().mode = mode;
        if mode == Mode::Refuse {
            self.break_all();
        }
    }

    pub(super) fn cut(&self, cut: Cut) {
        self.state().cut = Some(cut);
    }

    /// Removes a cut that has not happened; returns whether it has.
    pub(super) fn has_cut(&self) -> bool {
        self.state().cut.take().is_none()
    }

    /// Closes all connections.
    pub(super) fn break_all(&self) {
        for end in self.state().ends.drain(..) {
            // It may have ended before.
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn connect(client: &UnixStream, server: &Path, state: &Arc<Mutex<State>>) {
    if state.lock().unwrap().mode == Mode::Refuse {
        return;
    }
    // It closes the connection if the server is not there.
    let Ok(server) = UnixStream::connect(server) else { return };
    let clone = |end: &UnixStream| end.try_clone().unwrap();
    state.lock().unwrap().ends.extend([clone(client), clone(&server)]);
    let is_silent = Arc::new(Mutex::new(false));
    for (direction, from, to) in [(Direction::ToServer, client, &server), (Direction::ToClient, &server, client)] {
        let pump = Pump {
            direction,
            from: clone(from),
            to: clone(to),
            is_silent: Arc::clone(&is_silent),
            state: Arc::clone(state),
        };
        thread::spawn(move || pump.run());
    }
}

impl Pump {
    /// Forwards messages until an end is closed.
    fn run(mut self) {
        let mut buffer = Vec::new();
        let mut chunk = vec![0; 64 * 1024];
        // The first message of a client has no type.
        let mut has_type = self.direction == Direction::ToClient;
        loop {
            let length = match self.from.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            buffer.extend_from_slice(&chunk[..length]);
            while let Some(length) = message_length(&buffer, has_type) {
                let message: Vec<u8> = buffer.drain(..length).collect();
                has_type = true;
                if !self.forward(&message) {
                    self.close();
                    return;
                }
            }
        }
        self.close();
    }

    /// Forwards a message, unless it is lost. Returns whether the connection remains.
    fn forward(&mut self, message: &[u8]) -> bool {
        let mut state = self.state.lock().unwrap();
        let mut is_silent = self.is_silent.lock().unwrap();
        *is_silent |= state.mode == Mode::Silence;
        if *is_silent {
            return true;
        }
        let direction = self.direction;
        let is_counted =
            |cut: &&mut Cut| cut.direction == direction && memchr::memmem::find(message, cut.text.as_bytes()).is_some();
        if let Some(cut) = state.cut.as_mut().filter(is_counted) {
            if cut.after == 0 {
                let (how, bytes) = (cut.how, cut.bytes.min(message.len()));
                state.cut = None;
                *is_silent = how == Break::Silence;
                if how == Break::CloseAndRefuse {
                    state.mode = Mode::Refuse;
                }
                // The other end may be gone.
                return self.to.write_all(&message[..bytes]).is_ok() && *is_silent;
            }
            cut.after -= 1;
        }
        drop((state, is_silent));
        self.to.write_all(message).is_ok()
    }

    fn close(&self) {
        let _ = (self.from.shutdown(Shutdown::Both), self.to.shutdown(Shutdown::Both));
    }
}

/// The length of the first message if it is complete.
fn message_length(buffer: &[u8], has_type: bool) -> Option<usize> {
    let start = usize::from(has_type);
    let length: [u8; 4] = buffer.get(start..start + 4)?.try_into().unwrap();
    let length = start + usize::try_from(u32::from_be_bytes(length)).unwrap();
    (buffer.len() >= length).then_some(length)
}
