//! A run: one attempt at a job, and how it ended.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{RunId, WorkerId};

/// One attempt at a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its number; a report that names another run is refused.
    pub id: RunId,
    /// 1 for the first run of the job.
    pub attempt: u32,
    /// Who runs it.
    pub worker: WorkerId,
    /// When it started.
    pub started: DateTime<Utc>,
    /// How it ended; none while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// When.
    pub at: DateTime<Utc>,
    /// What came of it.
    pub outcome: Outcome,
    /// How the process ended, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
}

/// What came of a run or a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did what it should.
    Succeeded,
    /// It did not.
    Failed(Failure),
    /// Somebody stopped it.
    Cancelled,
    /// Its worker died.
    Interrupted,
    /// A job that it needs has not finished as it should.
    Skipped {
        /// Which, and how it finished instead.
        reason: String,
    },
}

/// Why a call failed, for people to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// What happened, in a sentence (`exit code 3`, `no such file or directory: ./backup.sh`).
    pub message: String,
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// An exit code that is not among the job's `ok_codes`.
    Exit,
    /// Ended by a signal that Setlist did not send.
    Signal,
    /// Ran past its `timeout`.
    Timeout,
    /// The program could not be started at all.
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
    /// This signal ended it.
    Signal(i32),
}

/// How hard to stop a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// TERM to the process group, KILL after the job's `grace`.
    Terminate,
    /// KILL at once.
    Kill,
}

/// Which of its two outputs a job wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What a worker reports when a run has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What came of it.
    pub outcome: Outcome,
    /// How the process ended, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// What the job returned; no value and an empty value differ.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub value: Option<Value>,
}

/// Keeps `null` apart from *not there*: serde alone reads both as `None`.
pub(super) fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Failure {
    /// A failure of a function, with its error's text.
    pub fn error(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Error, message: message.into() }
    }
}

impl Outcome {
    /// The outcome in one word, as it is stored, printed and filtered by.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Skipped { .. } => "skipped",
        }
    }

    /// The failure, if it is one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl From<Result<Option<Value>, Failure>> for Report {
    fn from(result: Result<Option<Value>, Failure>) -> Self {
        match result {
            Ok(value) => Self { outcome: Outcome::Succeeded, exit: None, value },
            Err(failure) => Self { outcome: Outcome::Failed(failure), exit: None, value: None },
        }
    }
}
