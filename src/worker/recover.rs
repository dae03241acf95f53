//! What dead workers have left behind: their runs end as *interrupted*, and nothing of them stays.

use chrono::Utc;

use super::office::host;
use super::{Office, WorkerError, environment};
use crate::model::{Command, Event};
use crate::runner::kill_leftovers;
use crate::store::{Store, log};

/// Finds the workers of this machine whose process is gone, and ends their runs as interrupted; tells how many runs.
pub fn bury_the_dead(store: &mut dyn Store, office: &Office) -> Result<usize, WorkerError> {
    let host = host();
    // Nobody joins meanwhile: a worker that is on the list without a sign of life is dead.
    let _roll_call = office.state.roll_call()?;
    let mut interrupted = 0;
    for worker in store.workers()? {
        if worker.host != host || office.state.worker_lives(worker.id) {
            continue;
        }
        // Before the job can run again, nothing of its last run may be left.
        let marks = environment::marks(worker.id, office);
        let killed = kill_leftovers(&marks.each_ref().map(|(name, value)| (*name, value.as_os_str())));
        if killed > 0 {
            tracing::warn!(worker = %worker.id, killed, "killed what a dead worker had left behind");
        }
        for answer in store.execute(&[Command::Bury { worker: worker.id }], Utc::now())? {
            // Somebody else may have been quicker; a refusal says just that.
            for event in answer.unwrap_or_default() {
                if let Event::Ended { run, .. } = event {
                    log::mend(&office.state.logs(), run)?;
                    interrupted += 1;
                }
            }
        }
    }
    Ok(interrupted)
}
