//! Settings, retention and mode of a queue.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Expectation, InputDeclaration, QueueHook, Schedule, WorkerId};

/// The settings of a queue, from `jobs.yaml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueSettings {
    /// Its display title; `""` until set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// How many of its jobs may run at once over all workers; at least 1.
    pub parallel: u32,
    /// A limit in place of `parallel`, for as long as a worker is registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_override: Option<ParallelOverride>,
    /// The effect of a failed job on its queue.
    pub on_failure: OnFailure,
    /// How long runs and finished jobs are kept.
    #[serde(rename = "keep", skip_serializing_if = "Retention::is_default")]
    pub retention: Retention,
    /// When its jobs become pending and run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Arc<Schedule>>,
    /// By when its jobs should have succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Arc<Expectation>>,
    /// What runs when they have not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_overdue: Option<Arc<QueueHook>>,
    /// The values that are asked for when its jobs are requested.
    #[serde(skip_serializing_if = "no_inputs")]
    pub inputs: Arc<[InputDeclaration]>,
    /// Whether jobs of it in the file run on the snapshot that a request makes.
    #[serde(rename = "snapshots", skip_serializing_if = "std::ops::Not::not")]
    pub has_snapshots: bool,
    /// Whether it is in `jobs.yaml`.
    #[serde(rename = "declared")]
    pub is_in_file: bool,
    /// Its place among the queues of the file. Queues that are not in the file come last, by name.
    pub order: u32,
}

/// A limit on parallel jobs that ends with the worker for which it was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParallelOverride {
    /// The worker.
    pub worker: WorkerId,
    /// How many jobs may run at once over all workers; at least 1.
    pub parallel: u32,
}

/// Limits on kept runs, finished jobs and output. The record of the latest run of a job in a queue is always kept, but
/// not its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Retention {
    /// Runs kept per job; at least 1.
    #[serde(rename = "runs")]
    pub max_runs: Option<u32>,
    /// Maximum age of runs, and of finished jobs that are not in `jobs.yaml`.
    #[serde(rename = "seconds")]
    pub max_age_seconds: Option<u64>,
    /// Maximum size of the output of all jobs of the queue together.
    #[serde(rename = "bytes")]
    pub max_output_bytes: Option<u64>,
}

/// The effect of a failed job on its queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The failed job finishes and the queue continues.
    #[default]
    Continue,
    /// The failed job stays pending in its place and the queue stops.
    Stop,
}

/// The mode of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueMode {
    /// Only requested jobs start.
    #[default]
    Idle,
    /// Jobs start until none is left that can.
    Processing,
    /// Running jobs may finish; no job starts.
    Paused,
    /// A failed job stopped it (`on_failure: stop`).
    Stopped,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            title: String::new(),
            parallel: 1,
            parallel_override: None,
            on_failure: OnFailure::Continue,
            retention: Retention::default(),
            schedule: None,
            expect: None,
            on_overdue: None,
            inputs: Arc::default(),
            has_snapshots: false,
            is_in_file: false,
            order: u32::MAX,
        }
    }
}

impl QueueSettings {
    /// How many jobs of the queue may run at once now.
    pub fn max_parallel(&self) -> u32 {
        self.parallel_override.map_or(self.parallel, |limit| limit.parallel)
    }
}

impl Retention {
    /// The time before which runs and jobs are too old; `None` if their age is not limited.
    pub fn cutoff(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let age = TimeDelta::try_seconds(i64::try_from(self.max_age_seconds?).ok()?)?;
        now.checked_sub_signed(age)
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Retention {
    /// 100 runs per job, 90 days, and 1 GiB of output per queue.
    fn default() -> Self {
        Self { max_runs: Some(100), max_age_seconds: Some(90 * 24 * 60 * 60), max_output_bytes: Some(1 << 30) }
    }
}

fn no_inputs(inputs: &[InputDeclaration]) -> bool {
    inputs.is_empty()
}

impl QueueMode {
    /// The mode as one word, as stored, shown and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Processing => "processing",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}
