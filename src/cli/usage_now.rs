//! What running jobs use now, for `list --json` and `show --json`.

use std::collections::HashMap;

use serde::Serialize;

use super::error::CliError;
use super::open_site::OpenSite;
use crate::model::{Job, LiveUsage, RunId};
use crate::site::RunMonitor;
use crate::store::Store;

/// What the running jobs of this machine use now.
#[derive(Default)]
pub(super) struct RunningUsages {
    usages: HashMap<RunId, LiveUsage>,
}

/// What the processes of a running job use now, in JSON.
#[derive(Serialize)]
pub(super) struct UsageNowRecord {
    cpu_ms: u64,
    memory: u64,
    processes: usize,
    output_bytes: Option<u64>,
}

impl RunningUsages {
    /// Looks at the running ones of these jobs.
    pub(super) fn look<'j>(site: &mut OpenSite, jobs: impl IntoIterator<Item = &'j Job>) -> Result<Self, CliError> {
        let runs: Vec<RunId> = jobs.into_iter().filter_map(Job::current_run).collect();
        if runs.is_empty() {
            return Ok(Self::default());
        }
        let workers = site.store.workers()?;
        Ok(Self { usages: RunMonitor::new(site.paths.clone()).look(&workers, &runs) })
    }

    /// What this job uses, if it is running on this machine.
    pub(super) fn of(&self, job: &Job, store: &dyn Store) -> Option<UsageNowRecord> {
        let run = job.current_run()?;
        let usage = self.usages.get(&run)?;
        Some(UsageNowRecord {
            cpu_ms: u64::try_from(usage.cpu.as_millis()).unwrap_or(u64::MAX),
            memory: usage.memory,
            processes: usage.processes,
            output_bytes: store.log_reader(run).len().ok(),
        })
    }
}
