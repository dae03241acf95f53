//! Floor 2: the screen. It observes a site and sends it commands; it decides nothing about jobs.

mod act;
pub mod action;
mod attend;
mod console;
mod detail;
mod dialog;
mod editor;
pub mod filter;
mod input;
pub mod keys;
pub mod layout;
mod line;
pub mod link;
pub mod lists;
pub mod notice;
pub mod output;
mod pane;
pub mod pulse;
mod run;
mod showing;
mod signals;
mod state;
mod terminal;
pub mod text;
pub mod theme;
mod tiles;
mod told;
mod typing;
mod update;
mod view;
pub mod wake;
mod watch;

pub use run::{Left, Options, TuiError, run};
pub use state::{Screen, Setup};
