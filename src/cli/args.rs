//! The arguments of the program.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use clap_complete::ArgValueCandidates;

use super::candidates::{queue_settings, queues, targets, templates};
use super::examples::{
    ADD, APPROVE, CANCEL, COMPLETIONS, DRAIN, EXPLAIN, GREP, HISTORY, IMPORT, INIT, LIST, LOG, MAN, METRICS, PROCESS,
    REMOVE, REPORT, RESULTS, RETRY, RUN, SCHEDULE, SERVICE, SET, START, STATUS, WAIT, WORKER,
};
use super::input_args::InputArgs;
use super::job_args::{
    ApproveArgs, CancelArgs, ExplainArgs, JobArgs, JobFilterArgs, MoveArgs, RetryArgs, ShowArgs, WaitArgs,
};
use super::job_option_args::JobOptionArgs;
use super::site_args::SiteArgs;
use super::store_command::StoreCommand;
use super::value_parsers;
use super::worker_args::{DrainArgs, WorkerArgs};
use crate::tui::theme::ThemeName;

/// A job queue that lives in the terminal.
///
/// Without a command, opens the screen on the nearest jobs.yaml, at or above the working directory.
#[derive(Debug, Parser)]
#[command(
    name = "setlist",
    version,
    disable_help_subcommand = true,
    after_help = "Exit status: 0 success, 1 a job did not succeed, 2 invalid arguments or jobs.yaml, 3 the store can't be \
                  used, 130 interrupted.\n\nExamples:\n  setlist init                  write a first jobs.yaml\n  \
                  setlist                       open the screen\n  setlist process build         run the queue here and \
                  now\n  setlist add build -- make -j4 add a job\n  setlist log build/lint        print the output of a job"
)]
pub(super) struct Cli {
    /// Queue to show first.
    #[arg(add = ArgValueCandidates::new(queues))]
    pub queue: Option<String>,
    #[command(flatten)]
    pub site: SiteArgs,
    #[command(flatten)]
    pub appearance: AppearanceArgs,
    #[command(subcommand)]
    pub command: Option<CliCommand>,
}

/// The appearance of the screen.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct AppearanceArgs {
    /// Colours of the screen: auto, dark, light, colorblind, colorblind-light or mono [env: `SETLIST_THEME`].
    #[arg(long, value_name = "NAME")]
    pub theme: Option<ThemeName>,
    /// Draw the screen in ASCII only.
    #[arg(long)]
    pub ascii: bool,
    /// Print a line for each change instead of drawing the screen, for screen readers; the keys are the same.
    #[arg(long)]
    pub plain: bool,
}

/// A shell for which completion is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
    Elvish,
}

impl CliCommand {
    /// Whether it changes jobs or queues before it prints anything, so that repeating it would change them twice.
    pub(super) fn changes_site(&self) -> bool {
        matches!(
            self,
            Self::Add(_)
                | Self::Run(_)
                | Self::Retry(_)
                | Self::Approve(_)
                | Self::Cancel(_)
                | Self::Remove(_)
                | Self::Restore(_)
                | Self::Move(_)
                | Self::Set(_)
                | Self::Start(_)
                | Self::Reset { .. }
                | Self::Clear { .. }
                | Self::Pause { .. }
                | Self::Resume { .. }
        )
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum CliCommand {
    /// Write a short, commented jobs.yaml here; never overwrites one.
    #[command(after_help = INIT)]
    Init(InitArgs),
    /// Print the JSON Schema of jobs.yaml, for editors.
    Schema,
    /// Write a jobs.yaml from a crontab, a Procfile or the state of pueue, and say what could not be carried over.
    #[command(after_help = IMPORT)]
    Import(ImportArgs),
    /// Use state that was not made here, after showing what it holds.
    Adopt {
        /// Put the state aside instead, and start with an empty one.
        #[arg(long)]
        fresh: bool,
        /// Don't ask.
        #[arg(short, long)]
        yes: bool,
    },
    /// List the workers of the site on all machines, with what each runs.
    Workers {
        /// Print JSON, one object per line.
        #[arg(long)]
        json: bool,
    },
    /// Let workers finish the jobs that they run, start no more, and exit.
    #[command(after_help = DRAIN)]
    Drain(DrainArgs),
    /// Put this jobs.yaml in force for all machines, instead of the one that another machine has published.
    Publish,
    /// Copy a site between a folder and a server.
    Store {
        #[command(subcommand)]
        command: StoreCommand,
    },
    /// Report all errors of a jobs.yaml, or summarise it in one line.
    Check {
        /// The file to check, instead of the nearest one.
        path: Option<PathBuf>,
        /// Print the queues, or the errors, as JSON, one object per line.
        #[arg(long)]
        json: bool,
    },
    /// Read jobs.yaml and the files and lines of `for_each` again, and print what has changed.
    Reload,
    /// Process queues in the foreground: prints a line per finished job, and counts at the end.
    #[command(after_help = PROCESS)]
    Process(ProcessArgs),
    /// Process queues in the background, with the environment of this command.
    ///
    /// Returns at once. A worker runs the jobs, and is started if none is running.
    #[command(after_help = START)]
    Start(StartArgs),
    /// Change a setting of a queue until jobs.yaml is saved again: how many of its jobs run at once.
    #[command(after_help = SET)]
    Set(SetArgs),
    /// Add jobs to a queue, which is created if it doesn't exist; prints their numbers.
    #[command(after_help = ADD)]
    Add(Box<AddArgs>),
    /// Run a command as a job, in the background and at once; prints the number of the job.
    #[command(after_help = RUN)]
    Run(Box<RunArgs>),
    /// Show queues with their state and counts.
    ///
    /// Finished are jobs with any outcome. Failed are those that failed or were interrupted, also if that stopped their
    /// queue: then the job is pending again.
    #[command(after_help = STATUS)]
    Status {
        /// Queues to show; all by default.
        #[arg(add = ArgValueCandidates::new(queues))]
        queues: Vec<String>,
        /// Show the queues of all sites that can be used here, the nearest first.
        #[arg(long, conflicts_with = "queues")]
        all: bool,
        /// Print only what needs attention, one line per problem: overdue, stalled, a queue stopped by a failure, a missed
        /// due time, or no worker. Exits with 1 if there is any, and with 0 if there is none. For monitoring.
        #[arg(long)]
        check: bool,
        /// Print JSON, one object per line.
        #[arg(long)]
        json: bool,
    },
    /// List jobs.
    #[command(after_help = LIST)]
    List(ListArgs),
    /// Print the values of jobs and the parameters of matrices, lowest first.
    #[command(after_help = RESULTS)]
    Results(ResultsArgs),
    /// Show one job with its runs.
    Show(ShowArgs),
    /// Explain why a job would run or not now: what it waits for, who holds that, which source changed, why it failed.
    #[command(after_help = EXPLAIN)]
    Explain(ExplainArgs),
    /// Print the output of jobs.
    #[command(after_help = LOG)]
    Log(super::log_args::LogArgs),
    /// Search the output of all kept runs.
    #[command(after_help = GREP)]
    Grep(super::grep_args::GrepArgs),
    /// Report what happened: counts, failures with their causes and last lines, the slowest runs, missed schedules.
    #[command(after_help = REPORT)]
    Report(super::report::args::ReportArgs),
    /// Show the kept runs of jobs: outcome, duration, CPU, memory and value of each.
    #[command(after_help = HISTORY)]
    History(super::history::HistoryArgs),
    /// Print the state of the site in the text format of Prometheus.
    #[command(after_help = METRICS)]
    Metrics(super::metrics::MetricsArgs),
    /// Run jobs again, or now, regardless of the state of their queue.
    ///
    /// They still wait for approval, and for the jobs that they need; --force overrides that.
    #[command(after_help = RETRY)]
    Retry(RetryArgs),
    /// Approve jobs that need approval before they run; without a job, list those that need it.
    ///
    /// A job needs approval if it has `confirm` in jobs.yaml. It runs with the environment of the request for it.
    #[command(after_help = APPROVE)]
    Approve(ApproveArgs),
    /// Cancel pending jobs; stop running jobs (TERM, and KILL after their grace period).
    ///
    /// A queue means all of its jobs, and it is no longer processed.
    #[command(after_help = CANCEL)]
    Cancel(CancelArgs),
    /// Remove pending or finished jobs from their queues; `restore` undoes it.
    #[command(after_help = REMOVE)]
    Remove(JobArgs),
    /// Restore removed jobs, by name or number.
    Restore(JobArgs),
    /// Remove all finished or pending jobs from queues.
    #[command(group = ArgGroup::new("phases").args(["finished", "pending"]).required(true).multiple(true))]
    Clear {
        /// Queues to clear; all by default.
        #[arg(add = ArgValueCandidates::new(queues))]
        queues: Vec<String>,
        /// Remove finished jobs.
        #[arg(long)]
        finished: bool,
        /// Remove pending jobs.
        #[arg(long)]
        pending: bool,
        /// Print the removed jobs as JSON, one object per line.
        #[arg(long)]
        json: bool,
    },
    /// Move pending jobs to another position in their queue, or added jobs to another queue.
    Move(MoveArgs),
    /// Make finished jobs pending again, without running them.
    Reset {
        /// Queues, for all their finished jobs, or jobs.
        #[arg(required_unless_present_any = ["tag", "query"], value_name = "QUEUE|JOB", add = ArgValueCandidates::new(targets))]
        names: Vec<String>,
        #[command(flatten)]
        filter: JobFilterArgs,
        /// Print the jobs as JSON, one object per line.
        #[arg(long)]
        json: bool,
    },
    /// Pause queues: start no more of their jobs; running jobs finish.
    Pause {
        /// Queues to pause; by default all that are being processed.
        #[arg(add = ArgValueCandidates::new(queues))]
        queues: Vec<String>,
        /// Print the queues as JSON, one object per line.
        #[arg(long)]
        json: bool,
    },
    /// Resume queues that are paused or were stopped by a failure.
    Resume {
        /// Queues to resume; by default all that are paused.
        #[arg(add = ArgValueCandidates::new(queues))]
        queues: Vec<String>,
        /// Print the queues as JSON, one object per line.
        #[arg(long)]
        json: bool,
    },
    /// Wait until jobs have finished; exits with 1 if one of them did not succeed.
    #[command(after_help = WAIT)]
    Wait(WaitArgs),
    /// Show what is due next, and what became of earlier due times.
    #[command(after_help = SCHEDULE)]
    Schedule(ScheduleArgs),
    /// Keep a worker of this site running with systemd, which schedules need.
    #[command(after_help = SERVICE)]
    Service {
        /// What to do.
        action: ServiceAction,
    },
    /// Print a script that makes a shell complete queues, jobs and options.
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the help of a command, or of a topic such as jobs.yaml; without one, list all.
    Help {
        /// A command, a topic or a field of jobs.yaml; without one, the commands and topics.
        topic: Vec<String>,
    },
    /// Print the manual page of the program, of a command or of a help topic.
    #[command(after_help = MAN)]
    Man {
        /// A command or help topic.
        page: Option<String>,
        /// Write all pages into this folder instead.
        #[arg(long, value_name = "DIR", conflicts_with = "page")]
        dir: Option<PathBuf>,
    },
    /// Run a worker in the foreground: it runs requested jobs.
    #[command(after_help = WORKER)]
    Worker(WorkerArgs),
}

/// What to do with the service of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ServiceAction {
    /// Write a unit for systemd's user manager, and start it.
    Install,
    /// Show whether it is installed and running.
    Status,
    /// Stop it and remove the unit.
    Remove,
}

#[derive(Debug, Args)]
pub(super) struct ScheduleArgs {
    /// Queues and jobs; all with a schedule by default.
    #[arg(value_name = "QUEUE|JOB", add = ArgValueCandidates::new(targets))]
    pub names: Vec<String>,
    /// Show this many coming due times of each schedule, up to 10000.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(..=10_000))]
    pub next: u16,
    /// Show all due times since this long ago (`8h`, `7d`), instead of the last ten of each schedule.
    #[arg(long, value_name = "DURATION", value_parser = value_parsers::duration)]
    pub since: Option<Duration>,
    /// Print JSON, one object per line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Write an empty queue, without the jobs that show what is possible.
    #[arg(long, conflicts_with = "from")]
    pub bare: bool,
    /// Write this template instead, for example backup.
    #[arg(long, value_name = "TEMPLATE", add = ArgValueCandidates::new(templates))]
    pub from: Option<String>,
    /// Print the templates; write nothing.
    #[arg(long, conflicts_with_all = ["bare", "from"])]
    pub list: bool,
}

/// A kind of file to import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ImportSource {
    /// A crontab; without a file, your own (`crontab -l`).
    Crontab,
    /// A Procfile; without a file, that of this folder.
    Procfile,
    /// The state.json of pueue 1 to 4; without a file, your own.
    Pueue,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate option")]
pub(super) struct ImportArgs {
    /// What to import.
    pub source: ImportSource,
    /// The file; `-` for standard input.
    #[arg(value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Write this file, instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Overwrite the file.
    #[arg(long, requires = "output")]
    pub force: bool,
    /// The crontab has a column with the user, as /etc/crontab and /etc/cron.d have.
    #[arg(long)]
    pub system: bool,
    /// With --system, import the jobs of this user instead of your own.
    #[arg(long, value_name = "USER", requires = "system")]
    pub user: Option<String>,
    /// Of pueue, import the tasks that have finished, too.
    #[arg(long)]
    pub finished: bool,
    /// Of pueue, import the environments of the tasks; the file is then readable only by you.
    #[arg(long)]
    pub environments: bool,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate option")]
pub(super) struct ProcessArgs {
    /// Queues to process; all by default.
    #[arg(add = ArgValueCandidates::new(queues))]
    pub queues: Vec<String>,
    /// Run up to this many jobs of each queue at once, while this command runs.
    #[arg(long, value_name = "N", value_parser = value_parsers::parallel)]
    pub parallel: Option<NonZero<u32>>,
    /// Process queues that are paused, too.
    #[arg(long)]
    pub resume: bool,
    /// Make the finished jobs of these queues pending first, so that they run again. Jobs that were added or run once, and
    /// are not in jobs.yaml, are left out.
    #[arg(long)]
    pub again: bool,
    /// Run only one job: the next one that is ready.
    #[arg(long)]
    pub next: bool,
    /// Return at once, and process the queues in the background, as `setlist start` does.
    #[arg(long, conflicts_with_all = ["parallel", "next", "dry_run"])]
    pub detach: bool,
    /// Print what would run, in order, and why jobs wait; run nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print only jobs that did not succeed, unless there was no need to run them: for cron.
    #[arg(short, long)]
    pub quiet: bool,
    /// Print the jobs as JSON when they have finished, one object per line.
    #[arg(long)]
    pub json: bool,
    /// Approve all jobs of these queues that need approval.
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub inputs: InputArgs,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate option")]
pub(super) struct StartArgs {
    /// Queues to process; all by default.
    #[arg(add = ArgValueCandidates::new(queues))]
    pub queues: Vec<String>,
    /// Process queues that are paused, too.
    #[arg(long)]
    pub resume: bool,
    /// Make the finished jobs of these queues pending first, so that they run again. Jobs that were added or run once, and
    /// are not in jobs.yaml, are left out.
    #[arg(long)]
    pub again: bool,
    /// Approve all jobs of these queues that need approval.
    #[arg(short, long)]
    pub yes: bool,
    /// Don't print what will run.
    #[arg(short, long)]
    pub quiet: bool,
    /// Print the queues as JSON, one object per line.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub inputs: InputArgs,
}

#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// The queue.
    #[arg(add = ArgValueCandidates::new(queues))]
    pub queue: String,
    /// `parallel=N`: run up to N of its jobs at once; `parallel=file`: as many as jobs.yaml says.
    #[arg(required = true, value_name = "SETTING=VALUE", add = ArgValueCandidates::new(queue_settings))]
    pub settings: Vec<String>,
    /// Print the queue as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate option")]
pub(super) struct AddArgs {
    /// The queue.
    #[arg(add = ArgValueCandidates::new(queues))]
    pub queue: String,
    #[command(flatten)]
    pub job: NewJobArgs,
    /// A script for the shell, instead of a command.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["command", "stdin"])]
    pub script: Option<String>,
    /// Read scripts from standard input, one job per line.
    #[arg(long, conflicts_with_all = ["command", "unique"])]
    pub stdin: bool,
    /// Write the jobs into jobs.yaml, after the other jobs of the queue; the rest of the file is unchanged.
    #[arg(long)]
    pub save: bool,
    /// Run the jobs at once, regardless of the state of the queue.
    #[arg(long)]
    pub now: bool,
    /// Print the jobs as JSON, one object per line, instead of their numbers.
    #[arg(long)]
    pub json: bool,
    /// The program and its arguments, run without a shell. `--` before it is needed only if it starts with `-`. A single
    /// argument that isn't a program, such as 'make | tee log', is a script for the shell.
    #[arg(trailing_var_arg = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// The definition of an added job, except for its script.
#[derive(Debug, Args)]
pub(super) struct NewJobArgs {
    /// Add no job if one with this key is pending or running, whatever it runs; print the number of that job.
    #[arg(long, value_name = "KEY", value_parser = value_parsers::key)]
    pub unique: Option<String>,
    /// The title of the job.
    #[arg(long, default_value = "")]
    pub title: String,
    /// The working directory, instead of the current one.
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// An environment variable for the job. May be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Stop the job after this duration (`90s`, `10m`, `1h 30m`, or a number of seconds).
    #[arg(long, value_name = "DURATION", value_parser = value_parsers::duration)]
    pub timeout: Option<Duration>,
    /// A tag for filters. May be repeated.
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    #[command(flatten)]
    pub options: JobOptionArgs,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The queue, which is created if it doesn't exist [default: `adhoc`, in the nearest site, or else your own].
    #[arg(short, long, value_name = "QUEUE", add = ArgValueCandidates::new(queues))]
    pub queue: Option<String>,
    /// Print the output until the job has finished, and exit with its exit code.
    #[arg(long)]
    pub follow: bool,
    /// Wait until the job has finished, and exit with its exit code.
    #[arg(long, conflicts_with = "follow")]
    pub wait: bool,
    #[command(flatten)]
    pub job: NewJobArgs,
    #[command(flatten)]
    pub inputs: InputArgs,
    /// The program and its arguments, run without a shell. A single argument that isn't a program, such as 'make | tee log',
    /// is a script for the shell.
    #[arg(trailing_var_arg = true, required = true, value_name = "CMD")]
    pub command: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Queues to list; all by default.
    #[arg(add = ArgValueCandidates::new(queues))]
    pub queues: Vec<String>,
    // Here `--state` filters; the same id keeps the global option from being added under that name.
    /// Where the state is kept, instead of `.setlist` beside the file (`--state` before the command).
    #[arg(id = "state_dir", long = "state-dir", value_name = "DIR")]
    _state_dir: Option<PathBuf>,
    /// Only jobs in this state or with this outcome; separate several with commas.
    #[arg(long, value_delimiter = ',')]
    pub state: Vec<StateFilter>,
    /// Only failed and interrupted jobs, as `retry --failed` finds them.
    #[arg(long)]
    pub failed: bool,
    #[command(flatten)]
    pub filter: JobFilterArgs,
    /// Only jobs that were added or finished within this long (`1h`, `2days`).
    #[arg(long, value_name = "DURATION", value_parser = value_parsers::duration)]
    pub since: Option<Duration>,
    /// Print no line with the names of the columns. Only a terminal gets one.
    #[arg(long)]
    pub no_header: bool,
    /// Print JSON, one object per line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ResultsArgs {
    /// Queues; all by default.
    #[arg(add = ArgValueCandidates::new(queues))]
    pub queues: Vec<String>,
    /// Highest value first.
    #[arg(long)]
    pub highest: bool,
    /// Print the jobs as JSON, one object per line.
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
