//! The tests: one binary, because each one links slowly.

mod cli;
mod contract;
mod definition;
mod house;
mod log;
mod output;
mod properties;
mod reconcile;
mod room;
mod rules;
mod runner;
mod screen;
mod seed;
mod terminal;
