//! The arguments of `setlist worker`, `workers` and `drain`.

use std::num::NonZero;
use std::sync::Arc;

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::candidates::{queues, workers};
use super::value_parsers;
use crate::model::{WorkerId, WorkerOptions};

#[derive(Debug, Args)]
pub(super) struct WorkerArgs {
    /// Queues to serve; all by default.
    #[arg(add = ArgValueCandidates::new(queues))]
    pub queues: Vec<String>,
    /// How many slots its jobs may use at once: a job uses one, or its `weight`. By default as many as the queues have.
    #[arg(long, value_name = "N", value_parser = value_parsers::parallel)]
    pub slots: Option<NonZero<u32>>,
    /// A label of this worker: it runs jobs that name it in `runs_on`, besides those that name none. May be repeated.
    #[arg(long = "label", value_name = "LABEL", value_parser = value_parsers::label)]
    pub labels: Vec<Arc<str>>,
    /// Exit when there are no more jobs to run.
    #[arg(long)]
    pub exit_when_idle: bool,
    /// Detach from the terminal, and log to the worker log instead of standard error.
    #[arg(long, hide = true)]
    pub detached: bool,
}

#[derive(Debug, Args)]
pub(super) struct DrainArgs {
    /// The numbers of the workers, as `setlist workers` prints them.
    #[arg(required = true, value_name = "WORKER", value_parser = value_parsers::worker, add = ArgValueCandidates::new(workers))]
    pub workers: Vec<WorkerId>,
    /// Wait until they have exited.
    #[arg(long)]
    pub wait: bool,
}

impl WorkerArgs {
    /// What the worker may run, besides its queues.
    pub(super) fn options(&self) -> WorkerOptions {
        let mut labels = self.labels.clone();
        labels.sort_unstable();
        labels.dedup();
        WorkerOptions { slots: self.slots, labels }
    }
}
