//! A site in a `PostgreSQL` database, shared by any number of processes on any number of machines.
//!
//! A connection keeps the queues, workers and schedules of a site, and reads of its jobs what it needs. A transaction
//! usually takes two messages: the first takes the lock of the site and returns the jobs that the commands are about, and
//! the next ones of the queues; then commands are decided here, by the same functions as everywhere; the second writes
//! events and changed rows, commits, and notifies. The server decides nothing. One lock for each site gives what
//! `parallel`, `weight`, `needs` across queues and events without gaps require.
//!
//! A site of any size costs a command or a worker the same: what it looks for is in columns with indexes
//! ([`job_columns`]), and each transaction adds the totals of the queues that it changes ([`queue_totals`]). Rows that
//! would change with each transaction are added instead, because a snapshot that is held open elsewhere keeps the versions
//! of a row, which are then looked through each time. Only the screen loads the whole site, and follows its events.
//!
//! When the connection breaks during a commit, the client finds out from the number of its last transaction, which is
//! committed with it, whether it has happened: see [`connection`].
//!
//! An answer that does not arrive in time counts as a broken connection: see [`session`]. When another server takes over,
//! which has a history of its own, connections and followers load the site again, because it may lack the last changes.
//!
//! A worker keeps a [lease](super::WorkerLease) by the clock of the server. When it runs out, others end the runs of the
//! worker as *may still be running*, and its reports are refused: their runs are over.
//!
//! The output of a run is written to a log on the machine of its worker, and sent to the server from there, bounded like
//! the log. Other machines fetch it into logs of their own when it is read, and follow it while it is read. What
//! is typed on another machine into the terminal of a run is stored on the server until the worker has read it.
//!
//! Loading the whole site takes memory and time in proportion to its jobs.
//!
//! # What bounds a site
//! The lock of the site: one transaction at a time changes it. With 100 workers that claim and end 1,000,000 jobs in batches of
//! 8 (`JOBS=1000000 cargo bench --bench postgres -- workers`), 99 connections wait for it and one works; each transaction takes
//! 3.5 ms of processor time on the server and 0.9 ms in the worker. On two processors, which the workers shared with the
//! server, that made 203 transactions and 1,620 jobs a second; the 100 workers took 138 MiB. A job takes about 1 KiB with its
//! indexes.
//!
//! So 1,000 workers on such a server get a transaction each 5 s: enough for jobs that run for minutes, not for seconds. What
//! would be changed then: one connection of each machine commits for all its workers, in larger batches; beyond that, several
//! sites. 100 million jobs take about 100 GiB; what commands and workers read does not grow with them, but the screen would
//! have to read pages, as `list` does, and tables divided by site and age would let old jobs go at once.

mod connection;
mod fetch;
mod hex;
mod import;
mod input_receiver;
mod input_sender;
mod job_columns;
mod known_part;
mod leases;
mod listener;
mod output_download;
mod output_upload;
mod partial_lists;
mod partial_reader;
mod partial_site;
mod password_file;
mod prefetch;
mod prune;
mod queue_totals;
mod row_changes;
mod schema;
mod server_address;
mod server_failure;
mod service_file;
mod session;
mod site_client;
mod site_frame;
mod site_load;
mod sql_text;
mod store_impl;
mod terminal_forwarding;
mod tls;

pub use connection::PostgresStore;
pub use server_address::{InvalidAddress, ServerAddress};
