//! A site on a server under faults: connections cut at each message, servers that stop, fail over or fall silent, workers
//! that are killed or frozen. After each, nothing that was acknowledged is lost, no job has run without its record saying
//! so, and all workers recover by themselves.

mod clocks;
mod cut_connections;
mod effects;
mod pooler;
mod proxy;
mod queue;
mod random_faults;
mod servers;
mod setlist_queue;
mod workers_cut_off;
