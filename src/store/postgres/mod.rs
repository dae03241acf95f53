//! A site in a `PostgreSQL` database, shared by any number of processes on any number of machines.
//!
//! A connection keeps a copy of the whole site and follows its events. A transaction takes two messages: the first takes
//! the lock of the site and returns the events since the last transaction; then commands are decided in memory, by the
//! same functions as everywhere; the second writes events and changed rows, commits, and notifies. The server decides
//! nothing. One lock for each site gives what `parallel`, `weight`, `needs` across queues and events without gaps require.
//!
//! When the connection breaks during a commit, the client finds out from the number of its last transaction, which is
//! committed with it, whether it has happened: see [`connection`].
//!
//! An answer that does not arrive in time counts as a broken connection: see [`session`]. When another server takes over,
//! which has a history of its own, copies and followers load the site again, because it may lack the last changes.
//!
//! A worker keeps a [lease](super::WorkerLease) by the clock of the server. When it runs out, others end the runs of the
//! worker as *may still be running*, and its reports are refused: their runs are over.
//!
//! The output of a run is written to a log on the machine of its worker, and sent to the server from there, bounded like
//! the log. Other machines fetch it into logs of their own when it is read, and follow it while it is read. What
//! is typed on another machine into the terminal of a run is stored on the server until the worker has read it.
//!
//! Loading a site takes memory and time in proportion to its jobs and recorded due times.

mod connection;
mod hex;
mod import;
mod input_receiver;
mod input_sender;
mod leases;
mod listener;
mod output_download;
mod output_upload;
mod password_file;
mod prune;
mod row_changes;
mod schema;
mod server_address;
mod service_file;
mod session;
mod site_client;
mod site_copy;
mod sql_text;
mod store_impl;
mod terminal_forwarding;
mod tls;

pub use connection::PostgresStore;
pub use server_address::{InvalidAddress, ServerAddress};
