//! Arguments of `setlist grep`.

use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::candidates::targets;
use super::job_args::JobFilterArgs;
use super::value_parsers;

/// Arguments of `setlist grep`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the command line")]
pub(super) struct GrepArgs {
    /// A regular expression, as `rg` takes it.
    pub pattern: String,
    /// Queues and jobs: `queue/name`, numbers, `@last` or `@failed`; without any, all jobs.
    #[arg(value_name = "JOB|QUEUE", add = ArgValueCandidates::new(targets))]
    pub names: Vec<String>,
    #[command(flatten)]
    pub filter: JobFilterArgs,
    /// Only runs that were running in the last `12h`, `7d`…
    #[arg(long, value_name = "DURATION", value_parser = value_parsers::duration)]
    pub since: Option<Duration>,
    /// Ignore case.
    #[arg(short, long)]
    pub ignore_case: bool,
    /// The pattern is a text, not a regular expression.
    #[arg(short = 'F', long)]
    pub fixed_strings: bool,
    /// Print the number of matching lines of each run.
    #[arg(short, long, conflicts_with = "json")]
    pub count: bool,
    /// Print only which runs have a match.
    #[arg(short = 'l', long, conflicts_with_all = ["count", "json"])]
    pub runs_with_matches: bool,
    /// Print this many lines after each match.
    #[arg(short = 'A', long, value_name = "N", default_value_t = 0)]
    pub after_context: usize,
    /// Print this many lines before each match.
    #[arg(short = 'B', long, value_name = "N", default_value_t = 0)]
    pub before_context: usize,
    /// Print this many lines before and after each match.
    #[arg(short = 'C', long, value_name = "N", conflicts_with_all = ["after_context", "before_context"])]
    pub context: Option<usize>,
    /// Print one JSON object per matching line.
    #[arg(long, conflicts_with = "context")]
    pub json: bool,
}
