//! The output of runs: what reaches the screen of it, and how the pane over it behaves.

mod growing;
mod pane;
mod sanitiser;
mod search;
mod terminal;
mod times;
mod words;
