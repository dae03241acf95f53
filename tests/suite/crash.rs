//! Reliability shown: processes are killed at random moments, at named points and in the middle of a write. What they
//! had answered for is there, nothing runs twice or is left over, and the queues then drain.

mod migration;
mod points;
mod random;
mod scene;
mod torn;
