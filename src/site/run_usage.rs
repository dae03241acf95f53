//! What runs use while they run, as far as this machine can see their processes.

use std::collections::HashMap;

use super::process_tags::{run_tag, tag_prefix};
use super::site_paths::SitePaths;
use crate::model::{LiveUsage, RunId, WorkerInfo};
use crate::runner::UsageMonitor;

/// Looks at the processes of the runs of a site from time to time.
#[derive(Debug)]
pub struct RunMonitor {
    paths: SitePaths,
    /// The prefix of the tags of the runs.
    tag_prefix: String,
    monitor: UsageMonitor,
}

impl RunMonitor {
    /// Looks at the runs of this site.
    pub fn new(paths: SitePaths) -> Self {
        Self { tag_prefix: tag_prefix(&paths), paths, monitor: UsageMonitor::default() }
    }

    /// What these runs use now, without those of workers of other machines.
    pub fn look(&mut self, workers: &[WorkerInfo], runs: &[RunId]) -> HashMap<RunId, LiveUsage> {
        let pids: Vec<u32> =
            workers.iter().filter(|worker| self.paths.is_local(worker)).map(|worker| worker.pid).collect();
        if pids.is_empty() {
            return HashMap::new();
        }
        let tags: Vec<_> = runs.iter().map(|run| run_tag(&self.tag_prefix, *run)).collect();
        let usages = self.monitor.look(&pids, &tags);
        runs.iter().zip(usages).filter_map(|(run, usage)| Some((*run, usage?))).collect()
    }
}
