//! The command line as people type it.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use clap_complete::ArgValueCandidates;

use super::completions::{Shell, jobs, queues, targets};
use super::examples::{ADD, COMPLETIONS, LIST, LOG, MAN, PROCESS, RETRY, WAIT, WORKER};
use super::terms::TermArgs;
use crate::definition::units::parse_duration;
use crate::tui::theme::ThemeName;

/// A job queue that lives in the terminal.
///
/// Without a command it opens the screen on the nearest jobs.yaml, at or above the working directory.
#[derive(Debug, Parser)]
#[command(
    name = "setlist",
    version,
    after_help = "Exit status: 0 fine, 1 a job did not succeed, 2 bad usage or a bad file, 3 the store can't be used, \
                  130 interrupted.\n\nExamples:\n  setlist init                  write a first jobs.yaml\n  \
                  setlist                       open the screen\n  setlist process build         run the queue here and \
                  now\n  setlist add build -- make -j4 add a job\n  setlist log build/lint        what a job printed"
)]
pub(super) struct Cli {
    /// Queue to show first.
    #[arg(add = ArgValueCandidates::new(queues))]
    pub queue: Option<String>,
    #[command(flatten)]
    pub site: SiteArgs,
    #[command(flatten)]
    pub taste: TasteArgs,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// How the screen looks.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct TasteArgs {
    /// Colours of the screen: auto, dark, light, colorblind, colorblind-light or mono [env: `SETLIST_THEME`].
    #[arg(long, value_name = "NAME")]
    pub theme: Option<ThemeName>,
    /// Draw the screen in ASCII only.
    #[arg(long)]
    pub ascii: bool,
}

/// Which site, and how to speak of it.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct SiteArgs {
    /// The jobs.yaml to use, instead of the nearest one.
    #[arg(short, long, global = true, value_name = "FILE", env = "SETLIST_FILE")]
    pub file: Option<PathBuf>,
    /// Where the state is kept, instead of `.setlist` beside the file.
    #[arg(
        id = "state_dir",
        long = "state",
        alias = "state-dir",
        global = true,
        value_name = "DIR",
        env = "SETLIST_STATE"
    )]
    pub state: Option<PathBuf>,
    /// When to use colour.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: When,
    /// Say more about what happens; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// When to do something that suits a terminal only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write a short, commented jobs.yaml here; never overwrites one.
    Init,
    /// Print the JSON Schema of jobs.yaml, for editors.
    Schema,
    /// Report all errors of a jobs.yaml, or say in one line what it holds.
    Check {
        /// The file to check, instead of the nearest one.
        path: Option<PathBuf>,
        /// The queues, or the errors, as JSON, an object a line.
        #[arg(long)]
        json: bool,
    },
    /// Process queues in the foreground: a line per finished job, counts at the end.
    #[command(after_help = PROCESS)]
    Process(Process),
    /// Add jobs to a queue, which is created if it isn't there; prints their numbers.
    #[command(after_help = ADD)]
    Add(Box<Add>),
    /// Show queues with their state and counts.
    Status {
        /// Queues to show; all where none is named.
        #[arg(add = ArgValueCandidates::new(queues))]
        queues: Vec<String>,
        /// The queues of all sites that can be reached from here, the nearest first.
        #[arg(long, conflicts_with = "queues")]
        all: bool,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// List jobs.
    #[command(after_help = LIST)]
    List(List),
    /// Show one job with its runs.
    Show {
        /// `queue/name` or a number.
        #[arg(add = ArgValueCandidates::new(jobs))]
        job: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Print what jobs wrote.
    #[command(after_help = LOG)]
    Log(Log),
    /// Run jobs again, or now, whatever their queue does.
    #[command(after_help = RETRY)]
    Retry {
        /// Jobs: `queue/name` or numbers; with --failed, queues.
        #[arg(required_unless_present = "failed", add = ArgValueCandidates::new(targets))]
        jobs: Vec<String>,
        /// All jobs that failed or were interrupted, of these queues or of all.
        #[arg(long)]
        failed: bool,
        /// The jobs as JSON, an object a line.
        #[arg(long)]
        json: bool,
    },
    /// Cancel pending jobs; stop running ones (TERM, and KILL after their grace).
    Cancel {
        #[command(flatten)]
        jobs: Jobs,
        /// KILL running ones at once.
        #[arg(long)]
        kill: bool,
    },
    /// Take pending or finished jobs out of their queues; `restore` puts them back.
    Remove(Jobs),
    /// Put jobs back that were removed.
    Restore(Jobs),
    /// Take all finished or pending jobs out of queues.
    Clear {
        /// Queues to clear; all where none is named.
        #[arg(add = ArgValueCandidates::new(queues))]
        queues: Vec<String>,
        /// What has finished.
        #[arg(long, required_unless_present = "pending")]
        finished: bool,
        /// What is pending.
        #[arg(long)]
        pending: bool,
        /// The jobs that were removed as JSON, an object a line.
        #[arg(long)]
        json: bool,
    },
    /// Move pending jobs to another place in their queue, or jobs that stand in no jobs.yaml to another queue.
    Move(Move),
    /// Make finished jobs pending again, without running them.
    Reset {
        /// Queues, for all that has finished in them, or jobs.
        #[arg(required = true, value_name = "QUEUE|JOB", add = ArgValueCandidates::new(targets))]
        names: Vec<String>,
        /// The jobs as JSON, an object a line.
        #[arg(long)]
        json: bool,
    },
    /// Start nothing new in queues; what runs goes on to its end.
    Pause {
        /// Queues to pause; all that are processed where none is named.
        #[arg(add = ArgValueCandidates::new(queues))]
        queues: Vec<String>,
        /// The queues as JSON, an object a line.
        #[arg(long)]
        json: bool,
    },
    /// Go on with queues that are paused, or were stopped by a failure.
    Resume {
        /// Queues to go on with; all that are paused where none is named.
        #[arg(add = ArgValueCandidates::new(queues))]
        queues: Vec<String>,
        /// The queues as JSON, an object a line.
        #[arg(long)]
        json: bool,
    },
    /// Wait until jobs have finished; exit with 1 if one of them did not succeed.
    #[command(after_help = WAIT)]
    Wait(Wait),
    /// Print what has a shell complete queues, jobs and options.
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, of the program or of a command.
    #[command(after_help = MAN)]
    Man {
        /// The command.
        command: Option<String>,
        /// Write all pages into this folder instead.
        #[arg(long, value_name = "DIR", conflicts_with = "command")]
        dir: Option<PathBuf>,
    },
    /// Run jobs for whoever asks, in the foreground.
    #[command(after_help = WORKER)]
    Worker {
        /// Queues to serve; all where none is named.
        #[arg(add = ArgValueCandidates::new(queues))]
        queues: Vec<String>,
        /// Leave when there is nothing more to do.
        #[arg(long)]
        exit_when_idle: bool,
        /// Cut the ties to the terminal, and write to the diary instead of standard error.
        #[arg(long, hide = true)]
        detached: bool,
    },
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(super) struct Process {
    /// Queues to process; all where none is named.
    #[arg(add = ArgValueCandidates::new(queues))]
    pub queues: Vec<String>,
    /// Let so many jobs of each queue run at once while this goes on.
    #[arg(long, value_name = "N")]
    pub parallel: Option<NonZero<u32>>,
    /// Process queues that are paused, too.
    #[arg(long)]
    pub resume: bool,
    /// Run one job only: the next one that waits for nothing else.
    #[arg(long)]
    pub next: bool,
    /// Say what would run, in order, and why each waits; run nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Say nothing but what did not succeed: for cron.
    #[arg(short, long)]
    pub quiet: bool,
    /// The jobs as JSON when they have finished, an object a line.
    #[arg(long)]
    pub json: bool,
    /// Answer yes to what jobs ask before they run.
    #[arg(short, long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(super) struct Add {
    /// The queue.
    #[arg(add = ArgValueCandidates::new(queues))]
    pub queue: String,
    /// What people call the job.
    #[arg(long, default_value = "")]
    pub title: String,
    /// A script for the shell, instead of a command.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["command", "stdin"])]
    pub script: Option<String>,
    /// Read scripts from standard input, a job a line.
    #[arg(long, conflicts_with = "command")]
    pub stdin: bool,
    /// Working directory, instead of the present one.
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// A variable for the job; may be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Stop the job after this long (`90s`, `10m`, `1h 30m`).
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// A tag for filters; may be repeated.
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    #[command(flatten)]
    pub terms: TermArgs,
    /// Write the jobs into jobs.yaml, behind the others of the queue; nothing else there is touched.
    #[arg(long)]
    pub save: bool,
    /// Ask for the jobs to run at once, whatever the queue does.
    #[arg(long)]
    pub now: bool,
    /// The jobs as JSON, an object a line, instead of their numbers.
    #[arg(long)]
    pub json: bool,
    /// The program and its arguments, run without a shell.
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// Jobs that something is done to.
#[derive(Debug, Args)]
pub(super) struct Jobs {
    /// Jobs: `queue/name` or numbers.
    #[arg(required = true, value_name = "JOB", add = ArgValueCandidates::new(jobs))]
    pub jobs: Vec<String>,
    /// The jobs as JSON, an object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("place").required(true).args(["before", "after", "to"])))]
pub(super) struct Move {
    #[command(flatten)]
    pub jobs: Jobs,
    /// Right before this pending job of the same queue and priority.
    #[arg(long, value_name = "JOB", add = ArgValueCandidates::new(jobs))]
    pub before: Option<String>,
    /// Right behind this one.
    #[arg(long, value_name = "JOB", add = ArgValueCandidates::new(jobs))]
    pub after: Option<String>,
    /// Behind all jobs of this other queue, with their runs; of running jobs none, and none that stands in jobs.yaml.
    #[arg(long, value_name = "QUEUE", add = ArgValueCandidates::new(queues))]
    pub to: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Wait {
    /// Queues, whose jobs have to finish, or single jobs; all queues where none is named.
    #[arg(value_name = "QUEUE|JOB", add = ArgValueCandidates::new(targets))]
    pub names: Vec<String>,
    /// Wait no longer than this (`90s`, `10m`), and exit with 1.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// Print nothing.
    #[arg(short, long)]
    pub quiet: bool,
    /// The queues and jobs as JSON, an object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Queues to list; all where none is named.
    #[arg(add = ArgValueCandidates::new(queues))]
    pub queues: Vec<String>,
    // Here `--state` filters; the same id keeps the global option from being added under that name.
    /// Where the state is kept, instead of `.setlist` beside the file (`--state` before the command).
    #[arg(id = "state_dir", long = "state-dir", value_name = "DIR")]
    _state_dir: Option<PathBuf>,
    /// Only jobs in this state or with this outcome; several with commas between them.
    #[arg(long, value_delimiter = ',')]
    pub state: Vec<StateFilter>,
    /// Only jobs with this tag, or one of several with commas between them.
    #[arg(long, value_delimiter = ',')]
    pub tag: Vec<String>,
    /// Only jobs that the filter finds, as on the screen: `state:failed tag:nightly since:1h !text`.
    #[arg(short, long, value_name = "QUERY")]
    pub query: Option<String>,
    /// Only jobs that were added or finished within this long (`1h`, `2days`).
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub since: Option<Duration>,
    /// One JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// A state or an outcome to list by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum StateFilter {
    Pending,
    Running,
    Finished,
    Succeeded,
    Failed,
    Cancelled,
    Interrupted,
    Skipped,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(super) struct Log {
    /// Jobs: `queue/name` or numbers; a queue means all of its jobs. Of several, each line says whose it is.
    #[arg(required = true, value_name = "JOB|QUEUE", add = ArgValueCandidates::new(targets))]
    pub names: Vec<String>,
    // Here `-f` means follow; the same id keeps the global option from being added with its short form.
    #[arg(id = "file", long, hide = true)]
    _file: Option<PathBuf>,
    /// Go on until all of them have finished; of queues, what runs now and from now on.
    #[arg(short, long, conflicts_with = "run")]
    pub follow: bool,
    /// Of this attempt (1 is the first), instead of the latest.
    #[arg(long, value_name = "N")]
    pub run: Option<u32>,
    /// Only what it wrote to standard error.
    #[arg(long)]
    pub stderr: bool,
    /// Only what it wrote to standard output.
    #[arg(long, conflicts_with = "stderr")]
    pub stdout: bool,
    /// Before each line when it began, in local time (`2026-11-22T13:04:05.678+01:00`); `-` where that isn't known.
    #[arg(short, long)]
    pub timestamps: bool,
}
