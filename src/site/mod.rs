//! A site on this machine: opening it, following its `jobs.yaml`, and replacing its dead workers.
//!
//! The worker, the screen and the command line all open a site, and all of them may be the first to find a saved file or a
//! dead worker. What they do then is here, once.

mod arrival_watch;
mod check_workers;
mod coalescer;
mod error;
mod file_watch;
mod link_subscriptions;
mod open;
mod process_tags;
mod reap;
mod reconcile;
mod respawn;
mod run_usage;
mod site_paths;
mod snapshots;
mod store_copy;
mod user;
mod user_requests;

pub use arrival_watch::ArrivalWatch;
pub use check_workers::{WorkerCheck, check_workers};
pub use coalescer::Coalescer;
pub use error::SiteError;
pub use file_watch::FileWatch;
pub use open::{OpenedSite, open, open_store, open_store_to_read};
pub(crate) use process_tags::{
    HOOK, HOOK_SLOTS, RUN_ID, TAG, VARIABLES as RUN_VARIABLES, WORKER, hook_tag, hook_tag_value, run_tag,
    run_tag_value, tag_prefix, worker_file,
};
pub use reap::{ReapReport, reap_dead_workers};
pub use reconcile::{
    AppliedFile, FileChange, FileContent, Publishing, Reconciled, apply_file, plan_change, read_file, read_file_with,
    reconcile_with_file,
};
pub use respawn::{Respawn, WORKER_JOINED, ensure_schedule_worker, ensure_worker, keeps_schedules, respawn_worker};
pub use run_usage::RunMonitor;
pub use site_paths::SitePaths;
pub(crate) use site_paths::hostname;
pub use snapshots::{forget_unused_snapshots, remove_stale_worktrees, remove_worktree, snapshot_place, working_folder};
pub use store_copy::{StoreLocation, copy_to_folder, copy_to_server};
pub use user::user_name;
pub use user_requests::{
    GivenInputs, execute_requests, execute_requests_with, forget_unused_environments, save_own_environment,
};
