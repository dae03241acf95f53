//! Sends the output of this machine's runs to the server: the log on this machine is the spool, which a thread reads.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::mem;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::hex::to_hex;
use super::server_address::ServerAddress;
use super::session::{ServerSession, spawn_thread};
use super::sql_text::{insert, nanos};
use crate::model::{RunId, Stream};
use crate::store::error::StoreError;
use crate::store::log::{LogProgress, LogReader, LostNotes, ProgressFn, forget_own};
use crate::store::store_clock::StoreClock;

/// How long output is collected before it is sent.
const COLLECT_INTERVAL: Duration = Duration::from_millis(200);
/// How long to wait before sending again what could not be sent.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long the record of a run's end waits for the rest of its output to be sent.
const MAX_FINISH_WAIT: Duration = Duration::from_secs(10);
/// How many bytes are sent in one message at most.
const MAX_CHUNK_LEN: usize = 256 * 1024;

/// Where the result of the hook of a run is stored among its output, as JSON, and where its artifacts are.
pub(super) const HOOK_RESULT_OFFSET: i64 = -1;
pub(super) const ARTIFACTS_OFFSET: i64 = -2;

/// The statement that stores what belongs to the output of a run, as JSON.
pub(super) fn extra_output_sql(site: i32, run: RunId, offset: i64, content: &impl Serialize) -> String {
    // Only maps with keys that are not strings and paths that are not UTF-8 fail; neither is stored.
    let json = to_hex(&serde_json::to_vec(content).unwrap_or_default());
    let run = run.0;
    format!(
        "INSERT INTO setlist.output VALUES ({site}, {run}, {offset}, 0, 0, '\\x{json}') \
         ON CONFLICT (site, run, at_offset) DO UPDATE SET bytes = excluded.bytes"
    )
}

/// The logs on this machine.
pub(super) struct OutputSpool {
    pub(super) logs: PathBuf,
    /// What is missing from those that can't be written.
    pub(super) lost_notes: LostNotes,
}

/// Sends output until it is dropped.
pub(super) struct OutputUploader {
    messages: Sender<UploadMessage>,
    /// The runs that have ended, and what tells when their output was sent.
    ended: Arc<Mutex<HashMap<RunId, Receiver<()>>>>,
}

enum UploadMessage {
    /// A run has started, whose log keeps at most so many bytes.
    Started(RunId, Box<LogReader>, u64, Arc<AtomicBool>),
    /// A run has printed something.
    Grown,
    /// A run has ended; the sender is to be told when all was sent.
    Finished(RunId, SyncSender<()>),
}

/// The output of a run that is being sent.
struct RunUpload {
    reader: LogReader,
    limit: u64,
    /// How much was sent.
    offset: u64,
    has_grown: Arc<AtomicBool>,
    finished: Option<SyncSender<()>>,
}

impl OutputUploader {
    pub(super) fn start(
        address: &ServerAddress,
        clock: StoreClock,
        site: i32,
        spool: OutputSpool,
    ) -> Result<Self, StoreError> {
        let (messages, received) = channel();
        // It connects when there is something to send, and again if that fails.
        let session = ServerSession::disconnected(address, clock);
        let thread = UploadThread { session, site, spool, received, runs: HashMap::new() };
        spawn_thread("output-upload", address, move || thread.run())?;
        Ok(Self { messages, ended: Arc::default() })
    }

    /// Waits until the output of runs that have ended was sent, but not for long: what can't be sent now is sent later, if
    /// this process lives.
    pub(super) fn wait_until_sent(&self, runs: impl Iterator<Item = RunId>) {
        let until = Instant::now() + MAX_FINISH_WAIT;
        for run in runs {
            let sent = self.ended.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
            if let Some(sent) = sent {
                let _ = sent.recv_timeout(until.saturating_duration_since(Instant::now()));
            }
        }
    }

    /// What the writer of a run's log calls.
    pub(super) fn follow(&self, run: RunId, reader: LogReader, limit: u64) -> ProgressFn {
        let has_grown = Arc::new(AtomicBool::new(false));
        let (messages, ended) = (self.messages.clone(), Arc::clone(&self.ended));
        // The thread only ends when all senders are gone.
        let _ = messages.send(UploadMessage::Started(run, Box::new(reader), limit, Arc::clone(&has_grown)));
        ProgressFn::new(move |progress| match progress {
            LogProgress::Grown => {
                if !has_grown.swap(true, Ordering::SeqCst) {
                    let _ = messages.send(UploadMessage::Grown);
                }
            }
            LogProgress::Finished => {
                let (sent, wait) = sync_channel(1);
                let _ = messages.send(UploadMessage::Finished(run, sent));
                ended.lock().unwrap_or_else(PoisonError::into_inner).insert(run, wait);
            }
        })
    }
}

struct UploadThread {
    session: ServerSession,
    site: i32,
    spool: OutputSpool,
    received: Receiver<UploadMessage>,
    runs: HashMap<RunId, RunUpload>,
}

impl UploadThread {
    fn run(mut self) {
        let mut is_failing = false;
        loop {
            let first = if is_failing {
                match self.received.recv_timeout(RETRY_INTERVAL) {
                    Err(RecvTimeoutError::Disconnected) => return,
                    message => message.ok(),
                }
            } else {
                match self.received.recv() {
                    Ok(message) => Some(message),
                    Err(_) => return,
                }
            };
            let mut is_urgent = first.is_some_and(|message| self.handle(message));
            let until = Instant::now() + COLLECT_INTERVAL;
            while !is_urgent
                && let Ok(message) = self.received.recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                is_urgent = self.handle(message);
            }
            let sent = self.send_all();
            let has_failed_before = mem::replace(&mut is_failing, sent.is_err());
            if let Err(error) = sent
                && !has_failed_before
            {
                tracing::warn!(%error, "can't send output to the server yet");
            }
        }
    }

    /// Returns whether someone waits for the output to be sent.
    fn handle(&mut self, message: UploadMessage) -> bool {
        match message {
            UploadMessage::Started(run, reader, limit, has_grown) => {
                self.runs.insert(run, RunUpload { reader: *reader, limit, offset: 0, has_grown, finished: None });
                false
            }
            UploadMessage::Grown => false,
            UploadMessage::Finished(run, sent) => {
                if let Some(upload) = self.runs.get_mut(&run) {
                    upload.finished = Some(sent);
                }
                true
            }
        }
    }

    fn send_all(&mut self) -> Result<(), StoreError> {
        let (session, site) = (&mut self.session, self.site);
        let mut finished = Vec::new();
        for (run, upload) in &mut self.runs {
            if upload.has_grown.swap(false, Ordering::SeqCst) || upload.finished.is_some() {
                let lost = self.spool.lost_notes.of(*run);
                let sent = upload.send(session, site, *run, lost.as_deref());
                if sent.is_err() {
                    upload.has_grown.store(true, Ordering::SeqCst);
                }
                sent?;
                finished.extend(upload.finished.take().map(|waiting| (*run, waiting)));
            }
        }
        for (run, waiting) in finished {
            self.runs.remove(&run);
            if self.spool.lost_notes.of(run).is_some() {
                forget_own(&self.spool.logs, run);
                self.spool.lost_notes.forget(run);
            }
            // It may have stopped waiting.
            let _ = waiting.try_send(());
        }
        Ok(())
    }
}

impl RunUpload {
    /// Sends what is new, and the end of the output if the run has ended, with what is lost. What was sent is bounded like
    /// the log.
    fn send(
        &mut self,
        session: &mut ServerSession,
        site: i32,
        run: RunId,
        lost: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut buffer = vec![0; MAX_CHUNK_LEN];
        loop {
            let chunk = match self.reader.read_at(self.offset, &mut buffer) {
                // Where it could not be written, it may not be readable either.
                Err(_) if lost.is_some() => break,
                chunk => chunk?,
            };
            if chunk.len == 0 {
                break;
            }
            let rows = self.rows(site, run, chunk.offset, &buffer[..chunk.len]);
            let end = chunk.offset + chunk.len as u64;
            let mut sql = String::new();
            // It may have been sent before the connection broke.
            insert("output", &rows, "ON CONFLICT DO NOTHING", &mut sql);
            let half = self.limit / 2;
            if end > self.limit {
                let from = end - half;
                // A failure to write to a string is impossible.
                let _ = write!(
                    sql,
                    "DELETE FROM setlist.output WHERE site = {site} AND run = {} AND at_offset >= {half} \
                     AND at_offset + length(bytes) <= {from};",
                    run.0
                );
            }
            session.run_again(&sql)?;
            self.offset = end;
        }
        if self.finished.is_some() {
            let (mut sql, mut end) = (String::new(), self.offset);
            if let Some(notice) = lost {
                let row = format!("{site}, {}, {end}, 1, 0, '\\x{}'", run.0, to_hex(notice.as_bytes()));
                insert("output", &[row], "ON CONFLICT DO NOTHING", &mut sql);
                end += notice.len() as u64;
            }
            // A failure to write to a string is impossible.
            let _ =
                write!(sql, "INSERT INTO setlist.output_ends VALUES ({site}, {}, {end}) ON CONFLICT DO NOTHING", run.0);
            session.run_again(&sql)?;
        }
        Ok(())
    }

    /// The rows of output from an offset on: one for each origin.
    fn rows(&mut self, site: i32, run: RunId, mut offset: u64, mut bytes: &[u8]) -> Vec<String> {
        let mut rows = Vec::new();
        while !bytes.is_empty() {
            let span = self.reader.span_at(offset);
            let len = usize::try_from(span.end.saturating_sub(offset)).unwrap_or(usize::MAX).clamp(1, bytes.len());
            let (part, rest) = bytes.split_at(len);
            let stream = i32::from(span.origin.is_some_and(|origin| origin.stream == Stream::Err));
            let at = span.origin.map_or(0, |origin| nanos(origin.at));
            rows.push(format!("{site}, {}, {offset}, {stream}, {at}, '\\x{}'", run.0, to_hex(part)));
            offset += len as u64;
            bytes = rest;
        }
        rows
    }
}
