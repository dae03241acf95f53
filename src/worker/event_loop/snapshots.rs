//! Snapshots of a worker: checked out before the jobs that run on them start, and made for jobs whose time has come.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;

use chrono::{DateTime, Utc};

use super::EventLoop;
use crate::model::{Command, Event, Job, JobId, Phase, QueueId, QueueMode, RunId, Snapshot};
use crate::runner::{Worktree, WorktreeRequest, check_out, take_snapshot, with_sigchld_blocked};
use crate::site::{RUN_ID, TAG, WORKER, snapshot_place, working_folder};
use crate::store::{CommandResult, Store, StoreError};
use crate::text::sanitize_line;
use crate::worker::message::WorkerMessage;
use crate::worker::pending_start::{CheckStep, PendingStart, not_started};

/// How many jobs of a queue are read at once.
const JOBS_AT_ONCE: usize = 1_000;

impl EventLoop {
    /// Checks out the snapshot of a run on a thread.
    pub(super) fn check_out(&mut self, run: RunId, mut pending: PendingStart) {
        let Some(active) = self.running.get_mut(&run) else { return };
        let Some(script) = active.job.script() else { return };
        let place = match snapshot_place(&self.paths) {
            Ok(place) => place,
            Err(error) => {
                active.pending_start = Some(pending);
                return self.end_before_start(run, not_started(&error.to_string()));
            }
        };
        let is_tag = |(name, _): &&(String, _)| [TAG, RUN_ID, WORKER].contains(&name.as_str());
        let request = WorktreeRequest {
            working_folder: pending.launch.working_folder(script),
            snapshot: active.job.snapshot().cloned(),
            run_folder: self.paths.state.snapshot_of(run),
            tags: pending.launch.env.iter().filter(is_tag).cloned().collect(),
            place,
            now: self.now,
        };
        pending.step = CheckStep::Snapshot;
        active.pending_start = Some(pending);
        let (sender, state) = (self.sender.clone(), self.paths.state.clone());
        let check_out = move || {
            // A run of the same number in a site that was restored from a backup may have left one.
            crate::site::remove_worktree(&state, run);
            sender.send(WorkerMessage::SnapshotCheckedOut(run, check_out(request)));
        };
        let thread = thread::Builder::new().name("snapshot".to_owned());
        match with_sigchld_blocked(|| thread.spawn(check_out)) {
            Ok(thread) => self.folders.add_checkout(run, thread),
            Err(error) => self.defer_launch(run, &error),
        }
    }

    /// The snapshot of a run was checked out: it has its next check.
    pub(super) fn handle_checked_out(&mut self, run: RunId, worktree: Result<Worktree, String>) {
        let active = self.running.get_mut(&run).filter(|active| !active.is_ended);
        let Some((job, pending)) = active.and_then(|active| Some((&mut active.job, active.pending_start.as_mut()?)))
        else {
            return self.folders.remove_late_worktree(run);
        };
        pending.step = CheckStep::Next;
        let worktree = match worktree {
            Ok(worktree) => worktree,
            Err(message) => {
                let message = format!("can't use the snapshot: {message}");
                return self.end_before_start(run, not_started(&message));
            }
        };
        pending.enter(&worktree);
        if worktree.is_new {
            let (id, snapshot) = (job.id, Arc::new(worktree.snapshot));
            job.apply(&Event::SnapshotTaken { job: id, snapshot: Arc::clone(&snapshot) }, self.now);
            self.pending_commands.push((Command::RecordSnapshot { job: id, run: Some(run), snapshot }, self.now));
        }
        self.continue_start(run);
    }

    /// Makes a snapshot for jobs that become due, as far as they can't start at once.
    pub(super) fn snapshot_due_jobs(
        &mut self,
        store: &mut dyn Store,
        commands: &[(Command, DateTime<Utc>)],
        answers: &[CommandResult],
    ) {
        let promoted = commands.iter().zip(answers).filter(|((command, _), _)| matches!(command, Command::PromoteDue));
        let events: Vec<&Event> = promoted.filter_map(|(_, answer)| answer.as_ref().ok()).flatten().collect();
        let is_due = |event: &&Event| matches!(event, Event::Requeued { .. } | Event::ModeChanged { .. });
        if !events.iter().any(is_due) {
            return;
        }
        let jobs = match jobs_without_snapshot(store, &events) {
            Ok(jobs) if jobs.is_empty() => return,
            Ok(jobs) => jobs,
            Err(error) => return tracing::warn!(%error, "can't read which jobs need a snapshot"),
        };
        let (sender, paths, now) = (self.sender.clone(), self.paths.clone(), self.now);
        let take = move || {
            let site_dir = paths.site_dir();
            let mut left = jobs;
            while let Some(folder) = left.first().map(|job| working_folder(&job.definition, site_dir)) {
                let is_there = |job: &Job| working_folder(&job.definition, site_dir) == folder;
                let (here, others): (Vec<Job>, Vec<Job>) = left.into_iter().partition(is_there);
                let place = snapshot_place(&paths).map_err(|error| error.to_string());
                let taken = place.and_then(|place| take_snapshot(&folder, &place, now));
                sender.send(WorkerMessage::SnapshotTaken(here.iter().map(|job| job.id).collect(), taken));
                left = others;
            }
        };
        let thread = thread::Builder::new().name("snapshot".to_owned());
        if let Err(error) = with_sigchld_blocked(|| thread.spawn(take)) {
            tracing::warn!(%error, "can't make a snapshot; the jobs get one when they start");
        }
    }

    /// A snapshot was made for jobs that are due.
    pub(super) fn handle_snapshot(&mut self, jobs: &[JobId], snapshot: Result<Snapshot, String>) {
        match snapshot {
            Ok(snapshot) => {
                let snapshot = Arc::new(snapshot);
                let record = |job: &JobId| Command::RecordSnapshot { job: *job, run: None, snapshot: snapshot.clone() };
                self.pending_commands.extend(jobs.iter().map(record).map(|command| (command, self.now)));
            }
            Err(error) => {
                tracing::warn!("can't make a snapshot; the jobs get one when they start: {}", sanitize_line(&error));
            }
        }
    }
}

/// The jobs that these events make due and that wait without a snapshot, though they run on one.
fn jobs_without_snapshot(store: &mut dyn Store, events: &[&Event]) -> Result<Vec<Job>, StoreError> {
    let with_snapshots: BTreeSet<QueueId> =
        store.queues()?.into_iter().filter(|queue| queue.settings.has_snapshots).map(|queue| queue.id).collect();
    if with_snapshots.is_empty() {
        return Ok(Vec::new());
    }
    let waits = |job: &Job| {
        let has_snapshot = job.inputs.as_deref().is_some_and(|inputs| inputs.snapshot.is_some());
        job.phase() == Phase::Pending && job.runs_on_snapshot() && !has_snapshot
    };
    let mut jobs = Vec::new();
    for event in events {
        match event {
            Event::Requeued { job, requested: true, .. } => jobs.extend(store.job(*job)?.filter(waits)),
            // All of its pending jobs run then.
            Event::ModeChanged { queue, mode: QueueMode::Processing } if with_snapshots.contains(queue) => {
                let mut after = None;
                loop {
                    let page = store.jobs_page(queue, after.as_ref(), JOBS_AT_ONCE)?;
                    after = page.last().cloned();
                    jobs.extend(page.into_iter().filter(waits));
                    if after.is_none() {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(jobs)
}
