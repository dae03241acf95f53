//! Floor: tui.

pub mod output;
pub mod text;
