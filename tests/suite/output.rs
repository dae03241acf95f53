//! The output of runs: sanitizing, scrolling, searching and drawing.

mod log_view;
pub(crate) mod memory_log;
mod sanitizing;
mod search;
mod terminal_view;
mod text;
mod time_gutter;
