//! Reliability shown: processes are killed at random moments, at named points and in the middle of a write. What they
//! had answered for is there, nothing runs twice or is left over, and the queues then drain.

mod migration;
mod crash_points;
mod random_kills;
mod crash_site;
mod torn_writes;
