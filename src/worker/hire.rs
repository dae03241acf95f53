//! Makes sure that somebody runs the jobs.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use super::office::host;
use super::{Office, WorkerError, bury_the_dead, environment};
use crate::store::Store;

/// Starts a detached worker, `program worker --detached`, unless one that serves every queue is alive on this machine.
///
/// Call it after the command that asks for work is durable: a worker that was about to leave then either sees the
/// work or is no longer on the list.
pub fn hire(store: &mut dyn Store, office: &Office, program: &Path) -> Result<(), WorkerError> {
    bury_the_dead(store, office)?;
    let host = host();
    let at_work = store.workers()?.iter().any(|worker| worker.host == host && worker.queues.is_none());
    if at_work {
        return Ok(());
    }
    // Should it fail before it can keep its diary itself, the reason stands there all the same.
    let diary = office.state.open_diary()?;
    let mut worker = Command::new(program);
    worker
        .arg("--file")
        .arg(&office.file)
        .arg("--state")
        .arg(office.state.path())
        .args(["worker", "--exit-when-idle", "--detached"])
        .current_dir(office.home());
    // It may be a job that hires: the worker is no part of it.
    for name in environment::NAMES {
        worker.env_remove(name);
    }
    let mut worker =
        worker.stdin(Stdio::null()).stdout(Stdio::null()).stderr(diary).spawn().map_err(WorkerError::Hire)?;
    // Somebody has to collect its exit status if it ends before we do.
    thread::spawn(move || worker.wait());
    Ok(())
}
