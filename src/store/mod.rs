//! Stores, which keep sites durably.
//!
//! A [`Store`] decides commands inside a transaction and returns when the outcome is durable. Every backend passes the
//! same contract suite. The output of runs is kept in files beside the store, see [`log`].

mod backend;
mod environment_files;
mod error;
mod liveness_watch;
pub mod log;
mod memory;
mod notifier;
mod pending_lock;
mod private_files;
mod registry;
mod reservation_lock;
mod site_id;
mod site_ownership;
mod sqlite;
mod state_dir;
mod terminal_input;
mod trust;
mod worker_liveness;
mod worker_origin;

pub use backend::{CommandResult, PruneReport, Store, TimedCommand, TransactionReport};
pub use environment_files::{EncodedEnvironment, EnvironmentFiles, SavedEnvironment};
pub use error::StoreError;
pub use liveness_watch::LivenessWatch;
pub use memory::MemoryStore;
pub use notifier::{NotifyFn, Subscription};
pub use registry::{Registration, Registry};
pub use reservation_lock::ReservationLock;
pub use site_id::SiteId;
pub use sqlite::{SaveLock, SqliteStore, report_waits};
pub use state_dir::StateDir;
pub use terminal_input::{TerminalInputError, TerminalInputPipes, TerminalInputReader, TerminalInputWriter};
pub use trust::{check_jobs_file, check_state_dir};
pub use worker_liveness::{RegistrationLock, StartedRuns, WorkerLock};
pub use worker_origin::WorkerOrigin;
