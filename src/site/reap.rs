//! Reaps dead workers: kills the remaining processes of their runs and records the runs as *interrupted*.

use std::time::Duration;

use chrono::Utc;

use super::context::WorkerContext;
use super::error::SiteError;
use super::process_tags::{HOOK_SLOTS, hook_tag, run_tag};
use crate::crash;
use crate::model::{Command, Event, Job, RunId, WorkerId, WorkerInfo};
use crate::runner::{OrphanReport, kill_orphans};
use crate::store::{StartedRuns, Store, log};

/// The dead workers that were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReapReport {
    /// How many dead workers were removed.
    pub workers: usize,
    /// How many of their jobs were interrupted.
    pub interrupted_jobs: usize,
}

/// How long to wait for killed processes to end.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Reaps the workers of this machine whose process has ended.
pub fn reap_dead_workers(store: &mut dyn Store, context: &WorkerContext) -> Result<ReapReport, SiteError> {
    let is_dead = |worker: &WorkerInfo| context.is_local(worker) && !context.state.is_worker_alive(worker.id);
    let mut report = ReapReport::default();
    if !store.workers()?.iter().any(is_dead) {
        return Ok(report);
    }
    // No worker can join while the lock is held, so a registered worker without a locked file is dead.
    let _liveness_lock = context.state.lock_liveness()?;
    for worker in store.workers()?.into_iter().filter(is_dead) {
        let mut runs: Vec<RunId> = store.jobs_run_by(worker.id)?.iter().filter_map(Job::current_run).collect();
        let started_runs = started_runs(&worker, context);
        runs.extend(&started_runs);
        if !kill_remaining_processes(worker.id, &runs, context) {
            continue;
        }
        for run in runs {
            // The log has no writer left. If it can't be recovered, on a full disk for example, it is read as it is.
            if let Err(error) = log::recover(&context.state.logs(), run) {
                tracing::warn!(%run, %error, "can't recover the log of an interrupted run");
            }
            store.terminal_inputs().remove(run);
        }
        crash::point("reaping");
        for answer in store.execute(&[Command::ReapWorker { worker: worker.id, started_runs }], Utc::now())? {
            // Refused if another process has reaped it first.
            for event in answer.unwrap_or_default() {
                match event {
                    Event::Ended { .. } => report.interrupted_jobs += 1,
                    Event::WorkerLeft { .. } => report.workers += 1,
                    _ => {}
                }
            }
        }
        crash::point("reaped");
        context.state.remove_worker_file(worker.id);
    }
    Ok(report)
}

/// The reserved runs that a dead worker had started.
fn started_runs(worker: &WorkerInfo, context: &WorkerContext) -> Vec<RunId> {
    let reserved = worker.reserved.iter().map(|reservation| reservation.run);
    match context.state.runs_started_by(worker.id) {
        StartedRuns::Exactly(started) => reserved.filter(|run| started.contains(run)).collect(),
        StartedRuns::Unknown => reserved.collect(),
    }
}

/// Kills the processes of the runs and hooks of a dead worker, but not background processes of jobs that had finished.
/// Returns whether none remains: a job can't run again while processes of its last run exist.
fn kill_remaining_processes(worker: WorkerId, runs: &[RunId], context: &WorkerContext) -> bool {
    let runs = runs.iter().map(|run| run_tag(worker, *run, context));
    let hooks = (0..HOOK_SLOTS).map(|slot| hook_tag(worker, slot, context));
    let tags: Vec<_> = runs.chain(hooks).collect();
    let OrphanReport { killed, remaining } = kill_orphans(&tags, KILL_TIMEOUT);
    if killed > 0 {
        tracing::warn!(%worker, killed, "killed the remaining processes of a dead worker");
    }
    if remaining > 0 {
        tracing::error!(%worker, remaining, "can't kill the remaining processes of a dead worker yet");
    }
    remaining == 0
}
