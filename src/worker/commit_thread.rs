//! Commits transactions on a separate thread, so that the worker can supervise its runs meanwhile.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::model::Command;
use crate::runner::with_sigchld_blocked;
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
pub(super) type CommitReply = Result<(Box<dyn Store>, CommitOutcome), Box<dyn Any + Send>>;

/// A thread that commits batches. Started by the first one.
pub(super) struct CommitThread {
    /// None until the thread has been started.
    requests: Option<Sender<CommitRequest>>,
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
    pub(super) fn new() -> Self {
        Self { requests: None }
    }

    /// Commits the batch on the thread, which then calls `reply` with the store. If the thread can't be started, returns the
    /// store and the batch.
    pub(super) fn submit(
        &mut self,
        store: Box<dyn Store>,
        batch: Batch,
        reply: impl Fn(CommitReply) + Send + 'static,
    ) -> Result<(), CommitRequest> {
        let requests = if let Some(requests) = self.requests.take() {
            requests
        } else {
            let (requests, incoming) = channel::<CommitRequest>();
            let work = move || {
                for (mut store, batch) in incoming {
                    reply(catch_unwind(AssertUnwindSafe(move || {
                        let outcome = batch.commit(store.as_mut());
                        (store, outcome)
                    })));
                }
            };
            if with_sigchld_blocked(|| thread::Builder::new().name("commit".to_owned()).spawn(work)).is_err() {
                return Err((store, batch));
            }
            requests
        };
        requests.send((store, batch)).map_err(|refused| refused.0)?;
        self.requests = Some(requests);
        Ok(())
    }
}
