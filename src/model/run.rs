//! A run: one attempt at a job, and how it ended.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Cause, CauseKind, RunId, RunInputs, SourceState, Usage, WorkerId};

/// The most that is kept of the value that a job writes to its file, in bytes.
pub const MAX_VALUE_BYTES: usize = 1024 * 1024;

/// One attempt at a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id; a report for another run is refused.
    pub id: RunId,
    /// 1 for the first run of the job.
    pub attempt: u32,
    /// The worker that runs it.
    pub worker: WorkerId,
    /// When it started.
    pub started: DateTime<Utc>,
    /// Since when it has printed nothing, while it is stalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled: Option<DateTime<Utc>>,
    /// How it ended; `None` while it runs.
    #[serde(rename = "ending", default, skip_serializing_if = "Option::is_none")]
    pub end: Option<RunEnd>,
    /// Who approved it, if its job needs approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Box<Approval>>,
    /// What it got besides the definition of its job, such as units of pools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Box<RunInputs>>,
}

/// The answer to the question of a job that needs approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The name of the user who answered.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Whether the job was approved; otherwise it was refused.
    pub granted: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEnd {
    /// When.
    pub at: DateTime<Utc>,
    /// Its outcome.
    pub outcome: Outcome,
    /// How the process ended, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// Why it failed, if there is evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<Cause>>,
    /// What its processes used, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Box<Usage>>,
    /// The value that it returned, in the history of a job. That of the last run is not repeated in the job itself: see
    /// [`Job::result_value`](super::Job::result_value).
    #[serde(skip)]
    pub value: Option<Box<Value>>,
}

/// The outcome of a run or a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed(Box<Failure>),
    /// It was cancelled by a user.
    Cancelled,
    /// Its worker died, and its processes are gone.
    Interrupted,
    /// Its worker died where its processes can't be seen or killed from here, such as on another machine. They may still
    /// be running, so only an explicit request runs the job again.
    Unreachable {
        /// The host that it ran on.
        host: Box<str>,
    },
    /// It did not run.
    Skipped {
        /// Why: which job that it needs did not finish as required, or what its condition printed.
        reason: Box<str>,
        /// What kept it from running.
        #[serde(default, skip_serializing_if = "SkipKind::is_needs")]
        by: SkipKind,
    },
}

/// What kept a job from running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipKind {
    /// A job that it needs did not finish as required.
    #[default]
    Needs,
    /// Its condition.
    Condition,
    /// It is up to date.
    UpToDate,
}

/// Why a call failed, in readable form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// What happened (for example `exit code 3`, `no such file or directory: ./backup.sh`).
    pub message: String,
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// An exit code that is not among the job's `ok_codes`.
    Exit,
    /// Terminated by a signal that Setlist did not send.
    Signal,
    /// Exceeded its `timeout`.
    Timeout,
    /// Printed nothing for longer than its `stall`, and was stopped for that.
    Stalled,
    /// The program could not be started.
    NotStarted,
    /// A function returned an error, or panicked.
    Error,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// It was terminated by this signal.
    Signal(i32),
}

/// The signal that stops a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopSignal {
    /// SIGTERM to the process group, then SIGKILL after the job's `grace`.
    Terminate,
    /// SIGKILL at once.
    Kill,
}

/// An output stream of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What a worker reports when a run ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Its outcome.
    pub outcome: Outcome,
    /// How the process ended, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// Why it failed, if there is evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<Cause>>,
    /// What its processes used, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Box<Usage>>,
    /// The value that the job returned. No value and an empty value differ.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "deserialize_present")]
    pub value: Option<Value>,
    /// What its sources were before it started, if the job has sources or outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Box<SourceState>>,
    /// What was not kept of the limits of its job, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unkept_limits: Vec<String>,
}

/// Distinguishes `null` from a missing field; serde alone reads both as `None`.
pub(super) fn deserialize_present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Run {
    /// How long it took; `None` while it runs. Never negative, even if the clock was set back.
    pub fn duration(&self) -> Option<Duration> {
        self.end.as_ref().map(|end| self.elapsed(end.at))
    }

    /// How long it had been running at `now`, or how long it took if it has ended.
    pub fn elapsed(&self, now: DateTime<Utc>) -> Duration {
        let until = self.end.as_ref().map_or(now, |end| end.at);
        (until - self.started).to_std().unwrap_or_default()
    }
}

impl RunEnd {
    /// Why it did not succeed, on one line: the message of its failure with the cause, as far as that says more.
    pub fn failure_text(&self) -> Option<String> {
        let failure = self.outcome.failure()?;
        Some(match self.cause.as_deref() {
            // The message is that of the operating system, and the cause says it more precisely.
            Some(cause) if failure.kind == FailureKind::NotStarted && cause.is_specific() => cause.to_string(),
            Some(cause) if cause.is_specific() => format!("{}: {cause}", failure.message),
            Some(Cause { kind: CauseKind::Exited, detail, .. }) if !detail.is_empty() => {
                format!("{}: {detail}", failure.message)
            }
            _ => failure.message.clone(),
        })
    }

    /// The same for one line among others: without the folders that were searched for a command.
    pub fn failure_line(&self) -> Option<String> {
        let text = self.failure_text()?;
        let is_unknown = self.cause.as_deref().is_some_and(|cause| cause.kind == CauseKind::CommandNotFound);
        match text.rfind(" (searched ").filter(|_| is_unknown && text.ends_with(')')) {
            Some(end) => Some(text[..end].to_owned()),
            None => Some(text),
        }
    }

    /// The same, shorter: the kind of a cause that says more than the message of the failure, or else that message.
    pub fn failure_summary(&self) -> Option<String> {
        let failure = self.outcome.failure()?;
        let specific = self.cause.as_deref().filter(|cause| cause.is_specific());
        Some(specific.map_or_else(|| failure.message.clone(), Cause::to_string))
    }
}

impl RunReport {
    /// The report of a run without a process or a value.
    pub fn new(outcome: Outcome) -> Self {
        Self { outcome, exit: None, cause: None, usage: None, value: None, sources: None, unkept_limits: Vec::new() }
    }
}

impl Failure {
    /// The failure of a function that returned this error.
    pub fn error(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Error, message: message.into() }
    }
}

impl Outcome {
    /// The outcome as one word, as stored, printed and used in filters.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted | Self::Unreachable { .. } => "interrupted",
            Self::Skipped { .. } => "skipped",
        }
    }

    /// Whether the job is done: it succeeded, or it is up to date.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Skipped { by: SkipKind::UpToDate, .. })
    }

    /// What kept the job from running, if it was skipped.
    pub fn skip_kind(&self) -> Option<SkipKind> {
        match self {
            Self::Skipped { by, .. } => Some(*by),
            _ => None,
        }
    }

    /// Whether the worker of the run died.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted | Self::Unreachable { .. })
    }

    /// The failure, if the outcome is one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

impl SkipKind {
    /// The kind as one word, as in JSON. Scripts read these words: they never change.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Needs => "needs",
            Self::Condition => "condition",
            Self::UpToDate => "up_to_date",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    fn is_needs(&self) -> bool {
        *self == Self::Needs
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { host } => write!(f, "interrupted (may still be running on {host})"),
            _ => f.write_str(self.as_str()),
        }
    }
}

impl From<Result<Option<Value>, Failure>> for RunReport {
    fn from(result: Result<Option<Value>, Failure>) -> Self {
        match result {
            Ok(value) => Self { value, ..Self::new(Outcome::Succeeded) },
            Err(failure) => Self::new(Outcome::Failed(failure.into())),
        }
    }
}
