//! Commits transactions on a separate thread, so that the worker can supervise its runs meanwhile.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::model::Command;
use crate::runner::{Waker, with_sigchld_blocked};
use crate::store::{Store, StoreError, TimedCommand, TransactionReport};

/// The commands of one transaction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Each command, and the time at which it happens.
    pub(super) commands: Vec<(Command, DateTime<Utc>)>,
    /// How many of them are claims.
    pub(super) claims: usize,
}

/// A transaction that was committed or has failed.
pub(super) struct CommitOutcome {
    pub(super) batch: Batch,
    pub(super) result: Result<TransactionReport, StoreError>,
    /// How long it took.
    pub(super) duration: Duration,
}

/// A batch, and the store to commit it to.
type CommitRequest = (Box<dyn Store>, Batch);

/// The store and the outcome, or the panic that both were lost in.
type CommitReply = thread::Result<(Box<dyn Store>, CommitOutcome)>;

/// A thread that commits batches. Started by the first one.
pub(super) struct CommitThread {
    /// Wakes the event loop when a commit has ended.
    waker: Waker,
    /// The channels to and from the thread, once it has been started.
    channels: Option<(Sender<CommitRequest>, Receiver<CommitReply>)>,
}

impl Batch {
    /// Commits the transaction on the calling thread.
    pub(super) fn commit(self, store: &mut dyn Store) -> CommitOutcome {
        let began = Instant::now();
        let commands: Vec<TimedCommand<'_>> = self.commands.iter().map(|(command, at)| (command, *at)).collect();
        let result = store.transact(&commands);
        CommitOutcome { batch: self, result, duration: began.elapsed() }
    }
}

impl CommitThread {
    pub(super) fn new(waker: Waker) -> Self {
        Self { waker, channels: None }
    }

    /// Begins to commit the batch; [`take_result`](Self::take_result) returns the store. If the thread can't be started,
    /// returns the store and the batch.
    pub(super) fn submit(&mut self, store: Box<dyn Store>, batch: Batch) -> Result<(), CommitRequest> {
        if self.channels.is_none() {
            self.channels = start(self.waker.clone()).ok();
        }
        match &self.channels {
            Some((requests, _)) => requests.send((store, batch)).map_err(|refused| refused.0),
            None => Err((store, batch)),
        }
    }

    /// The store and the outcome, if the commit has ended. Continues a panic of the commit.
    pub(super) fn take_result(&self) -> Option<(Box<dyn Store>, CommitOutcome)> {
        let reply = self.channels.as_ref()?.1.try_recv().ok()?;
        Some(reply.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

fn start(waker: Waker) -> io::Result<(Sender<CommitRequest>, Receiver<CommitReply>)> {
    let (requests, incoming) = channel::<CommitRequest>();
    let (outgoing, replies) = channel();
    let work = move || {
        for (mut store, batch) in incoming {
            let reply = catch_unwind(AssertUnwindSafe(move || {
                let outcome = batch.commit(store.as_mut());
                (store, outcome)
            }));
            // Fails if the worker has already exited.
            if outgoing.send(reply).is_ok() {
                waker.wake();
            }
        }
    };
    with_sigchld_blocked(|| thread::Builder::new().name("commit".to_owned()).spawn(work))?;
    Ok((requests, replies))
}
