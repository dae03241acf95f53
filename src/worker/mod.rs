//! Floor: worker.
