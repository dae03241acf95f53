//! `setlist log`: what a job printed.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use super::args::Log;
use super::site::OpenSite;
use super::transcript::Transcript;
use super::{CliError, Exit};
use crate::model::{Job, JobId, Run};
use crate::store::log::LogReader;
use crate::store::{Listener, Ring, Store};

/// Prints the output of a run, and goes on while it runs if asked to.
pub(super) fn print(mut site: OpenSite, options: &Log, color: bool) -> Result<Exit, CliError> {
    let job = site.job(&options.job)?;
    let run = choose(site.store.as_mut(), &job, options.run)?;
    let mut log = site.store.log(run.id);
    let mut transcript = Transcript::new(options, color);
    if options.follow {
        let (_listeners, rings) = listen(site.store.as_ref(), &log)?;
        // Asked before the log is read: what was written before the run ended is then surely printed.
        while running(site.store.as_mut(), job.id, &run)? {
            transcript.news(&mut log)?;
            // Both listeners hold a sender while we wait.
            let _ = rings.recv();
            while rings.try_recv().is_ok() {}
        }
    }
    transcript.news(&mut log)?;
    transcript.finish()?;
    site.close(Exit::Fine)
}

fn choose(store: &mut dyn Store, job: &Job, attempt: Option<u32>) -> Result<Run, CliError> {
    let path = job.path();
    let Some(attempt) = attempt else {
        return job.last_run.as_deref().cloned().ok_or_else(|| CliError::Usage(format!("{path} has not run yet")));
    };
    let runs = store.runs(job.id)?;
    let count = runs.len();
    let found = runs.into_iter().find(|run| run.attempt == attempt);
    found.ok_or_else(|| CliError::Usage(format!("{path} has no run {attempt}; it has had {count}")))
}

fn listen(store: &dyn Store, log: &LogReader) -> Result<([Listener; 2], Receiver<()>), CliError> {
    let (sender, rings) = channel();
    let ring: Ring = Arc::new(move || {
        // Nobody listens any more when the command is about to end.
        let _ = sender.send(());
    });
    Ok(([store.listen(Arc::clone(&ring))?, log.listen(ring)?], rings))
}

fn running(store: &mut dyn Store, job: JobId, run: &Run) -> Result<bool, CliError> {
    Ok(store.job(job)?.is_some_and(|job| job.running() == Some(run.id)))
}
