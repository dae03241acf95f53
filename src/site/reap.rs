//! Reaps dead workers: kills the remaining processes of their runs and records the runs as *interrupted*.

use std::time::Duration;

use super::error::SiteError;
use super::process_tags::{HOOK_SLOTS, hook_tag, old_tags, run_tag, tag_prefix};
use super::site_paths::{SitePaths, hostname};
use super::snapshots::remove_stale_worktrees;
use crate::crash;
use crate::model::{Command, Event, Job, JobId, RunId, WorkerId, WorkerInfo};
use crate::runner::{OrphanReport, is_pid_namespace_visible, kill_orphans};
use crate::store::{StartedRuns, Store, WorkerOrigin, log};

/// The dead workers that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReapReport {
    /// How many dead workers were removed.
    pub workers: usize,
    /// Their jobs that were interrupted.
    pub interrupted_jobs: Vec<JobId>,
}

/// Whether the processes of a dead worker can be found from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProcessVisibility {
    /// They are on this machine and can be killed, if there are any.
    Local,
    /// The machine has been restarted since, so there are none.
    Gone,
    /// On another machine, in another container, or at the site of which this one is a copy.
    Remote,
}

/// How long to wait for killed processes to end.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Reaps the workers of this machine whose process has ended, and those of other machines that have lost their lease.
pub fn reap_dead_workers(store: &mut dyn Store, paths: &SitePaths) -> Result<ReapReport, SiteError> {
    let without_lease = store.workers_without_lease()?;
    let is_dead = |worker: &WorkerInfo| {
        if paths.is_local(worker) {
            !paths.state.is_worker_alive(worker.id)
        } else {
            without_lease.contains(&worker.id)
        }
    };
    let mut report = ReapReport::default();
    if !store.workers()?.iter().any(is_dead) {
        return Ok(report);
    }
    // A database that can't be read is left as it is.
    store.load()?;
    // No worker can join while the lock is held, so a registered worker without a locked file is dead.
    let _registration_lock = paths.state.lock_registration()?;
    for worker in store.workers()?.into_iter().filter(is_dead) {
        let mut runs: Vec<RunId> = store.jobs_run_by(worker.id)?.iter().filter_map(Job::current_run).collect();
        let started_runs = started_runs(&worker, paths);
        runs.extend(&started_runs);
        let origin = paths.state.worker_origin(worker.id);
        let visibility = if paths.is_local(&worker) {
            process_visibility(&origin, &paths.state.origin(), worker.host == hostname())
        } else {
            ProcessVisibility::Remote
        };
        if visibility == ProcessVisibility::Local && !kill_remaining_processes(worker.id, &runs, paths) {
            continue;
        }
        let unreachable_host = (visibility == ProcessVisibility::Remote).then(|| worker.host.clone());
        for run in runs {
            // The log has no writer left. If it can't be recovered, on a full disk for example, it is read as it is.
            if let Err(error) = log::recover(&paths.state.logs(), run) {
                tracing::warn!(%run, %error, "can't recover the log of an interrupted run");
            }
            store.terminal_inputs().remove(run);
        }
        crash::point("reaping");
        for answer in store.execute(
            &[Command::ReapWorker { worker: worker.id, started_runs, unreachable_host }],
            store.clock().now(),
        )? {
            // Refused if another process has reaped it first.
            for event in answer.unwrap_or_default() {
                match event {
                    Event::Ended { job, .. } => report.interrupted_jobs.push(job),
                    Event::WorkerLeft { .. } => report.workers += 1,
                    _ => {}
                }
            }
        }
        crash::point("reaped");
        paths.state.remove_worker_file(worker.id);
    }
    remove_stale_worktrees(store, &paths.state)?;
    Ok(report)
}

/// The reserved runs that a dead worker had started.
fn started_runs(worker: &WorkerInfo, paths: &SitePaths) -> Vec<RunId> {
    let reserved = worker.reserved.iter().map(|reservation| reservation.run);
    match paths.state.runs_started_by(worker.id) {
        StartedRuns::Exactly(started) => reserved.filter(|run| started.contains(run)).collect(),
        StartedRuns::Unknown => reserved.collect(),
    }
}

/// Whether the processes of a dead worker can be found from here.
fn process_visibility(there: &WorkerOrigin, here: &WorkerOrigin, is_same_host: bool) -> ProcessVisibility {
    let differs = |there: &Option<String>, here: &Option<String>| there.is_some() && here.is_some() && there != here;
    if differs(&there.boot_id, &here.boot_id) {
        let is_same_machine = is_same_host && !differs(&there.machine_id, &here.machine_id);
        return if is_same_machine { ProcessVisibility::Gone } else { ProcessVisibility::Remote };
    }
    if differs(&there.state_dir, &here.state_dir) {
        // The site is a copy: the processes belong to the original.
        return ProcessVisibility::Remote;
    }
    let is_hidden = |namespace: &String| !here.sees_whole_machine() && !is_pid_namespace_visible(namespace);
    match &there.pid_namespace {
        Some(namespace) if differs(&there.pid_namespace, &here.pid_namespace) && is_hidden(namespace) => {
            ProcessVisibility::Remote
        }
        _ => ProcessVisibility::Local,
    }
}

/// Kills the processes of the runs and hooks of a dead worker, but not background processes of jobs that had finished.
/// Returns whether none remains: a job can't run again while processes of its last run exist.
fn kill_remaining_processes(worker: WorkerId, runs: &[RunId], paths: &SitePaths) -> bool {
    let prefix = tag_prefix(paths);
    let hooks = (0..HOOK_SLOTS).map(|slot| hook_tag(&prefix, worker, slot));
    let tags = runs.iter().map(|run| run_tag(&prefix, *run)).chain(hooks);
    let tags: Vec<_> = tags.chain(old_tags(worker, runs, paths)).collect();
    let OrphanReport { killed, remaining } = kill_orphans(&tags, KILL_TIMEOUT);
    if killed > 0 {
        tracing::warn!(%worker, killed, "killed the remaining processes of a dead worker");
    }
    if remaining > 0 {
        tracing::error!(%worker, remaining, "can't kill the remaining processes of a dead worker yet");
    }
    remaining == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(pid_namespace: &str, boot: &str, machine: &str, state_dir: &str) -> WorkerOrigin {
        let part = |part: &str| (!part.is_empty()).then(|| part.to_owned());
        WorkerOrigin {
            pid_namespace: part(pid_namespace),
            boot_id: part(boot),
            machine_id: part(machine),
            state_dir: part(state_dir),
        }
    }

    #[test]
    fn only_processes_that_can_be_seen_are_taken_for_killed() {
        let here = origin("pid:[2]", "boot", "machine", "8:1");
        for (there, is_same_host, expected) in [
            (here.clone(), true, ProcessVisibility::Local),
            (origin("", "", "", ""), true, ProcessVisibility::Local),
            (origin("pid:[2]", "boot", "", ""), false, ProcessVisibility::Local),
            // Restarted since.
            (origin("pid:[2]", "earlier", "machine", "8:1"), true, ProcessVisibility::Gone),
            // Another machine, even if it has the same name.
            (origin("pid:[2]", "other", "machine", "8:1"), false, ProcessVisibility::Remote),
            (origin("pid:[2]", "other", "another", "8:1"), true, ProcessVisibility::Remote),
            // Another container.
            (origin("pid:[3]", "boot", "machine", "8:1"), true, ProcessVisibility::Remote),
            // A copy.
            (origin("pid:[2]", "boot", "machine", "8:7"), true, ProcessVisibility::Remote),
        ] {
            assert_eq!(process_visibility(&there, &here, is_same_host), expected, "{there:?}");
        }
        let machine = origin("pid:[4026531836]", "boot", "machine", "8:1");
        assert_eq!(
            process_visibility(&here, &machine, true),
            ProcessVisibility::Local,
            "the machine sees its containers"
        );
    }
}
