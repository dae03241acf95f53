//! The arguments of commands on jobs.

use std::time::Duration;

use clap::{ArgGroup, Args};
use clap_complete::ArgValueCandidates;

use super::candidates::{jobs, queues, tags, targets};
use super::input_args::InputArgs;
use super::value_parsers;

/// Which jobs a command acts on: of the named ones, or of all.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct JobFilterArgs {
    /// Only jobs with this tag; separate alternatives with commas.
    #[arg(long, value_delimiter = ',', add = ArgValueCandidates::new(tags))]
    pub tag: Vec<String>,
    /// Only jobs that match this filter, as on the screen: `state:failed tag:nightly since:1h !text`.
    #[arg(short, long, value_name = "QUERY")]
    pub query: Option<String>,
}

impl JobFilterArgs {
    /// Whether it includes all jobs.
    pub(super) fn is_empty(&self) -> bool {
        self.tag.is_empty() && self.query.is_none()
    }
}

/// The jobs that a command changes.
#[derive(Debug, Args)]
pub(super) struct JobArgs {
    /// Jobs: `queue/name`, numbers, `@last` or `@failed`; `'queue/*'` for all jobs of a queue.
    #[arg(required_unless_present_any = ["tag", "query"], value_name = "JOB", add = ArgValueCandidates::new(jobs))]
    pub jobs: Vec<String>,
    #[command(flatten)]
    pub filter: JobFilterArgs,
    /// Print the jobs as JSON, one object per line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ApproveArgs {
    /// Jobs: `queue/name`, numbers, `@last` or `@failed`; `'queue/*'` for all jobs of a queue that need approval.
    #[arg(value_name = "JOB", add = ArgValueCandidates::new(jobs))]
    pub jobs: Vec<String>,
    #[command(flatten)]
    pub filter: JobFilterArgs,
    /// Refuse them instead: they are cancelled, and so is what needs them.
    #[arg(long)]
    pub refuse: bool,
    /// Print the jobs as JSON, one object per line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct CancelArgs {
    #[command(flatten)]
    pub jobs: JobOrQueueArgs,
    /// Stop running jobs only; pending jobs stay, and their queue is paused.
    #[arg(long)]
    pub running: bool,
    /// Send KILL to running jobs at once.
    #[arg(long)]
    pub kill: bool,
}

/// The jobs or queues that a command changes.
#[derive(Debug, Args)]
pub(super) struct JobOrQueueArgs {
    /// Jobs: `queue/name`, numbers, `@last` or `@failed`; or queues, for all of their jobs.
    #[arg(required_unless_present_any = ["tag", "query"], value_name = "JOB|QUEUE", add = ArgValueCandidates::new(targets))]
    pub jobs: Vec<String>,
    #[command(flatten)]
    pub filter: JobFilterArgs,
    /// Print the jobs as JSON, one object per line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    /// Jobs: `queue/name`, numbers, `@last` or `@failed`; `'queue/*'` for all jobs of a queue; or queues, for those of their
    /// jobs that failed.
    #[arg(
        required_unless_present_any = ["failed", "tag", "query"],
        value_name = "JOB|QUEUE",
        add = ArgValueCandidates::new(targets)
    )]
    pub jobs: Vec<String>,
    #[command(flatten)]
    pub filter: JobFilterArgs,
    /// All failed and interrupted jobs, of these queues or of all.
    #[arg(long)]
    pub failed: bool,
    /// Run them even if they need other jobs or approval, their conditions say no, or they are up to date.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub inputs: InputArgs,
    /// Print the jobs as JSON, one object per line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("place").required(true).args(["before", "after", "to"])))]
pub(super) struct MoveArgs {
    #[command(flatten)]
    pub jobs: JobArgs,
    /// Move them before this pending job of the same queue and priority.
    #[arg(long, value_name = "JOB", add = ArgValueCandidates::new(jobs))]
    pub before: Option<String>,
    /// Move them after this pending job.
    #[arg(long, value_name = "JOB", add = ArgValueCandidates::new(jobs))]
    pub after: Option<String>,
    /// Move them to the end of another queue, with their runs. Not for running jobs and jobs from jobs.yaml.
    #[arg(long, value_name = "QUEUE", add = ArgValueCandidates::new(queues))]
    pub to: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct WaitArgs {
    /// Queues or jobs to wait for; all queues by default.
    #[arg(value_name = "QUEUE|JOB", add = ArgValueCandidates::new(targets))]
    pub names: Vec<String>,
    // Here `-q` means `--quiet`.
    /// Only jobs with this tag; separate alternatives with commas.
    #[arg(long, value_delimiter = ',', add = ArgValueCandidates::new(tags))]
    pub tag: Vec<String>,
    /// Only jobs that match this filter, as on the screen: `state:failed tag:nightly since:1h !text`.
    #[arg(long, value_name = "QUERY")]
    pub query: Option<String>,
    /// Wait at most this long (`90s`, `10m`, or a number of seconds), then exit with 1.
    #[arg(long, value_name = "DURATION", value_parser = value_parsers::duration)]
    pub timeout: Option<Duration>,
    /// Print nothing.
    #[arg(short, long)]
    pub quiet: bool,
    /// Print the queues and jobs as JSON, one object per line.
    #[arg(long)]
    pub json: bool,
}

impl WaitArgs {
    /// Waits for one job without printing anything.
    pub(super) fn quiet(job: &str) -> Self {
        let names = vec![job.to_owned()];
        Self { names, tag: Vec::new(), query: None, timeout: None, quiet: true, json: false }
    }

    /// Which jobs it waits for.
    pub(super) fn filter(&self) -> JobFilterArgs {
        JobFilterArgs { tag: self.tag.clone(), query: self.query.clone() }
    }
}

/// The arguments of `explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// `queue/name`, a number, `@last` (which you added or asked for last) or `@failed` (failed last).
    #[arg(required_unless_present_any = ["tag", "query"], add = ArgValueCandidates::new(jobs))]
    pub job: Option<String>,
    #[command(flatten)]
    pub filter: JobFilterArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `show`.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// `queue/name`, a number, `@last` (which you added or asked for last) or `@failed` (failed last).
    #[arg(required_unless_present_any = ["tag", "query"], add = ArgValueCandidates::new(jobs))]
    pub job: Option<String>,
    #[command(flatten)]
    pub filter: JobFilterArgs,
    /// Show the environment variables that it gets, and where each comes from.
    #[arg(long)]
    pub env: bool,
    /// With --env, show the values of secrets.
    #[arg(long, requires = "env")]
    pub reveal: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}
