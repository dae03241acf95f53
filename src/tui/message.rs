//! The messages that the screen handles: input, changes in the store and on disk, answers to its effects.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::definition;
use crate::model::{
    DesiredState, EventRecord, HookResult, JobId, LiveUsage, Run, RunId, RunPeriod, RunSpan, SiteState,
};
use crate::site::WorkerCheck;
use crate::store::log::LogReader;
use crate::store::{CommandResult, StoreError, TerminalInputWriter, WorkerMachines};

use super::due_history::DueHistory;
use super::effect::{Direction, ExitReason, Intent};
use super::keys::KeyPress;
use super::log_search::LogSearchResults;
use super::mouse::MouseInput;
use super::server_outage::ServerOutage;

/// Something that happened.
#[derive(Debug)]
pub enum Message {
    /// A key was pressed.
    Key(KeyPress),
    /// A text was pasted.
    Paste(String),
    /// The mouse was used.
    Mouse(MouseInput),
    /// The terminal was resized.
    #[expect(missing_docs, reason = "in cells")]
    Resize { width: u16, height: u16 },
    /// New events of the site.
    Events(Vec<EventRecord>),
    /// The whole site: of a long one, a part is shown first. Or it was loaded again because too much has changed.
    SiteLoaded(Box<SiteState>),
    /// The whole site can't be loaded, of which a part is shown.
    LoadFailed(Box<StoreError>),
    /// The result of a [`Submission`](super::effect::Submission).
    Reply(Reply),
    /// The output of a run was opened.
    LogOpened {
        /// The run.
        run: RunId,
        /// Reads its output.
        reader: Box<LogReader>,
        /// Writes to its terminal, if it has one.
        input: TerminalInputWriter,
    },
    /// The output of a subscribed run was opened.
    #[expect(missing_docs, reason = "as in `LogOpened`")]
    RunSubscribed { run: RunId, reader: Box<LogReader>, input: TerminalInputWriter },
    /// The run before or after another one.
    AdjacentRun {
        /// The run where the search started.
        from: RunId,
        /// The run that was found, if there is one.
        run: Option<Run>,
        /// The direction of the search.
        direction: Direction,
    },
    /// The output of two runs of a job, the earlier one first.
    RunsToCompare(Box<[LogReader; 2]>),
    /// All kept runs of a job, oldest first.
    RunHistory {
        /// The job.
        job: JobId,
        /// Its runs.
        runs: Vec<Run>,
        /// The latest known result of `on_finish`.
        hook_result: Option<HookResult>,
        /// The machines of their workers, where a server has the site.
        machines: WorkerMachines,
    },
    /// A run of a job, if it is kept.
    #[expect(missing_docs, reason = "the job and the run")]
    FoundRun { job: JobId, run: Option<Box<Run>> },
    /// The latest runs of a period, latest first.
    #[expect(missing_docs, reason = "the period and its runs")]
    RunsInPeriod { period: RunPeriod, runs: Vec<RunSpan> },
    /// The due times of a schedule.
    DueTimes(Box<DueHistory>),
    /// Lines that a search over all output has found.
    LogSearch(LogSearchResults),
    /// What visible running jobs use, by their runs.
    UsageSeen(HashMap<RunId, LiveUsage>),
    /// The output of a subscribed run has grown.
    OutputGrown,
    /// `jobs.yaml` was read again.
    FileRead(Result<Box<DesiredState>, JobsFileError>),
    /// The workers were checked.
    WorkersChecked(WorkerCheck),
    /// The server of the site is away, or no longer.
    ServerOutage(Option<ServerOutage>),
    /// Something outside the screen failed.
    Error(String),
    /// Time has passed.
    Tick,
    /// The process is to be suspended.
    Suspend,
    /// The terminal may show something else now.
    Repaint,
    /// The screen is to close.
    Exit(ExitReason),
}

impl Message {
    /// Whether the user did something and waits for the result.
    pub(super) fn is_user_input(&self) -> bool {
        matches!(self, Self::Key(_) | Self::Paste(_) | Self::Mouse(_) | Self::Resize { .. })
    }

    /// Whether what it changes is drawn with the next frame, without one of its own: while jobs run, there is one a second.
    pub(super) fn waits_for_frame(&self) -> bool {
        matches!(self, Self::UsageSeen(_))
    }
}

/// The result of a [`Submission`](super::effect::Submission).
#[derive(Debug)]
pub struct Reply {
    /// What the user asked for.
    pub intent: Intent,
    /// A result for each command, or why the store failed.
    pub outcome: Result<Vec<CommandResult>, String>,
}

/// The errors of `jobs.yaml`, rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobsFileError {
    /// What is wrong with the file: `has errors`.
    pub problem: &'static str,
    /// All errors with their snippets, without colours.
    pub text: String,
    /// The number of errors.
    pub errors: usize,
    /// The line of the first error, counted from 1.
    pub line: Option<usize>,
    /// The file of the first error, if that is an included one.
    pub file: Option<PathBuf>,
}

impl JobsFileError {
    /// The problem of a file that has errors.
    pub const HAS_ERRORS: &'static str = "has errors";
}

impl From<definition::Error> for JobsFileError {
    fn from(error: definition::Error) -> Self {
        match error {
            definition::Error::Invalid(diagnostics) => Self {
                problem: Self::HAS_ERRORS,
                text: diagnostics.render(false),
                errors: diagnostics.errors.len() + diagnostics.omitted,
                line: diagnostics.errors.first().map(|first| first.line),
                file: diagnostics.errors.first().and_then(|first| Some(PathBuf::from(&**first.snippet.file.as_ref()?))),
            },
            other => {
                let problem = match &other {
                    definition::Error::Missing(_) => "is missing",
                    definition::Error::NotInForce { .. } => "is not in force",
                    _ => "can't be read",
                };
                Self { problem, text: other.to_string(), errors: 1, line: None, file: None }
            }
        }
    }
}
