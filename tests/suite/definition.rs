//! Tests: definition.
