//! Fetches the output of runs of other machines into logs of this one, and follows it while it is read.

use std::fs::File;
use std::io::{Read, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use chrono::DateTime;
use postgres::SimpleQueryRow;

use super::hex::from_hex;
use super::output_upload::HOOK_RESULT_OFFSET;
use super::server_address::ServerAddress;
use super::session::ServerSession;
use super::sql_text::{number, text};
use crate::model::{RunId, Stream};
use crate::store::error::StoreError;
use crate::store::log::{Fetch, FetchFn, LogReader, LogWriter, is_own, omission_notice, save_hook_result};
use crate::store::private_files::{create_private_dir, open_private};
use crate::store::store_clock::StoreClock;

/// How often to look for more output while it is read.
const POLL_INTERVAL: Duration = Duration::from_millis(400);
/// How many parts are fetched with one message.
const PARTS_PER_MESSAGE: usize = 64;
/// How long the end of a run is waited for.
const MAX_REST_WAIT: Duration = Duration::from_secs(5);
/// How long to wait before fetching again after that has failed, at first and at most.
const MIN_RETRY_INTERVAL: Duration = Duration::from_secs(1);
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// The limit of a fetched log: what the server has is bounded already.
const LOG_LIMIT: u64 = 1 << 30;

/// What is recorded when a log is complete.
const COMPLETE: &[u8] = b"complete";

/// The output of one run, which is fetched when it is read for the first time.
struct Download {
    address: ServerAddress,
    clock: StoreClock,
    site: i32,
    logs: PathBuf,
    run: RunId,
    is_started: Mutex<bool>,
    /// Where to ask for the rest, while a thread follows the output.
    rest_requests: Mutex<Option<Sender<SyncSender<()>>>>,
}

/// A download in progress.
struct ActiveDownload {
    session: ServerSession,
    site: i32,
    run: RunId,
    writer: LogWriter,
    /// The offset after what was fetched.
    next: u64,
    /// Keeps other processes from writing the same log.
    lock: File,
}

/// A reader of the output of a run, which is fetched unless the run is one of this machine.
pub(super) fn reader(address: &ServerAddress, clock: &StoreClock, site: i32, logs: &Path, run: RunId) -> LogReader {
    let reader = LogReader::new(logs.to_owned(), run);
    if is_own(logs, run) {
        return reader;
    }
    let download = Arc::new(Download {
        address: address.clone(),
        clock: clock.clone(),
        site,
        logs: logs.to_owned(),
        run,
        is_started: Mutex::new(false),
        rest_requests: Mutex::default(),
    });
    reader.fetched_by(FetchFn::new(move |wanted| match wanted {
        Fetch::Start => download.start(),
        Fetch::Rest => {
            download.start();
            download.wait_for_rest();
        }
        Fetch::HookResult => {
            if let Err(error) = download.fetch_hook_result() {
                tracing::warn!(%error, run = %download.run, "can't fetch the result of on_finish");
            }
        }
    }))
}

impl Download {
    /// Fetches what there is, and starts to follow the rest, once. If that fails, it is tried again on a thread, so that
    /// later reads don't wait for a server that is away.
    fn start(self: &Arc<Self>) {
        let mut is_started = self.is_started.lock().unwrap_or_else(PoisonError::into_inner);
        if mem::replace(&mut *is_started, true) {
            return;
        }
        let Err(error) = self.fetch() else { return };
        tracing::warn!(%error, run = %self.run, "can't fetch the output of a run yet");
        let readers = Arc::downgrade(self);
        let fetch_later = move || {
            let mut wait = MIN_RETRY_INTERVAL;
            loop {
                thread::sleep(wait);
                wait = MAX_RETRY_INTERVAL.min(wait * 2);
                let Some(download) = readers.upgrade() else { return };
                match download.fetch() {
                    Ok(()) => return,
                    Err(error) => tracing::debug!(%error, run = %download.run, "can't fetch output"),
                }
            }
        };
        // Without a thread, the next read tries again.
        *is_started = thread::Builder::new().name("output-retry".to_owned()).spawn(fetch_later).is_ok();
    }

    /// Waits until all was fetched that the server has by now.
    fn wait_for_rest(&self) {
        let requests = self.rest_requests.lock().unwrap_or_else(PoisonError::into_inner);
        let (fetched, wait) = sync_channel(1);
        // The thread ends when it has fetched everything.
        if let Some(requests) = &*requests
            && requests.send(fetched).is_ok()
        {
            let _ = wait.recv_timeout(MAX_REST_WAIT);
        }
    }

    fn fetch_hook_result(&self) -> Result<(), StoreError> {
        let mut session = ServerSession::connect(&self.address, self.clock.clone())?;
        let (site, run) = (self.site, self.run.0);
        let rows = session
            .run(&format!(
                "SELECT encode(bytes, 'hex') FROM setlist.output \
                 WHERE site = {site} AND run = {run} AND at_offset = {HOOK_RESULT_OFFSET}"
            ))?
            .take(0);
        let json = rows.first().map(|row| text(row, 0)).transpose()?.flatten().and_then(from_hex);
        match json.and_then(|json| serde_json::from_slice(&json).ok()) {
            Some(result) => save_hook_result(&self.logs, self.run, &result),
            None => Ok(()),
        }
    }

    fn fetch(self: &Arc<Self>) -> Result<(), StoreError> {
        create_private_dir(&self.logs)?;
        let path = self.logs.join(format!("{}.fetched", self.run));
        let mut lock = open_private(&path)?;
        // Otherwise another process fetches it now.
        if lock.try_lock().is_err() {
            return Ok(());
        }
        let mut state = Vec::new();
        lock.read_to_end(&mut state).map_err(|source| StoreError::io(path, source))?;
        if state == COMPLETE {
            return Ok(());
        }
        let mut active = ActiveDownload {
            session: ServerSession::connect(&self.address, self.clock.clone())?,
            site: self.site,
            run: self.run,
            writer: LogWriter::new(self.logs.clone(), self.run, LOG_LIMIT),
            next: 0,
            lock,
        };
        if active.fetch_more()? {
            active.finish();
            return Ok(());
        }
        let readers = Arc::downgrade(self);
        let (requests, requested) = channel();
        *self.rest_requests.lock().unwrap_or_else(PoisonError::into_inner) = Some(requests);
        let failed = |source| StoreError::io(&self.logs, source);
        thread::Builder::new()
            .name("output-download".to_owned())
            .spawn(move || active.follow(&readers, &requested))
            .map_err(failed)?;
        Ok(())
    }
}

impl ActiveDownload {
    /// Follows the output until its end, or until no reader is left.
    fn follow(mut self, readers: &Weak<Download>, rest_requests: &Receiver<SyncSender<()>>) {
        while readers.strong_count() > 0 {
            let request = rest_requests.recv_timeout(POLL_INTERVAL).ok();
            let fetched = self.fetch_more();
            if let Err(error) = &fetched {
                tracing::debug!(%error, "can't fetch output");
            }
            if let Some(waiting) = request {
                // It may have stopped waiting.
                let _ = waiting.try_send(());
            }
            if fetched.unwrap_or(false) {
                return self.finish();
            }
        }
    }

    /// Fetches what is new; returns whether that was all.
    fn fetch_more(&mut self) -> Result<bool, StoreError> {
        loop {
            let (site, run, next) = (self.site, self.run.0, self.next);
            let mut sets = self.session.run_again(&format!(
                "SELECT length FROM setlist.output_ends WHERE site = {site} AND run = {run}; \
                 SELECT at_offset, stream, at, encode(bytes, 'hex') FROM setlist.output \
                 WHERE site = {site} AND run = {run} AND at_offset >= {next} ORDER BY at_offset LIMIT {PARTS_PER_MESSAGE}"
            ))?;
            let end: Option<u64> = sets.take(0).first().map(|row| number(row, 0)).transpose()?;
            let parts = sets.take(1);
            parts.iter().try_for_each(|row| self.append(row))?;
            if parts.len() < PARTS_PER_MESSAGE {
                return Ok(end.is_some_and(|end| self.next >= end));
            }
        }
    }

    fn append(&mut self, row: &SimpleQueryRow) -> Result<(), StoreError> {
        let offset: u64 = number(row, 0)?;
        let stream = if number::<i32>(row, 1)? == 0 { Stream::Out } else { Stream::Err };
        let at = DateTime::from_timestamp_nanos(number(row, 2)?);
        let bytes = text(row, 3)?.and_then(from_hex);
        let bytes = bytes.ok_or_else(|| StoreError::UnreadableRow { reason: "output is not in hex".to_owned() })?;
        if offset > self.next {
            self.writer.write(stream, format!("\n{}\n", omission_notice(offset - self.next)).as_bytes(), at)?;
        }
        self.writer.write(stream, &bytes, at)?;
        self.next = offset + bytes.len() as u64;
        Ok(())
    }

    fn finish(mut self) {
        if self.writer.finish().is_ok() {
            // If it fails, the log is fetched again.
            let _ = self.lock.write_all(COMPLETE);
        }
    }
}
