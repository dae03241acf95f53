//! Sends what is typed into terminals of other machines to the server.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::hex::to_hex;
use super::input_receiver::input_channel;
use super::session::{ServerSession, spawn_thread};
use super::site_client::SiteClient;
use super::sql_text::number;
use crate::model::RunId;
use crate::store::error::StoreError;
use crate::store::terminal_input::TerminalInputError;

/// How many bytes wait in this process at most.
const MAX_WAITING_BYTES: usize = 256 * 1024;
/// How many bytes wait for the worker of a run at most.
const MAX_STORED_BYTES: usize = 1024 * 1024;
/// How long the terminal of a run that has just started is waited for.
const OPEN_ATTEMPTS: u32 = 10;
const OPEN_INTERVAL: Duration = Duration::from_millis(100);

/// Sends frames of input on a thread of its own until it is dropped. Frames that can't be sent are dropped.
pub(super) struct InputSender {
    frames: Sender<(RunId, Vec<u8>)>,
    shared: Arc<SharedState>,
}

#[derive(Default)]
struct SharedState {
    waiting_bytes: AtomicUsize,
    /// Why frames were dropped, until the next frame of their run is sent.
    failures: Mutex<HashMap<RunId, TerminalInputError>>,
}

struct SenderThread {
    client: SiteClient,
    session: Option<ServerSession>,
    shared: Arc<SharedState>,
}

impl InputSender {
    pub(super) fn start(client: &SiteClient) -> Result<Self, StoreError> {
        let (frames, received) = channel();
        let shared = Arc::<SharedState>::default();
        let sender = SenderThread { client: client.clone(), session: None, shared: Arc::clone(&shared) };
        spawn_thread("input-sender", &client.address, move || sender.run(&received))?;
        Ok(Self { frames, shared })
    }

    /// Sends a frame later. Returns why an earlier one was dropped.
    pub(super) fn send(&self, run: RunId, frame: Vec<u8>) -> Result<(), TerminalInputError> {
        let len = frame.len();
        if self.shared.waiting_bytes.fetch_add(len, Ordering::SeqCst) + len > MAX_WAITING_BYTES {
            self.shared.waiting_bytes.fetch_sub(len, Ordering::SeqCst);
            return Err(TerminalInputError::BufferFull);
        }
        self.frames.send((run, frame)).map_err(|_| TerminalInputError::NotConnected)?;
        let mut failures = self.shared.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(&run).map_or(Ok(()), Err)
    }
}

impl SenderThread {
    fn run(mut self, received: &Receiver<(RunId, Vec<u8>)>) {
        while let Ok(first) = received.recv() {
            let mut batch: Vec<(RunId, Vec<Vec<u8>>)> = Vec::new();
            let mut len = 0;
            for (run, frame) in std::iter::once(first).chain(received.try_iter()) {
                len += frame.len();
                match batch.last_mut() {
                    Some((last, frames)) if *last == run => frames.push(frame),
                    _ => batch.push((run, vec![frame])),
                }
            }
            for (run, frames) in batch {
                if let Err(error) = self.send_when_open(run, &frames) {
                    let mut failures = self.shared.failures.lock().unwrap_or_else(PoisonError::into_inner);
                    failures.insert(run, error);
                }
            }
            self.shared.waiting_bytes.fetch_sub(len, Ordering::SeqCst);
        }
    }

    /// Sends frames to a run, whose terminal may be about to be opened.
    fn send_when_open(&mut self, run: RunId, frames: &[Vec<u8>]) -> Result<(), TerminalInputError> {
        for _ in 1..OPEN_ATTEMPTS {
            match self.send(run, frames) {
                Ok(Err(TerminalInputError::NotConnected)) => thread::sleep(OPEN_INTERVAL),
                Ok(sent) => return sent,
                Err(error) => {
                    // Input is not kept for later: the user sees that the server is away.
                    tracing::debug!(%error, "can't send terminal input");
                    return Err(TerminalInputError::NotConnected);
                }
            }
        }
        self.send(run, frames).unwrap_or(Err(TerminalInputError::NotConnected))
    }

    fn send(&mut self, run: RunId, frames: &[Vec<u8>]) -> Result<Result<(), TerminalInputError>, StoreError> {
        let SiteClient { address, clock, site, name } = &self.client;
        let (run, channel) = (run.0, input_channel(*site));
        let rows: Vec<String> =
            frames.iter().enumerate().map(|(nth, frame)| format!("({nth}, '\\x{}'::bytea)", to_hex(frame))).collect();
        // If the connection breaks, frames are lost rather than sent twice.
        let mut session = match self.session.take() {
            Some(session) if !session.is_closed() => session,
            _ => ServerSession::connect(address, clock.clone())?,
        };
        let mut sets = session.run(&format!(
            "SELECT run FROM setlist.terminals WHERE site = {site} AND run = {run}; \
             INSERT INTO setlist.terminal_input (site, run, frame) SELECT t.site, t.run, f.frame \
             FROM setlist.terminals t CROSS JOIN (VALUES {}) f (nth, frame) WHERE t.site = {site} AND t.run = {run} \
             AND (SELECT coalesce(sum(length(i.frame)), 0) FROM setlist.terminal_input i \
             WHERE i.site = {site} AND i.run = {run}) < {MAX_STORED_BYTES} ORDER BY f.nth RETURNING run; \
             NOTIFY {channel}, '0 {name}'",
            rows.join(", ")
        ))?;
        self.session = Some(session);
        let is_open = sets.take(0).first().map(|row| number::<u64>(row, 0)).transpose()?.is_some();
        let is_stored = !sets.take(1).is_empty();
        Ok(match (is_open, is_stored) {
            (false, _) => Err(TerminalInputError::NotConnected),
            (true, false) => Err(TerminalInputError::BufferFull),
            (true, true) => Ok(()),
        })
    }
}
