//! Crash tests: processes are killed at random times, at named points and during a write. Acknowledged changes are
//! kept, nothing runs twice or is left over, and the queues then drain.

mod crash_points;
mod crash_site;
mod migration;
mod random_kills;
mod torn_writes;

pub(crate) use migration::OLD_FORMATS;
