//! Text for people: width in terminal cells, truncation, sanitizing, durations, byte sizes, plurals, quoting.
//!
//! The lowest layer: everything else may use it.

mod markup;
mod numbers;
mod parse;
mod quoting;
mod sanitize;
mod width;
mod wrap;

pub use markup::{escape_line, escape_markup};
pub use numbers::{
    approximate_duration, bytes, count, count_noun, duration, exact_duration, is_or_are, noun_for, time_left,
};
pub use parse::{DurationError, parse_duration};
pub use quoting::shell_command;
pub use sanitize::{sanitize, sanitize_line, sanitize_lines_into};
pub use width::{ASCII_ELLIPSIS, ELLIPSIS, cells, fit, fit_keeping, fit_middle, pad, width};
pub use wrap::wrap;
