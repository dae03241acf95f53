//! Floor: runner.
