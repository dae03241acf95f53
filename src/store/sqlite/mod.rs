//! A site in an `SQLite` database: the default store, shared by any number of processes on one machine.
//!
//! Writers serialise on a lock file, which wakes the next one at once; `SQLite` itself would sleep and retry. A batch of
//! commands is one transaction and one fsync.

mod apply;
mod apply_schedules;
mod columns;
mod connected_db;
mod connection;
mod db_paths;
mod definition_columns;
mod history_mark;
mod import;
mod job_rows;
mod list_page;
mod load;
mod migrate;
mod need_rows;
mod open;
mod output_rows;
mod parallel_load;
mod prune;
mod queries;
mod read_only;
mod removal_check;
mod run_spans;
mod schedule_rows;
mod store_impl;
mod tx_cache;
mod tx_state;
mod wal_check;
mod worker_scope;
mod write_lock;

pub use connection::SqliteStore;
