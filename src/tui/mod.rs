//! Floor: tui.
