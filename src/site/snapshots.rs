//! The snapshots of a site: made when work is requested, checked out for runs, and removed when no record names them.

use std::collections::{BTreeSet, HashMap};
use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::site_paths::{SitePaths, hostname};
use crate::model::{Call, Command, Definition, Job, JobId, QueueInfo, Refusal, RunId, Snapshot};
use crate::runner::{self, SnapshotPlace};
use crate::store::{JobName, StateDir, Store, StoreError, job_folders};

/// Of more jobs that are requested at once, the definitions are not read one by one.
const MAX_SINGLE_READS: usize = 16;

/// The snapshots that commands of a user need, each made once.
pub(super) struct RequestSnapshots {
    /// For each command, the folder whose repository is recorded.
    folders: Vec<Option<PathBuf>>,
    snapshots: HashMap<PathBuf, Result<Arc<Snapshot>, String>>,
    /// Keeps them until the commands are on record.
    _lock: Option<File>,
}

impl RequestSnapshots {
    /// Makes the snapshots that these commands need.
    pub(super) fn make(
        store: &mut dyn Store,
        paths: &SitePaths,
        commands: &[Command],
        now: DateTime<Utc>,
    ) -> Result<Self, StoreError> {
        let folders = folders_of(store, paths, commands)?;
        let wanted: BTreeSet<&PathBuf> = folders.iter().flatten().collect();
        let lock = if wanted.is_empty() { None } else { Some(paths.state.lock_new_snapshots()?) };
        let place = if wanted.is_empty() { None } else { Some(snapshot_place(paths)?) };
        let make = |folder: &PathBuf| {
            let taken = runner::take_snapshot(folder, place.as_ref()?, now);
            Some((folder.clone(), taken.map(Arc::new)))
        };
        let snapshots = wanted.into_iter().filter_map(make).collect();
        Ok(Self { folders, snapshots, _lock: lock })
    }

    /// The snapshot of the command at this index, if it needs one; or why it can't be made.
    pub(super) fn of(&self, index: usize) -> Result<Option<Arc<Snapshot>>, Refusal> {
        let made = self.folders[index].as_ref().and_then(|folder| self.snapshots.get(folder));
        made.cloned().transpose().map_err(Refusal::Snapshot)
    }
}

/// For each command, the folder whose repository it needs a snapshot of.
fn folders_of(
    store: &mut dyn Store,
    paths: &SitePaths,
    commands: &[Command],
) -> Result<Vec<Option<PathBuf>>, StoreError> {
    let (mut jobs, mut needs_queues) = (Vec::new(), false);
    for command in commands {
        needs_queues |= matches!(command, Command::Process { .. });
        jobs.extend(requested_job(command));
    }
    let queues = if needs_queues || !jobs.is_empty() { store.queues()? } else { Vec::new() };
    let has_snapshots = |queue: &QueueInfo| queue.settings.has_snapshots;
    let of_jobs = match jobs.len() {
        0 => HashMap::new(),
        1..=MAX_SINGLE_READS => read_each(store, &jobs)?,
        _ if queues.iter().any(has_snapshots) => read_together(store, &jobs)?,
        // Jobs that were added with a snapshot get theirs when they start.
        _ => HashMap::new(),
    };
    let site_dir = paths.site_dir();
    let of_queue = |id| queues.iter().any(|queue| queue.id == id && has_snapshots(queue)).then(|| site_dir.to_owned());
    let folder = |command: &Command| match command {
        Command::Add { jobs, .. } => {
            jobs.iter().find(|job| job.runs_on_snapshot()).map(|job| working_folder(job, site_dir))
        }
        Command::Process { queue } => of_queue(queue.clone()),
        command => {
            let job = of_jobs.get(&requested_job(command)?)?;
            // Its dependents are requested with it.
            if job.runs_on_snapshot() {
                Some(working_folder(&job.definition, site_dir))
            } else {
                of_queue(job.queue.clone()).filter(|_| !matches!(command, Command::Reset { .. }))
            }
        }
    };
    Ok(commands.iter().map(folder).collect())
}

fn requested_job(command: &Command) -> Option<JobId> {
    match command {
        Command::Run { job, .. } | Command::RunFailed { job, .. } | Command::Reset { job } => Some(*job),
        _ => None,
    }
}

fn read_each(store: &mut dyn Store, ids: &[JobId]) -> Result<HashMap<JobId, Job>, StoreError> {
    let mut jobs = HashMap::new();
    for id in ids {
        jobs.extend(store.job(*id)?.map(|job| (*id, job)));
    }
    Ok(jobs)
}

fn read_together(store: &mut dyn Store, ids: &[JobId]) -> Result<HashMap<JobId, Job>, StoreError> {
    let names: Vec<JobName<'_>> = ids.iter().map(|id| JobName::Number(*id)).collect();
    let part = store.load_part(&names)?;
    Ok(ids.iter().filter_map(|id| Some((*id, part.job(*id)?.clone()))).collect())
}

/// Where the job of a definition runs without a snapshot.
pub fn working_folder(definition: &Definition, site_dir: &Path) -> PathBuf {
    let Call::Script(script) = &definition.call else { return site_dir.to_owned() };
    let Some(cwd) = &script.exec.cwd else { return site_dir.to_owned() };
    match (cwd.strip_prefix("~"), env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => site_dir.join(cwd),
    }
}

/// Where the snapshots of a site are kept.
pub fn snapshot_place(paths: &SitePaths) -> Result<SnapshotPlace, StoreError> {
    paths.state.create_snapshots_dir()?;
    let site_id = paths.state.site_id()?.as_str().to_owned();
    Ok(SnapshotPlace { site_id, folder: paths.state.snapshots(), host: hostname() })
}

/// Removes the worktree of a run that has ended, if there is one.
pub fn remove_worktree(state: &StateDir, run: RunId) {
    let folder = state.snapshot_of(run);
    if let Some(removed) = job_folders::set_aside(&folder) {
        runner::remove_worktree_record(&folder, &removed);
        job_folders::remove_tree(&removed);
    }
}

/// Removes the worktrees of runs that are not in progress: what processes left that were killed.
pub fn remove_stale_worktrees(store: &mut dyn Store, state: &StateDir) -> Result<(), StoreError> {
    let mut left = state.snapshot_runs();
    if left.is_empty() {
        return Ok(());
    }
    for worker in store.workers()? {
        let running: Vec<Option<RunId>> = store.jobs_run_by(worker.id)?.iter().map(Job::current_run).collect();
        left.retain(|run| !running.contains(&Some(*run)));
    }
    for run in left {
        remove_worktree(state, run);
    }
    Ok(())
}

/// Removes the refs of snapshots that no record of a job or a run names any more.
pub fn forget_unused_snapshots(store: &mut dyn Store, paths: &SitePaths) -> Result<(), StoreError> {
    let Some(_lock) = paths.state.try_lock_unused_snapshots()? else { return Ok(()) };
    remove_stale_worktrees(store, &paths.state)?;
    let place = snapshot_place(paths)?;
    let in_use = store.snapshots_in_use()?;
    let mut repositories: BTreeSet<PathBuf> = in_use.iter().map(|snapshot| snapshot.repository.clone()).collect();
    repositories.insert(paths.site_dir().to_owned());
    let commits: BTreeSet<String> = in_use.into_iter().map(|snapshot| snapshot.commit).collect();
    for repository in &repositories {
        runner::remove_refs_except(repository.as_path(), &place, &commits);
    }
    Ok(())
}
