//! Workers: processes that run the jobs of a site.
//!
//! A worker claims ready jobs, starts them, records how they end and claims more, until there is nothing to do. Requesting
//! work [starts a worker](crate::site::ensure_worker) if none is running; it keeps running when the screen and the terminal are closed.
//! Workers coordinate only through the store. A queue inside this process needs no store:
//! [`Queue::process`](crate::Queue::process).

mod commit_latency;
mod commit_thread;
mod condition;
mod environment_cache;
mod error;
mod event_loop;
mod hook_event;
mod hooks;
mod in_process;
mod job_variables;
mod message;
mod output_tail;
mod pending_start;
mod pruner;
mod pty;
mod queue_methods;
mod reload;
mod reservations;
mod returned_items;
mod run_folders;
mod run_log;
mod setlist_variables;
mod trusted_clock;
mod worker_handle;

pub use error::WorkerError;
pub use in_process::{ProcessPolicy, ProcessReport, StartOrder};
pub use job_variables::{job_variables, observe_job};
pub use message::Shutdown;
pub use worker_handle::Worker;
