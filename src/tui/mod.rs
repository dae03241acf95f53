//! Floor 2: the screen. It observes a site and sends it commands; it decides nothing about jobs.

pub mod action;
mod act;
mod dialog;
pub mod filter;
pub mod keys;
pub mod layout;
mod line;
pub mod lists;
pub mod notice;
mod pane;
mod state;
pub mod text;
pub mod theme;
mod told;
mod update;
mod view;
pub mod wake;

pub use state::{Screen, Setup};
