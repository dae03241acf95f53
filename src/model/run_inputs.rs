//! What a run got when it started, besides the definition of its job.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{InputValues, PoolHold, ScaledLimits, Snapshot};

/// What a run got when it started. Most runs got nothing but their job's definition, and have none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunInputs {
    /// The units of pools that it holds until it ends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<PoolHold>,
    /// The values of the inputs of its queue; `None` for a secret.
    #[serde(skip_serializing_if = "InputValues::is_empty")]
    pub inputs: InputValues,
    /// The files that it runs on, if its job has `snapshot`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Arc<Snapshot>>,
    /// The results of the jobs that its job needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<NeedResult>,
    /// What was filled in for each placeholder of its definition.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub filled: BTreeMap<String, String>,
    /// Its command line with what was filled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Whether a value was cut, because it was too large.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
    /// Why a placeholder can't be filled in, so that the run fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Its limits that have grown since the first attempt.
    #[serde(skip_serializing_if = "ScaledLimits::is_empty")]
    pub scaled: ScaledLimits,
    /// What was not kept of its limits, in words; known when it has ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unkept_limits: Vec<String>,
}

/// The result of a needed job when a run started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NeedResult {
    /// The name of the job; for one of another queue, `queue/name`.
    pub job: Arc<str>,
    /// Its outcome as one word.
    pub outcome: Arc<str>,
    /// Its value. No value and an empty value differ.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::run::deserialize_present")]
    pub value: Option<Value>,
    /// Whether the value was cut, because it was too large.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
}

impl RunInputs {
    /// Whether the run got nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
