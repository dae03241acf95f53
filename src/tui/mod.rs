//! The screen: it observes a site and sends it commands. It makes no decisions about jobs.
//!
//! A [`Message`](message::Message) updates the [`Screen`], which returns [`Effect`](effect::Effect)s; the session carries
//! them out, with the store thread for those that need the store.

mod actions;
pub mod action;
mod output_subscription;
mod clipboard;
pub mod coalescer;
pub mod config;
mod job_terminal;
mod details_pane;
mod dialog;
mod editor;
pub mod effect;
pub mod job_filter;
mod input_thread;
pub mod keymap;
pub mod keys;
pub mod layout;
mod line_editor;
pub mod store_thread;
pub mod job_lists;
mod action_menu;
pub mod mouse;
mod mouse_input;
pub mod status_line;
pub mod notifications;
pub mod output;
mod pager;
mod output_pane;
pub mod queue_stats;
mod session;
mod output_sync;
mod signals;
pub mod sort_order;
mod state;
mod copy;
mod host_terminal;
pub mod theme;
mod tiles;
mod reply_text;
mod typing;
mod update;
mod view;
pub mod message;
mod file_watch;

pub use session::{ExitSummary, ScreenOptions, TuiError, run};
pub use signals::has_shell;
pub use state::{Screen, ScreenSetup};
