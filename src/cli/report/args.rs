//! Arguments of `setlist report`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCandidates;

use crate::cli::candidates::queues;
use crate::cli::value_parsers;

/// Arguments of `setlist report`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReportArgs {
    /// Queues to report on; all by default.
    #[arg(add = ArgValueCandidates::new(queues))]
    pub queues: Vec<String>,
    /// Report on the last `12h`, `7d`…
    #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = value_parsers::duration)]
    pub since: Duration,
    /// Write one HTML page that needs nothing else; `-` is standard output, as it is for the others.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    #[arg(
        long,
        value_name = "FILE",
        help = "Write JUnit XML for a CI server: a test suite for each queue, a test case for the last run of each job"
    )]
    pub junit: Option<PathBuf>,
    /// Write a trace that Perfetto and `chrome://tracing` show.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long, conflicts_with_all = ["html", "junit", "trace"])]
    pub json: bool,
}
