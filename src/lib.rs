//! Setlist: a job queue that lives in the terminal.
//!
//! # The map of the house
//!
//! Each floor uses only the floors below it; `tests/suite/house.rs` checks that.
//!
//! | floor | module | holds |
//! |---|---|---|
//! | 0 | [`model`] | jobs, queues, sites; commands are *decided* into events, events are *applied*: pure |
//! | 1 | [`definition`] | `jobs.yaml` read into the model, with diagnostics |
//! | 1 | [`store`] | durable sites: memory and `SQLite`, the output of runs, followers |
//! | 1 | [`runner`] | operating-system processes: start, output, stop, outcome |
//! | 2 | [`worker`] | runs what a site asks for: claim, start, report; also [`Queue::process`] |
//! | 2 | [`tui`] | the screen: observes a site, sends it commands |
//! | 3 | [`cli`] | arguments; the only place that names everyone |
//!
//! Beside them stands `crash`: the points at which tests kill a process of a debug build.
//!
//! A key press goes one way round: key → `Action` → [`Command`] → store → [`Event`] → the screen's copy → view.
//! A command is decided once, by [`model::perform`], inside a transaction of the store; nobody else changes a job.
//!
//! # The queue as a library
//!
//! ```
//! use setlist::{Job, get_queue};
//!
//! let queue = get_queue("my.very.special.queue");
//! queue.append(|| println!("Job called."));
//! queue.append(Job::new(|| 6 * 7).titled("The answer"));
//! assert_eq!(queue.process()?, 2);
//! assert_eq!(queue.finished()[1].value, Some(42.into()));
//! # Ok::<(), setlist::model::Failure>(())
//! ```

pub mod cli;
mod crash;
pub mod definition;
pub mod model;
pub mod runner;
pub mod store;
pub mod tui;
pub mod worker;

pub use model::{Command, Event, Job, Queue, Site, get_queue};
