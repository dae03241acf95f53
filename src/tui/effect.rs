//! What the screen asks for after a message: effects, carried out by the session, some of them by the store thread.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{Command, Definition, JobId, QueueId, RunId, RunPeriod, WindowSize, WorkerInfo};
use crate::site::GivenInputs;
use crate::store::log::LogReader;

use super::due_history::DueTimesRequest;
use super::first_hints::UsedHint;
use super::log_search::LogSearchRequest;

/// Something to be done outside the screen's own state.
#[derive(Debug)]
pub enum Effect {
    /// Send a request to the store thread.
    Store(StoreRequest),
    /// Read `jobs.yaml` again.
    ReloadFile,
    /// Open `jobs.yaml` in the editor.
    OpenEditor(EditorPosition),
    /// Open the output of this reader in the pager.
    OpenPager(Box<LogReader>),
    /// Show how the output of the second reader differs from that of the first in the pager.
    OpenDiff(Box<[LogReader; 2]>),
    /// Show the artifacts of this run in the pager.
    OpenArtifacts(RunId),
    /// Copy a text to the clipboard.
    CopyToClipboard(String),
    /// Remember that a hint was used.
    RememberHint(UsedHint),
    /// Show a desktop notification through the terminal.
    Notify(String),
    /// Stop the process group, as Ctrl-Z does; comes back as `Message::Suspend`.
    RequestSuspend,
    /// Stop this process until the shell continues it.
    Suspend,
    /// Capture the mouse, or release it.
    CaptureMouse(bool),
    /// Redraw everything.
    Repaint,
    /// Close the screen.
    Exit(ExitReason),
}

impl Effect {
    /// Send commands to the store.
    pub(super) fn submit(submission: Submission) -> Self {
        Self::Store(StoreRequest::Submit(submission))
    }
}

/// A request to the store thread.
#[derive(Debug)]
pub enum StoreRequest {
    /// Execute commands.
    Submit(Submission),
    /// Open the output of this run.
    OpenLog(RunId),
    /// Report when the output of these runs grows, and of no others. Runs that are new in the list come back as
    /// `Message::RunSubscribed`.
    Subscribe(Vec<RunId>),
    /// Find the run of a job before or after another one; comes back as
    /// `Message::AdjacentRun`.
    FindAdjacentRun {
        /// The job.
        job: JobId,
        /// The run to start from.
        from: RunId,
        /// Where to look.
        direction: Direction,
    },
    /// Open the output of this run of a job and of the run before it; comes back as `Message::RunsToCompare`.
    OpenRunsToCompare(JobId, RunId),
    /// Find a run of a job; comes back as `Message::FoundRun`.
    #[expect(missing_docs, reason = "the job and its run")]
    FindRun { job: JobId, run: RunId },
    /// Say which machine has the artifacts of a run that has left none on this one.
    FindArtifacts(RunId),
    /// Load the runs of a period; comes back as `Message::RunsInPeriod`.
    LoadPeriod(RunPeriod),
    /// Load all runs of a job; comes back as `Message::RunHistory`.
    LoadRuns(JobId),
    /// Load the due times of a schedule; comes back as `Message::DueTimes`.
    LoadDueTimes(Box<DueTimesRequest>),
    /// Search the output of all runs; comes back as `Message::LogSearch`.
    SearchLogs(LogSearchRequest),
    /// Write an added job to `jobs.yaml`.
    SaveJob {
        /// The `jobs.yaml`.
        file: PathBuf,
        /// The job.
        job: JobId,
        /// Its queue.
        queue: QueueId,
        /// The definition to write.
        definition: Box<Definition>,
    },
    /// Start the terminals of later runs with this size.
    SetWindowSize(WindowSize),
    /// Read what has changed in the store.
    ReadChanges,
    /// Look at what these runs of these workers use; comes back as `Message::UsageSeen`.
    #[expect(missing_docs, reason = "the runs and the workers")]
    LookAtUsage { runs: Vec<RunId>, workers: Vec<WorkerInfo> },
    /// Check the workers, after one has died.
    CheckWorkers,
    /// Read `jobs.yaml` and the items of its jobs again; comes back as the reply to [`Intent::ReloadNow`].
    ReloadFile {
        /// Whether a worker is needed for the jobs that appear.
        needs_worker: bool,
    },
}

/// Commands to execute, and what they are for.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// The commands, executed in order in one transaction.
    pub commands: Vec<Command>,
    /// What the user asked for; it selects the text for the reply.
    pub intent: Intent,
    /// Whether a worker must run once a command is accepted, or when there are no commands.
    pub needs_worker: bool,
    /// Values for the inputs of the queues whose jobs it requests.
    pub inputs: GivenInputs,
}

impl Submission {
    /// Commands without values for inputs.
    pub(super) fn new(commands: Vec<Command>, intent: Intent, needs_worker: bool) -> Self {
        Self { commands, intent, needs_worker, inputs: GivenInputs::default() }
    }
}

/// What the user asked for with a [`Submission`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Create the queue in front if it doesn't exist.
    Open,
    /// Process these queues.
    Process(Vec<QueueId>),
    /// Start a worker for these queues, which are processing without one.
    StartWorker(Vec<QueueId>),
    /// Approve this job.
    Approve(JobId),
    /// Refuse this job.
    Refuse(JobId),
    /// Pause these queues.
    Pause(Vec<QueueId>),
    /// Run this job.
    Run(JobId),
    /// Run all shown failed jobs again.
    RunFailed,
    /// Cancel this job.
    Cancel(JobId),
    /// Kill this job.
    Kill(JobId),
    /// Act on the marked jobs.
    Marked(BulkAction),
    /// Remove jobs.
    Remove,
    /// Move jobs in their queue.
    Move,
    /// Let this many jobs of the queue run at once.
    SetParallel(QueueId, NonZero<u32>),
    /// Restore removed jobs.
    Undo,
    /// Add a job to this queue.
    Add(QueueId),
    /// Write this job to `jobs.yaml` under this name.
    Save(JobId, String),
    /// Apply a new version of `jobs.yaml`.
    Reload,
    /// Read `jobs.yaml` again because the user asked for that.
    ReloadNow,
    /// Stop all running jobs, then quit.
    StopAndQuit,
}

/// An action on several marked jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkAction {
    /// Run them.
    Run,
    /// Cancel them.
    Cancel,
    /// Kill them.
    Kill,
}

/// Backwards or forwards in the history of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the previous run.
    Earlier,
    /// To the next run.
    Later,
}

/// Where the editor opens the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditorPosition {
    /// At the top.
    Top,
    /// At this line, counted from 1.
    Line(usize),
    /// In a file that it includes.
    Included {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// At the definition of this job.
    Job {
        /// Its queue.
        queue: QueueId,
        /// Its name.
        name: Arc<str>,
    },
    /// At a field of this job, or its definition if it doesn't have the field.
    Field {
        /// Its queue.
        queue: QueueId,
        /// Its name.
        name: Arc<str>,
        /// The names of a path, such as `limits` and `memory`.
        field: &'static [&'static str],
    },
}

/// Why the screen closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// The user quit.
    Quit,
    /// A signal arrived.
    Signal(i32),
    /// The terminal is gone.
    TerminalLost,
    /// A thread of the screen panicked.
    ThreadPanicked,
}
