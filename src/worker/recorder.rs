//! Makes transactions on a thread of its own, so that the worker can look after its runs meanwhile.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::model::Command;
use crate::runner::undisturbed;
use crate::store::{Store, StoreError, Timed, Transacted};

/// What is to be done in one transaction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Each command, and when it is decided.
    pub(super) commands: Vec<(Command, DateTime<Utc>)>,
    /// How many of them claim whatever is next.
    pub(super) claims: usize,
}

/// A transaction that was tried.
pub(super) struct Tried {
    pub(super) batch: Batch,
    pub(super) result: Result<Transacted, StoreError>,
    /// How long it took.
    pub(super) took: Duration,
}

/// A store that is lent out, with what is to be recorded there.
type Lent = (Box<dyn Store>, Batch);

/// What comes back: the store and what was tried, or the panic in which both were lost.
pub(super) type Back = Result<(Box<dyn Store>, Tried), Box<dyn Any + Send>>;

/// The thread, once there is one.
pub(super) struct Recorder {
    lend: Option<Sender<Lent>>,
}

impl Batch {
    /// Makes the transaction, here and now.
    pub(super) fn record(self, store: &mut dyn Store) -> Tried {
        let began = Instant::now();
        let commands: Vec<Timed<'_>> = self.commands.iter().map(|(command, at)| (command, *at)).collect();
        let result = store.transact(&commands);
        Tried { batch: self, result, took: began.elapsed() }
    }
}

impl Recorder {
    /// Nothing is lent yet.
    pub(super) fn new() -> Self {
        Self { lend: None }
    }

    /// Makes the transaction on the thread, which gives `back` the store when it has. Where there can't be
    /// a thread, the store and the batch come back at once.
    pub(super) fn record(
        &mut self,
        store: Box<dyn Store>,
        batch: Batch,
        back: impl Fn(Back) + Send + 'static,
    ) -> Result<(), Lent> {
        let lend = if let Some(lend) = self.lend.take() {
            lend
        } else {
            let (lend, batches) = channel::<Lent>();
            let work = move || {
                for (mut store, batch) in batches {
                    back(catch_unwind(AssertUnwindSafe(move || {
                        let tried = batch.record(store.as_mut());
                        (store, tried)
                    })));
                }
            };
            if undisturbed(|| thread::Builder::new().name("recorder".to_owned()).spawn(work)).is_err() {
                return Err((store, batch));
            }
            lend
        };
        lend.send((store, batch)).map_err(|refused| refused.0)?;
        self.lend = Some(lend);
        Ok(())
    }
}
