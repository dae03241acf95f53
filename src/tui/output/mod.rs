//! The output of one run: reads a growing log, sanitizes, wraps, scrolls, searches and draws it.
//!
//! ```text
//! LogReader ─ output_source ─ line_block (raw bytes, split by line_splitter)           draw_page
//!                                 │                                                        ▲
//!                             line_index (sparse, bounded) ─ log_lines ─ viewport ─ line_wrapping ─ Page
//!                                                                │
//!                             line_parser (vte, cell_row, ansi_style): bytes of a line → StyledLine
//! ```
//!
//! `log_view` holds the view; `terminal_view` shows the output of runs in a pseudo-terminal instead. Only the visible
//! part of a log is in memory; for the rest there is an index of line starts. The cost of a key press does not depend
//! on the length of the log.

mod ansi_style;
mod cell_row;
mod draw_page;
mod job_progress;
mod line_block;
mod line_index;
mod line_parser;
mod line_splitter;
mod line_wrapping;
mod log_lines;
mod log_view;
mod output_source;
mod output_styles;
mod search;
mod search_pattern;
mod stream_sanitizer;
mod styled_line;
mod terminal_view;
mod time_gutter;
mod view_status;
mod viewport;

pub use job_progress::JobProgress;
pub use log_view::{CopiedPart, LogView};
pub use output_source::OutputSource;
pub use output_styles::OutputStyles;
pub use stream_sanitizer::{StreamSanitizer, sanitize_coloured, sanitize_plain};
pub use styled_line::{Glyph, StyledLine};
pub use terminal_view::{KeyEncoder, TerminalView};
pub use view_status::{NewOutput, SearchStatus, ViewStatus};
pub use viewport::Scroll;
