//! The output of runs: what reaches the screen of it, and how the pane over it behaves.

pub(crate) mod growing;
mod pane;
mod sanitiser;
mod search;
mod terminal;
mod times;
mod words;
