//! What dead workers have left behind: their runs end as *interrupted*, and nothing of them stays.

use chrono::Utc;

use super::office::host;
use super::{Office, WorkerError, environment};
use crate::crash;
use crate::model::{Command, Event, Worker};
use crate::runner::kill_leftovers;
use crate::store::{Store, log};

/// Finds the workers of this machine whose process is gone, and ends their runs as interrupted; tells how many runs.
pub fn bury_the_dead(store: &mut dyn Store, office: &Office) -> Result<usize, WorkerError> {
    let host = host();
    let dead = |worker: &Worker| worker.host == host && !office.state.worker_lives(worker.id);
    if !store.workers()?.iter().any(dead) {
        return Ok(0);
    }
    // Nobody joins meanwhile: a worker that is on the list without a sign of life is dead.
    let _roll_call = office.state.roll_call()?;
    let mut interrupted = 0;
    for worker in store.workers()?.into_iter().filter(dead) {
        // Before the job can run again, nothing of its last run may be left.
        let (name, value) = environment::mark(worker.id, office);
        let killed = kill_leftovers(&[(name, &value)]);
        if killed > 0 {
            tracing::warn!(worker = %worker.id, killed, "killed what a dead worker had left behind");
        }
        crash::point("burying");
        for answer in store.execute(&[Command::Bury { worker: worker.id }], Utc::now())? {
            // Somebody else may have been quicker; a refusal says just that.
            for event in answer.unwrap_or_default() {
                if let Event::Ended { run, .. } = event {
                    crash::point("buried");
                    log::mend(&office.state.logs(), run)?;
                    interrupted += 1;
                }
            }
        }
    }
    Ok(interrupted)
}
