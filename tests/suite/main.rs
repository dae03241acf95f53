//! The integration tests: one binary, because linking is slow.

// Clippy then applies its rules for tests to helpers too.
#![cfg(test)]

mod reservations;
mod cli;
mod contract;
mod crash;
mod many_workers;
mod damage;
mod wording;
mod worker_crashes;
mod definition;
mod rng;
mod disk;
mod fuzz;
mod hooks;
mod architecture;
mod log;
mod terminal_conventions;
mod output;
mod commit_latency;
mod properties;
mod query;
mod readme;
mod reconcile;
mod temp_site;
mod rules;
mod runner;
mod scenarios;
mod screen;
mod seed;
mod service;
mod terminal;
mod process_trees;
mod site_removed;
