//! Hooks: programs that run after a job finishes. The worker runs them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::millis;
use super::{Outcome, OutcomeCondition, Program};
use crate::text;

/// A program that runs after a job's last run. Its own outcome does not affect the job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hook {
    /// The program.
    pub program: Program,
    /// The outcomes after which it runs.
    #[serde(default = "Hook::default_on")]
    pub on: OutcomeCondition,
    /// How long it may run before it gets SIGTERM.
    #[serde(with = "millis")]
    pub timeout: Duration,
}

/// A hook of a queue, with the variables that the queue sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueHook {
    /// The hook.
    pub hook: Arc<Hook>,
    /// As in [`ExecOptions::env`](super::ExecOptions::env).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Option<String>>,
}

/// How a hook ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookResult {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// Its outcome.
    pub outcome: Outcome,
    /// The last line of its output; empty if it printed nothing.
    #[serde(rename = "said")]
    pub last_line: String,
}

impl Hook {
    /// The timeout where `jobs.yaml` sets none.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

    /// A hook that runs `program` after any outcome, with the default timeout.
    pub fn new(program: Program) -> Self {
        Self { program, on: Self::default_on(), timeout: Self::DEFAULT_TIMEOUT }
    }

    /// When it runs and its timeout, as text.
    pub fn summary(&self) -> String {
        let on = match self.on {
            OutcomeCondition::Success => "after a success",
            OutcomeCondition::Failure => "after a failure",
            OutcomeCondition::Finish => "after any outcome",
        };
        let timeout = text::exact_duration(self.timeout);
        format!("{on}, timeout {timeout}")
    }

    /// Whether it runs after this outcome.
    pub fn runs_after(&self, outcome: &Outcome) -> bool {
        match self.on {
            OutcomeCondition::Success => *outcome == Outcome::Succeeded,
            OutcomeCondition::Failure => matches!(outcome, Outcome::Failed(_)),
            OutcomeCondition::Finish => outcome.skip_kind().is_none(),
        }
    }

    fn default_on() -> OutcomeCondition {
        OutcomeCondition::Finish
    }
}
