//! `setlist drain`: lets workers finish what they run, and exit.

use std::io::Write;

use super::change_waiter::ChangeWaiter;
use super::error::{CliError, warn};
use super::exit::ExitStatus;
use super::open_site::OpenSite;
use super::own_job::{own_job, runs_in_job};
use super::safe_output;
use super::worker_args::DrainArgs;
use crate::model::{Command, WorkerId};
use crate::store::StoreError;
use crate::text::{self, count_noun};

/// Tells workers to start no more jobs, on whichever machine they run, and waits for their exit if that is wanted.
pub(super) fn drain(mut site: OpenSite, args: &DrainArgs) -> Result<ExitStatus, CliError> {
    if args.wait {
        refuse_own_worker(&mut site, &args.workers)?;
    }
    let now = site.store.clock().now();
    let commands: Vec<Command> = args.workers.iter().map(|worker| Command::Drain { worker: *worker }).collect();
    let changes = if args.wait { Some(ChangeWaiter::subscribe(&mut site)?) } else { None };
    let mut out = safe_output::stdout();
    let mut exit = ExitStatus::Success;
    for (worker, result) in args.workers.iter().zip(site.store.execute(&commands, now)?) {
        if let Err(refusal) = result {
            warn(&format!("{refusal}; `setlist workers` lists them"));
            exit = ExitStatus::Usage;
            continue;
        }
        let running = site.store.jobs_run_by(*worker)?.len();
        let rest = match running {
            0 => "it runs nothing, and exits".to_owned(),
            _ => format!("it exits after {}", count_noun(running, "running job")),
        };
        writeln!(out, "worker {worker} starts no more jobs; {rest}")?;
    }
    if let Some(changes) = &changes {
        while is_any_left(&mut site, &args.workers)? {
            if let Some(worker_died) = changes.wait(None) {
                site.check_workers(worker_died)?;
            }
        }
    }
    Ok(exit)
}

/// Refuses to wait for the worker that runs the job that runs this command.
fn refuse_own_worker(site: &mut OpenSite, drained: &[WorkerId]) -> Result<(), CliError> {
    if !runs_in_job() {
        return Ok(());
    }
    let site_state = site.site_state()?;
    let Some(own) = own_job(site, &site_state) else { return Ok(()) };
    for worker in site_state.workers().filter(|worker| drained.contains(&worker.id)) {
        let is_reserved = worker.reserved.iter().any(|reserved| reserved.job == own.id);
        if is_reserved || site.store.jobs_run_by(worker.id)?.iter().any(|job| job.id == own.id) {
            let path = text::sanitize_line(&own.path());
            return Err(CliError::Usage(format!(
                "{path} runs this command on worker {} and would wait for itself; without `--wait`, the worker exits \
                 after this job",
                worker.id
            )));
        }
    }
    Ok(())
}

fn is_any_left(site: &mut OpenSite, workers: &[WorkerId]) -> Result<bool, StoreError> {
    Ok(site.store.workers()?.iter().any(|known| workers.contains(&known.id)))
}
