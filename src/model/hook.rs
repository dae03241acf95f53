//! What is run when a job has finished, as data; the worker runs it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::setup::millis;
use super::{On, Outcome, Program};

/// A program that is run when a job's last run has ended. It changes nothing of the job, whatever comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hook {
    /// What is run.
    pub program: Program,
    /// After which outcomes.
    #[serde(default = "Hook::default_on")]
    pub on: On,
    /// After this long it gets TERM.
    #[serde(with = "millis")]
    pub timeout: Duration,
}

/// What came of it, after one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookEnd {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// What came of it.
    pub outcome: Outcome,
    /// The last line that it printed, if there was one.
    pub said: String,
}

impl Hook {
    /// How long one may take where nothing is said.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

    /// Runs `program` whatever has come of the job, for a minute at most.
    pub fn new(program: Program) -> Self {
        Self { program, on: Self::default_on(), timeout: Self::DEFAULT_TIMEOUT }
    }

    /// After what, and for how long at most, in words.
    pub fn terms(&self) -> String {
        let on = match self.on {
            On::Success => "after a success",
            On::Failure => "after a failure",
            On::Finish => "after any outcome",
        };
        let timeout = humantime::format_duration(self.timeout);
        format!("{on}, timeout {timeout}")
    }

    /// Whether it is run after this outcome.
    pub fn follows(&self, outcome: &Outcome) -> bool {
        match self.on {
            On::Success => *outcome == Outcome::Succeeded,
            On::Failure => matches!(outcome, Outcome::Failed(_)),
            On::Finish => true,
        }
    }

    fn default_on() -> On {
        On::Finish
    }
}
