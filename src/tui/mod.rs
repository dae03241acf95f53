//! The screen: it observes a site and sends it commands. It makes no decisions about jobs.
//!
//! A [`Message`](message::Message) updates the [`Screen`], which returns [`Effect`](effect::Effect)s; the session carries
//! them out, with the store thread for those that need the store.

pub mod action;
mod action_menu;
mod actions;
mod clipboard;
pub mod config;
mod copy;
mod details_pane;
mod dialog;
pub mod due_history;
mod editor;
pub mod effect;
pub mod first_hints;
mod host_terminal;
mod input_form;
mod input_thread;
pub mod job_filter;
pub mod job_lists;
mod job_terminal;
pub mod keymap;
pub mod keys;
pub mod layout;
mod line_editor;
pub mod linear;
pub mod list_room;
pub mod log_search;
mod log_search_thread;
pub mod message;
pub mod mouse;
mod mouse_input;
mod needs_graph;
pub mod notifications;
pub mod output;
mod output_pane;
mod output_subscription;
mod output_sync;
mod overview;
mod page;
mod page_context;
mod page_input;
mod pager;
mod phases;
pub mod queue_stats;
mod reply_text;
mod results_table;
pub mod role_colors;
mod run_chart;
mod run_usage;
mod session;
mod signals;
pub mod sort_order;
mod state;
pub mod status_line;
pub mod store_thread;
pub mod theme;
mod tiles;
mod timeline;
mod typing;
mod update;
mod view;
mod workers_table;

pub use session::{ExitSummary, ScreenParams, TuiError, run};
pub use signals::has_shell;
pub use state::{Screen, ScreenSettings};
