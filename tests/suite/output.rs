//! The output of runs: sanitizing, scrolling, searching and drawing.

pub(crate) mod memory_log;
mod log_view;
mod sanitizing;
mod search;
mod terminal_view;
mod time_gutter;
mod text;
