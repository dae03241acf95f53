//! Arguments of `setlist log`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::candidates::targets;
use super::job_args::JobFilterArgs;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate option")]
pub(super) struct LogArgs {
    /// Jobs: `queue/name`, numbers, `@last` or `@failed`; a queue means all of its jobs. With several, each line starts with
    /// the job's name.
    #[arg(required_unless_present_any = ["tag", "query"], value_name = "JOB|QUEUE", add = ArgValueCandidates::new(targets))]
    pub names: Vec<String>,
    #[command(flatten)]
    pub filter: JobFilterArgs,
    // Here `-f` means `--follow`; the same id replaces the global option with its short form.
    #[arg(id = "file", long, hide = true)]
    _file: Option<PathBuf>,
    /// Print new output until all of them have finished; of queues, the running jobs and those that start later.
    #[arg(short, long, conflicts_with = "run")]
    pub follow: bool,
    /// The output of this run (1 is the first), instead of the latest.
    #[arg(long, value_name = "N")]
    pub run: Option<u32>,
    /// Print only standard error.
    #[arg(long)]
    pub stderr: bool,
    /// Print only standard output.
    #[arg(long, conflicts_with = "stderr")]
    pub stdout: bool,
    /// Print the local time before each line (`2026-11-22T13:04:05.678+01:00`); `-` if it is unknown.
    #[arg(short, long)]
    pub timestamps: bool,
    /// Print how the output differs from that of the run before. Exits with 0 if it is the same, with 1 if it differs.
    #[arg(long, conflicts_with_all = ["follow", "stderr", "stdout", "timestamps"])]
    pub diff: bool,
    /// With --diff, lines that differ only in numbers, such as times, are the same.
    #[arg(long, requires = "diff")]
    pub ignore_numbers: bool,
}

impl LogArgs {
    /// Follows one job.
    pub(super) fn follow(job: &str) -> Self {
        Self {
            names: vec![job.to_owned()],
            filter: JobFilterArgs::default(),
            _file: None,
            follow: true,
            run: None,
            stderr: false,
            stdout: false,
            timestamps: false,
            diff: false,
            ignore_numbers: false,
        }
    }
}
