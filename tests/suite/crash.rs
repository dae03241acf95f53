//! Crash tests: processes are killed at random times, at named points and during a write. Acknowledged changes are
//! kept, nothing runs twice or is left over, and the queues then drain.

mod migration;
mod crash_points;
mod random_kills;
mod crash_site;
mod torn_writes;
