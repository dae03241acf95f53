//! Stores, which keep sites durably.
//!
//! A [`Store`] decides commands inside a transaction and returns when the outcome is durable. Every backend passes the
//! same contract suite. The output of runs is kept in files beside the store, see [`log`].
//!
//! # Locks
//!
//! All locks are advisory locks on whole files in the state directory; the kernel releases those of a process that dies.
//! A process that waits for one of these locks while it holds others takes them in this order:
//!
//! | | file | type | held |
//! |---|---|---|---|
//! | 1 | `saving` | [`SaveLock`] | by a process that writes jobs into `jobs.yaml`, also while it records them in the store |
//! | 2 | `replacements` | the file of [`StateDir::lock_respawn_file`] | by a process that decides whether to start a worker in place of a dead one; meanwhile it only reads the database |
//! | 3 | `roll-call` | [`RegistrationLock`] | by a process that registers a worker, until that has locked its own file; that reaps dead workers; or that migrates the database |
//! | 4 | `workers/N` | [`WorkerLock`] | by worker `N` as long as it lives; others only try it, to find out whether the worker lives |
//! | 5 | `environments/…` | [`SavedEnvironment`] | shared by a request, until its command has been committed |
//! | 6 | `wanted`, `gate` | [`ReservationLock`] | `gate` shared by a worker with reserved jobs, over many transactions; exclusively by any other writer for one transaction, and `wanted` shared as well |
//! | 7 | `turn` | `WriteLock` (`sqlite/write_lock.rs`) | by every writer of the database, for one transaction |
//! | 8 | `state.db` | the locks of `SQLite` | within a transaction |
//!
//! A worker that holds `gate` waits for none of 1 to 5: it looks for dead workers only without reservations. It may wait
//! for `turn`, because it does not wait for `gate` again, and writers that wait for `gate` don't hold `turn`.
//!
//! No process waits for the others: a subscription holds the lock of its file in `bells` and a draft of `jobs.yaml` that of
//! its own, so that others can remove what a dead process left; readers and writers of a log hold it shared, and deleting
//! it, or an environment that nothing refers to, is skipped while the file is locked.

mod backend;
mod copy_site;
mod environment_files;
mod error;
pub mod job_folders;
mod liveness_watch;
mod lock_file;
pub mod log;
mod memory;
mod notifier;
mod pending_lock;
mod postgres;
mod private_files;
mod registry;
mod reservation_lock;
mod run_files;
mod save_lock;
mod server_record;
mod site_export;
mod site_id;
mod site_ownership;
mod snapshot_folders;
mod sqlite;
mod state_dir;
mod store_clock;
mod terminal_input;
mod trust;
mod worker_lease;
mod worker_liveness;
mod worker_origin;

pub use backend::{
    CommandResult, JobListPage, JobName, ListPosition, MAX_OUTAGE, OutageEvent, OutageListener, PruneReport,
    SiteOverview, Store, TimedCommand, TransactionReport, WorkerMachines,
};
pub use copy_site::{CopyError, CopyReport, compare_sites, copy_site, refuse_workers};
pub use environment_files::{EncodedEnvironment, EnvironmentFiles, SavedEnvironment};
pub use error::StoreError;
pub use liveness_watch::LivenessWatch;
pub use lock_file::report_waits;
pub use memory::MemoryStore;
pub use notifier::{NotifyFn, Subscription};
pub use postgres::{InvalidAddress, PostgresStore, ServerAddress};
pub use registry::{Registration, Registry};
pub use reservation_lock::ReservationLock;
pub use save_lock::SaveLock;
pub use site_export::SiteExport;
pub use site_id::SiteId;
pub use sqlite::SqliteStore;
pub use state_dir::StateDir;
pub use store_clock::StoreClock;
pub use terminal_input::{TerminalInputError, TerminalInputPipes, TerminalInputReader, TerminalInputWriter};
pub use trust::{check_jobs_file, check_state_dir};
pub use worker_lease::{LEASE_GRACE, LEASE_TERM, WorkerLease};
pub use worker_liveness::{RegistrationLock, StartedRuns, WorkerLock};
pub use worker_origin::WorkerOrigin;
