//! The integration tests: one binary, because linking is slow.

// Clippy then applies its rules for tests to helpers too.
#![cfg(test)]

mod architecture;
mod cli;
mod commit_latency;
mod completion;
mod contract;
mod crash;
mod damage;
mod definition;
mod disk;
mod editing;
mod environments;
mod examples;
mod exit_status;
mod forgotten_values;
mod fuzz;
mod hooks;
mod import;
mod inherited_state;
mod library_examples;
mod log;
mod many_needs;
mod many_workers;
mod orphaned_runs;
mod output;
mod packaging;
mod process_trees;
mod properties;
mod query;
mod readme;
mod reconcile;
mod recurrence;
mod reservations;
mod resources;
mod rng;
mod rules;
mod runner;
mod scenarios;
mod schedule_histories;
mod schedules;
mod screen;
mod service;
mod site_removed;
mod stopped_writer;
mod temp_site;
mod terminal;
mod terminal_conventions;
mod terminal_safety;
mod trust;
mod wakeups;
mod what_happens;
mod wording;
mod worker_crashes;
mod worker_start;
