//! Conditions: commands that decide whether a job runs when its turn comes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Program;

/// The commands that decide whether a job runs: it runs if `if` exits with 0 and `unless` doesn't.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// It runs if this exits with 0.
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    pub run_if: Option<Program>,
    /// It runs unless this exits with 0.
    #[serde(rename = "unless", skip_serializing_if = "Option::is_none")]
    pub run_unless: Option<Program>,
}

/// A condition of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionKind {
    /// `if`.
    If,
    /// `unless`.
    Unless,
}

impl Conditions {
    /// How long a condition may take.
    pub const TIMEOUT: Duration = Duration::from_secs(5 * 60);

    /// The conditions, in the order in which they are evaluated.
    pub fn programs(&self) -> impl Iterator<Item = (ConditionKind, &Program)> {
        let run_if = self.run_if.iter().map(|program| (ConditionKind::If, program));
        run_if.chain(self.run_unless.iter().map(|program| (ConditionKind::Unless, program)))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.run_if.is_none() && self.run_unless.is_none()
    }
}

impl ConditionKind {
    /// The name of its field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::If => "if",
            Self::Unless => "unless",
        }
    }

    /// Whether the job runs if the condition is met, or if it is not.
    pub fn allows_run(self, is_met: bool) -> bool {
        is_met == (self == Self::If)
    }
}
