//! Tests: output.

mod pane;
mod sanitiser;
mod texts;
