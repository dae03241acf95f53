//! Receives what is typed on other machines into the terminals of this one, and writes it into their pipes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::hex::from_hex;
use super::listener;
use super::session::{ServerSession, spawn_thread};
use super::site_client::SiteClient;
use super::sql_text::{number, text};
use crate::model::RunId;
use crate::store::error::StoreError;
use crate::store::notifier::{NotifyFn, Subscription};
use crate::store::terminal_input::{TerminalInputError, TerminalInputWriter};

/// How long to wait before writing again into a pipe that was full, or connecting again.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// How often to look without a notification while a terminal is open.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// How many frames are read with one message.
const FRAMES_PER_MESSAGE: usize = 256;

/// The channel on which input is announced.
pub(super) fn input_channel(site: i32) -> String {
    format!("setlist_{site}_input")
}

/// Receives input until it is dropped.
pub(super) struct InputReceiver {
    messages: Sender<ReceiverMessage>,
}

enum ReceiverMessage {
    /// A run has opened its terminal, which reads from this pipe.
    Opened(RunId, TerminalInputWriter),
    /// A run has closed its terminal.
    Closed(RunId),
    /// Something was typed.
    Typed,
    /// No run of this process opens a terminal any more.
    Stop,
}

struct ReceiverThread {
    client: SiteClient,
    /// Announces what was typed.
    typed: NotifyFn,
    connection: Option<(ServerSession, Subscription)>,
    terminals: HashMap<RunId, TerminalInputWriter>,
    /// Runs whose terminals were closed, and that the server still takes for open.
    closed: BTreeSet<RunId>,
    /// Frames that were written, and that the server still has.
    delivered: BTreeSet<i64>,
}

impl InputReceiver {
    pub(super) fn start(client: &SiteClient) -> Result<Self, StoreError> {
        let (messages, received) = channel();
        let sender = messages.clone();
        let thread = ReceiverThread {
            client: client.clone(),
            typed: Arc::new(move || drop(sender.send(ReceiverMessage::Typed))),
            connection: None,
            terminals: HashMap::new(),
            closed: BTreeSet::new(),
            delivered: BTreeSet::new(),
        };
        spawn_thread("input-receiver", &client.address, move || thread.run(&received))?;
        Ok(Self { messages })
    }

    /// A run has opened its terminal, which reads from a pipe.
    pub(super) fn open(&self, run: RunId, pipe: TerminalInputWriter) {
        // The thread only ends after `Stop`.
        let _ = self.messages.send(ReceiverMessage::Opened(run, pipe));
    }

    /// A run has closed its terminal.
    pub(super) fn close(&self, run: RunId) {
        let _ = self.messages.send(ReceiverMessage::Closed(run));
    }
}

impl Drop for InputReceiver {
    fn drop(&mut self) {
        let _ = self.messages.send(ReceiverMessage::Stop);
    }
}

impl ReceiverThread {
    fn run(mut self, messages: &Receiver<ReceiverMessage>) {
        // Whether something has to be tried again soon.
        let (mut is_unfinished, mut stops) = (false, false);
        while !stops {
            let wait = if is_unfinished { RETRY_INTERVAL } else { LOOK_INTERVAL };
            let is_idle = !is_unfinished && self.terminals.is_empty();
            let first = if is_idle {
                messages.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                messages.recv_timeout(wait)
            };
            let first = match first {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            for message in first.into_iter().chain(messages.try_iter()) {
                match message {
                    ReceiverMessage::Opened(run, pipe) => _ = self.terminals.insert(run, pipe),
                    ReceiverMessage::Closed(run) => {
                        self.terminals.remove(&run);
                        self.closed.insert(run);
                    }
                    ReceiverMessage::Typed => {}
                    ReceiverMessage::Stop => stops = true,
                }
            }
            is_unfinished = self.receive().unwrap_or_else(|error| {
                tracing::debug!(%error, "can't receive terminal input");
                self.connection = None;
                true
            });
        }
    }

    /// Tells the server which terminals are open, and writes what was typed into their pipes. Returns whether something is
    /// left for later.
    fn receive(&mut self) -> Result<bool, StoreError> {
        let SiteClient { address, clock, site, name } = &self.client;
        let (session, _) = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let session = ServerSession::connect(address, clock.clone())?;
                let channel = input_channel(*site);
                let subscription = listener::subscribe(address, &channel, name, Arc::clone(&self.typed))?;
                none.insert((session, subscription))
            }
        };
        loop {
            let mut statements = Vec::new();
            if !self.closed.is_empty() {
                let closed = list(self.closed.iter().map(|run| run.0));
                statements.push(format!("DELETE FROM setlist.terminals WHERE site = {site} AND run IN ({closed})"));
            }
            if !self.delivered.is_empty() {
                let delivered = list(self.delivered.iter());
                statements.push(format!("DELETE FROM setlist.terminal_input WHERE id IN ({delivered})"));
            }
            if self.terminals.is_empty() {
                session.run(&statements.join(";"))?;
                (self.closed, self.delivered) = (BTreeSet::new(), BTreeSet::new());
                return Ok(false);
            }
            // A server that has crashed has forgotten which are open.
            let rows: Vec<String> = self.terminals.keys().map(|run| format!("({site}, {})", run.0)).collect();
            statements.push(format!("INSERT INTO setlist.terminals VALUES {} ON CONFLICT DO NOTHING", rows.join(", ")));
            let runs = list(self.terminals.keys().map(|run| run.0));
            let inputs = statements.len();
            statements.push(format!(
                "SELECT id, run, encode(frame, 'hex') FROM setlist.terminal_input \
                 WHERE site = {site} AND run IN ({runs}) ORDER BY id LIMIT {FRAMES_PER_MESSAGE}"
            ));
            let rows = session.run(&statements.join(";"))?.take(inputs);
            (self.closed, self.delivered) = (BTreeSet::new(), BTreeSet::new());
            let mut full = BTreeSet::new();
            for row in &rows {
                let (id, run) = (number(row, 0)?, RunId(number(row, 1)?));
                let frame = text(row, 2)?.and_then(from_hex).unwrap_or_default();
                let Some(pipe) = self.terminals.get_mut(&run).filter(|_| !full.contains(&run)) else { continue };
                match pipe.write_frame(&frame) {
                    Err(TerminalInputError::BufferFull) => _ = full.insert(run),
                    Ok(()) | Err(TerminalInputError::NotConnected) => _ = self.delivered.insert(id),
                }
            }
            if self.delivered.is_empty() {
                return Ok(!full.is_empty());
            }
        }
    }
}

fn list(numbers: impl Iterator<Item: ToString>) -> String {
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(", ")
}
