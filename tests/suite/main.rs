//! The tests: one binary, because each one links slowly.

// So that clippy knows helpers for tests, too.
#![cfg(test)]

mod ahead;
mod cli;
mod contract;
mod crash;
mod crowd;
mod damage;
mod deaths;
mod definition;
mod dice;
mod disk;
mod fuzz;
mod hooks;
mod house;
mod log;
mod manners;
mod output;
mod pace;
mod properties;
mod query;
mod readme;
mod reconcile;
mod room;
mod rules;
mod runner;
mod scenarios;
mod screen;
mod seed;
mod service;
mod terminal;
mod trees;
mod underfoot;
