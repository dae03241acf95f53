//! What is run when a job has finished, as data; the worker runs it.

use std::time::Duration;

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

impl Hook {
    /// How long one may take where nothing is said.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

    /// Runs `program` whatever has come of the job, for a minute at most.
    pub fn new(program: Program) -> Self {
        Self { program, on: Self::default_on(), timeout: Self::DEFAULT_TIMEOUT }
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
