//! Floor 1: where sites are kept, so that nothing acknowledged is lost.
//!
//! A [`Store`] decides commands inside a transaction and answers when the outcome is durable. Every backend passes one
//! contract suite. What runs print is kept beside the store, in [`log`].

mod bell;
mod error;
mod folder;
mod gate;
mod line;
pub mod log;
mod memory;
mod roll;
mod sqlite;
mod vigil;

use chrono::{DateTime, Utc};

use crate::model::{
    Command, Event, HookEnd, Job, JobId, Ledger, QueueView, Recorded, Refusal, Run, RunId, Worker, WorkerId,
};
use log::{LogReader, LogWriter};

pub use bell::{Listener, Ring};
pub use error::StoreError;
pub use folder::Folder;
pub use gate::Gate;
pub use line::{LineReader, LineWriter, Lines, Unreachable};
pub use memory::Memory;
pub use roll::{Begun, RollCall, WorkerLock};
pub use sqlite::Sqlite;
pub use vigil::Vigil;

/// How many events a store keeps at least for those who follow it; whoever is further behind loads the site again,
/// which is faster by then.
const KEPT_EVENTS: u64 = 10_000;

/// What became of one command: its events, or why it was refused. A refused command changes nothing.
pub type Answer = Result<Vec<Event>, Refusal>;

/// What a site has given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// How many finished jobs were taken out of their queues.
    pub jobs: usize,
    /// How many runs are no longer on record.
    pub runs: usize,
    /// How many bytes of output were deleted.
    pub bytes: u64,
}

/// What a transaction has done.
#[derive(Clone, Debug, Default)]
pub struct Transacted {
    /// The number of the last event before: those of the answers follow it without a gap.
    pub before: u64,
    /// What became of each command.
    pub answers: Vec<Answer>,
    /// The jobs that were started or reserved, as they stand now.
    pub taken_up: Vec<Job>,
}

/// A command, and the time at which it is decided.
pub type Timed<'c> = (&'c Command, DateTime<Utc>);

/// One connection to a site that is kept somewhere. Every process, and every thread that wants one, opens its own.
pub trait Store: Send {
    /// Decides the commands in order, each on what those before it have left, in one transaction. When this returns,
    /// all accepted ones are durable; on an error none of them has happened.
    fn execute(&mut self, commands: &[Command], now: DateTime<Utc>) -> Result<Vec<Answer>, StoreError> {
        let commands: Vec<Timed<'_>> = commands.iter().map(|command| (command, now)).collect();
        Ok(self.transact(&commands)?.answers)
    }

    /// The same, with what a worker needs besides, so that it need not be read back: each command has a time of its own.
    fn transact(&mut self, commands: &[Timed<'_>]) -> Result<Transacted, StoreError>;

    /// What a worker shuts while jobs are reserved for it; none where nobody could be kept waiting, and so no worker may
    /// have jobs reserved.
    fn gate(&self) -> Result<Option<Gate>, StoreError>;

    /// The whole site as it is now; [`Ledger::seq`] tells from where to follow it.
    fn load(&mut self) -> Result<Ledger, StoreError>;

    /// What has happened after event `seq`, in order and without gaps; `None` when that is so long ago that the
    /// follower has to [`load`](Self::load) again.
    fn events_after(&mut self, seq: u64) -> Result<Option<Vec<Recorded>>, StoreError>;

    /// All queues without their jobs, in their order.
    fn queues(&mut self) -> Result<Vec<QueueView>, StoreError>;

    /// The workers that have joined and not left.
    fn workers(&mut self) -> Result<Vec<Worker>, StoreError>;

    /// The jobs that this worker runs.
    fn run_by(&mut self, worker: WorkerId) -> Result<Vec<Job>, StoreError>;

    /// Which version of `jobs.yaml` is in force.
    fn stamp(&mut self) -> Result<Option<String>, StoreError>;

    /// The number of the last event.
    fn seq(&mut self) -> Result<u64, StoreError>;

    /// One job, also one that was taken out of its queue.
    fn job(&mut self, id: JobId) -> Result<Option<Job>, StoreError>;

    /// All runs of a job, first to latest.
    fn runs(&mut self, job: JobId) -> Result<Vec<Run>, StoreError>;

    /// Gives up what the queues don't keep any longer ([`Keep`](crate::model::Keep)): old finished jobs, old runs and
    /// output. The output of a run that is being written or looked at stays until the next time.
    fn prune(&mut self, now: DateTime<Utc>) -> Result<Pruned, StoreError>;

    /// One more connection to the same site.
    fn another(&self) -> Result<Box<dyn Store>, StoreError>;

    /// Where the output of a run is read.
    fn log(&self, run: RunId) -> LogReader;

    /// Keeps what came of the program that was run after a run, for its [`log`](Self::log) to tell, and rings whoever
    /// listens.
    fn keep_hook_end(&mut self, run: RunId, end: &HookEnd) -> Result<(), StoreError>;

    /// Where the output of a run is written; it keeps at most `limit` bytes.
    fn log_writer(&self, run: RunId, limit: u64) -> LogWriter;

    /// How screens reach runs in pseudo-terminals.
    fn lines(&self) -> Lines;

    /// Calls `ring` after every change by another connection, from a thread of its own, until the listener is dropped.
    /// Several changes may ring once; a change after `ring` has returned rings again. Changes by this connection, whose
    /// answers tell of them, need not ring.
    fn listen(&self, ring: Ring) -> Result<Listener, StoreError>;
}
