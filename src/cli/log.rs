//! `setlist log`: what a job printed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::Context;

use super::args::Log;
use super::site::OpenSite;
use super::transcript::Transcript;
use super::{CliError, Exit};
use crate::model::{Job, JobId, Run};
use crate::store::log::LogReader;
use crate::store::{Listener, Ring, Store, Vigil};

/// How long to wait at most: a fallback for workers whose death nobody can watch.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// Prints the output of a run, and goes on while it runs if asked to.
pub(super) fn print(mut site: OpenSite, options: &Log, color: bool) -> Result<Exit, CliError> {
    let job = site.job(&options.job)?;
    let run = choose(site.store.as_mut(), &job, options.run)?;
    let mut log = site.store.log(run.id);
    let mut transcript = Transcript::new(options, color);
    if options.follow && running(site.store.as_mut(), job.id, &run)? {
        let listening = Listening::to(&site, &log)?;
        site.tend(false)?;
        // Asked before the log is read: what was written before the run ended is then surely printed.
        while running(site.store.as_mut(), job.id, &run)? {
            transcript.news(&mut log)?;
            if let Some(died) = listening.wait() {
                site.tend(died)?;
            }
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

/// Hears of changes of the site and of the log, and of the death of workers.
struct Listening {
    rings: Receiver<()>,
    died: Arc<AtomicBool>,
    _held: ([Listener; 2], Vigil),
}

impl Listening {
    fn to(site: &OpenSite, log: &LogReader) -> Result<Self, CliError> {
        let (sender, rings) = channel();
        let died = Arc::new(AtomicBool::new(false));
        let ring: Ring = Arc::new(move || {
            // Nobody listens any more when the command is about to end.
            let _ = sender.send(());
        });
        let listeners = [site.store.listen(Arc::clone(&ring))?, log.listen(Arc::clone(&ring))?];
        let one_has = Arc::clone(&died);
        let knell = Arc::new(move || {
            one_has.store(true, Ordering::Relaxed);
            ring();
        });
        let vigil = Vigil::begin(&site.office.state, knell).context("the workers can't be watched")?;
        Ok(Self { rings, died, _held: (listeners, vigil) })
    }

    /// Waits for something to happen; tells whether a worker has died, if that is worth a look.
    fn wait(&self) -> Option<bool> {
        // The listeners hold a sender while we wait.
        let rung = self.rings.recv_timeout(HEARTBEAT).is_ok();
        while self.rings.try_recv().is_ok() {}
        let died = self.died.swap(false, Ordering::Relaxed);
        (died || !rung).then_some(died)
    }
}

fn running(store: &mut dyn Store, job: JobId, run: &Run) -> Result<bool, CliError> {
    Ok(store.job(job)?.is_some_and(|job| job.running() == Some(run.id)))
}
