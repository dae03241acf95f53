//! What dead workers have left behind: their runs end as *interrupted*, and nothing of them stays.

use std::time::Duration;

use chrono::Utc;

use super::{Office, WorkerError, environment};
use crate::crash;
use crate::model::{Command, Event, Job, RunId, Worker, WorkerId};
use crate::runner::{Leftovers, kill_leftovers};
use crate::store::{Begun, Store, log};

/// What was found when somebody looked for dead workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buried {
    /// How many workers were dead.
    pub workers: usize,
    /// How many jobs were interrupted by that.
    pub jobs: usize,
}

/// How long to wait for the end of what was killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Finds the workers of this machine whose process is gone, and ends their runs as interrupted.
pub fn bury_the_dead(store: &mut dyn Store, office: &Office) -> Result<Buried, WorkerError> {
    let dead = |worker: &Worker| office.has(worker) && !office.state.worker_lives(worker.id);
    let mut buried = Buried::default();
    if !store.workers()?.iter().any(dead) {
        return Ok(buried);
    }
    // Nobody joins meanwhile: a worker that is on the list without a sign of life is dead.
    let _roll_call = office.state.roll_call()?;
    for worker in store.workers()?.into_iter().filter(dead) {
        let mut runs: Vec<RunId> = store.run_by(worker.id)?.iter().filter_map(Job::running).collect();
        let begun = begun(&worker, office);
        runs.extend(&begun);
        if !is_swept(worker.id, &runs, office) {
            continue;
        }
        for run in runs {
            // Nobody writes to it any more. One that can't be mended, on a full disk say, is read as it is.
            if let Err(error) = log::mend(&office.state.logs(), run) {
                tracing::warn!(%run, %error, "the log of an interrupted run stays as it is");
            }
            store.lines().remove(run);
        }
        crash::point("burying");
        for answer in store.execute(&[Command::Bury { worker: worker.id, begun }], Utc::now())? {
            // Somebody else may have been quicker; a refusal says just that.
            for event in answer.unwrap_or_default() {
                match event {
                    Event::Ended { .. } => buried.jobs += 1,
                    Event::WorkerLeft { .. } => buried.workers += 1,
                    _ => {}
                }
            }
        }
        crash::point("buried");
        office.state.forget_worker(worker.id);
    }
    Ok(buried)
}

/// The runs that a dead worker has begun, of jobs that were reserved for it.
fn begun(worker: &Worker, office: &Office) -> Vec<RunId> {
    let reserved = worker.reserved.iter().map(|reservation| reservation.run);
    match office.state.begun_by(worker.id) {
        Begun::Runs(begun) => reserved.filter(|run| begun.contains(run)).collect(),
        Begun::Any => reserved.collect(),
    }
}

/// Kills what a dead worker was running, also after jobs, but not what its finished jobs left running on purpose. Before
/// a job can run again, nothing of its last run may be there: tells whether nothing is.
fn is_swept(worker: WorkerId, runs: &[RunId], office: &Office) -> bool {
    let runs = runs.iter().map(|run| environment::mark(worker, *run, office));
    let hooks = (0..environment::HOOK_SLOTS).map(|slot| environment::mark_of_hook(worker, slot, office));
    let marks: Vec<_> = runs.chain(hooks).collect();
    let Leftovers { killed, left } = kill_leftovers(&marks, PATIENCE);
    if killed > 0 {
        tracing::warn!(%worker, killed, "killed what a dead worker had left behind");
    }
    if left > 0 {
        tracing::error!(%worker, left, "what a dead worker had left behind can't be killed yet");
    }
    left == 0
}
