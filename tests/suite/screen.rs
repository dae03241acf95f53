//! Tests: screen.
