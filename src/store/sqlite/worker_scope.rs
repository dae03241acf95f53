//! The column of a worker that says what it runs: its queues, or an object with more.

use serde::{Deserialize, Serialize};

use crate::model::{QueueId, Reservation, WorkerId, WorkerInfo, WorkerOptions};

/// What a worker runs.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum WorkerScope {
    /// Only its queues, as written before workers had options.
    Queues(Vec<QueueId>),
    /// With its options and its state.
    Full {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queues: Option<Vec<QueueId>>,
        #[serde(flatten)]
        options: WorkerOptions,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        draining: bool,
    },
}

impl WorkerScope {
    /// What a worker runs; `None` if it runs everything.
    pub(super) fn of(worker: &WorkerInfo) -> Option<Self> {
        if worker.options == WorkerOptions::default() && !worker.draining {
            return worker.queues.clone().map(Self::Queues);
        }
        let (queues, options) = (worker.queues.clone(), worker.options.clone());
        Some(Self::Full { queues, options, draining: worker.draining })
    }

    /// The worker with these other columns.
    pub(super) fn info(self, id: WorkerId, host: String, pid: u32, reserved: Vec<Reservation>) -> WorkerInfo {
        let (queues, options, draining) = match self {
            Self::Queues(queues) => (Some(queues), WorkerOptions::default(), false),
            Self::Full { queues, options, draining } => (queues, options, draining),
        };
        WorkerInfo { id, host, pid, queues, options, draining, reserved }
    }
}

impl Default for WorkerScope {
    /// A worker that runs everything.
    fn default() -> Self {
        Self::Full { queues: None, options: WorkerOptions::default(), draining: false }
    }
}
