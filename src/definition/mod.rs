//! Floor: definition.
