//! Floor: worker.
mod now;
mod process;

pub use process::{Order, Policy, Processed};
