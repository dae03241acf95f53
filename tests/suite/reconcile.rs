//! Tests: reconcile.
