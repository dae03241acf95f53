//! Options of an added job: when and how it runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, value_parser};

use super::value_parsers;
use crate::definition::units;
use crate::model::NotBefore;

#[derive(Debug, Args)]
pub(super) struct JobOptionArgs {
    /// A job that must succeed first: `queue/name` or a number; of a matrix or `for_each`, all of its jobs. `JOB:failure` must fail first, `JOB:finish` must finish.
    /// May be repeated.
    #[arg(long, value_name = "JOB")]
    pub(super) needs: Vec<String>,
    /// Start no earlier than after this duration (`10m`), or at this time (`2026-11-22 18:00`, or RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = units::parse_after)]
    pub(super) after: Option<NotBefore>,
    /// Jobs of a higher priority start first; 0 by default.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(super) priority: Option<i32>,
    /// The number of the queue's slots that each job takes; 1 by default.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    pub(super) weight: Option<u32>,
    /// A label that a worker must have to run it (`setlist worker --label gpu`). May be repeated.
    #[arg(long, value_name = "LABEL", value_parser = value_parsers::label)]
    pub(super) runs_on: Vec<Arc<str>>,
    /// Retry a failed job this many times.
    #[arg(long, value_name = "N")]
    pub(super) retry: Option<u32>,
    /// The delay before the first retry, 1s by default; it doubles for each further retry.
    #[arg(long, value_name = "DURATION", requires = "retry", value_parser = units::parse_duration)]
    pub(super) retry_delay: Option<Duration>,
    /// A question that must be confirmed before the job runs.
    #[arg(long, value_name = "TEXT", value_parser = question)]
    pub(super) confirm: Option<String>,
    /// A file of NAME=value lines, read when the job starts. May be repeated.
    #[arg(long, value_name = "FILE")]
    pub(super) env_file: Vec<PathBuf>,
    /// A script that runs when the job has finished, whatever its outcome: see `on_finish` in `setlist help jobs.yaml`.
    #[arg(long, value_name = "SCRIPT", value_parser = script)]
    pub(super) on_finish: Option<String>,
    /// Run it on the files of its git repository as they are now: see `setlist help snapshots`.
    #[arg(long)]
    pub(super) snapshot: bool,
    /// Run it in a pseudo-terminal.
    #[arg(long)]
    pub(super) pty: bool,
    /// The size limit of the output that is kept of a run, as head and tail (`16MiB`, `500kB`).
    #[arg(long, value_name = "SIZE", value_parser = units::parse_log_limit)]
    pub(super) log_limit: Option<u64>,
}

fn script(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("the script is empty") } else { Ok(text.to_owned()) }
}

fn question(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("the question is empty") } else { Ok(text.to_owned()) }
}
