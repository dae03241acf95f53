//! `setlist log`: what jobs printed.

use std::collections::HashSet;

use super::args::Log;
use super::error::complain;
use super::listening::Listening;
use super::site::OpenSite;
use super::target::{Target, catch_up};
use super::transcript::{Prefix, Transcript};
use super::{CliError, Exit};
use crate::model::{Event, Job, JobId, Run, RunId, SiteState};
use crate::store::log::LogReader;
use crate::store::{Store, Subscription};
use crate::text;

/// Prints the output of runs, and goes on while there are any if asked to.
pub(super) fn print(mut site: OpenSite, options: &Log, color: bool) -> Result<Exit, CliError> {
    let site_state = site.site_state()?;
    let targets = site.targets(&site_state, &options.names)?;
    let mut jobs = in_order(&targets, &site_state, site.store.as_mut())?;
    let prefixes = prefixes(&targets, &jobs);
    let mut desk = Desk { options, color, listening: None, prefixes, open: Vec::new() };
    let exit = if options.follow && !targets.iter().all(|target| target.rests(&site_state)) {
        desk.listening = Some(Listening::to(&site)?);
        desk.follow(&mut site, site_state, &targets)?;
        Exit::Fine
    } else {
        // Of a queue that is followed, nothing but what comes.
        jobs.retain(|job| !options.follow || targets.contains(&Target::Job(job.id)));
        desk.print(site.store.as_mut(), &jobs)?
    };
    site.close(exit)
}

/// The jobs that are meant, in the order of their queues.
fn in_order(targets: &[Target], site_state: &SiteState, store: &mut dyn Store) -> Result<Vec<Job>, CliError> {
    let mut jobs = Vec::new();
    let mut known = HashSet::new();
    for target in targets {
        let found = match target {
            Target::Queue(id) => {
                let lists = site_state.queue(id).map(|queue| [&queue.finished, &queue.running, &queue.pending]);
                let ids = lists.into_iter().flatten().flatten();
                ids.filter_map(|id| site_state.job(*id)).cloned().collect()
            }
            // It may have been taken out of its queue.
            Target::Job(id) => Vec::from_iter(store.job(*id)?),
        };
        jobs.extend(found.into_iter().filter(|job| known.insert(job.id)));
    }
    Ok(jobs)
}

/// What stands before the lines of a job, where several may write; nothing before those of the only one.
enum Prefixes {
    None,
    /// Names, of jobs of one queue, or paths; so wide.
    Some {
        paths: bool,
        width: usize,
    },
}

fn prefixes(targets: &[Target], jobs: &[Job]) -> Prefixes {
    if let [Target::Job(_)] = targets {
        return Prefixes::None;
    }
    let one = |target: &Target| match target {
        Target::Queue(queue) => Some(queue.clone()),
        Target::Job(id) => jobs.iter().find(|job| job.id == *id).map(|job| job.queue.clone()),
    };
    let queues: HashSet<_> = targets.iter().filter_map(one).collect();
    let paths = queues.len() > 1;
    let width = jobs.iter().map(|job| text::width(&name(job, paths))).max().unwrap_or_default();
    Prefixes::Some { paths, width: width.min(40) }
}

fn name(job: &Job, path: bool) -> String {
    let name = if path { job.path() } else { job.name().map_or_else(|| job.id.to_string(), str::to_owned) };
    text::plain_line(&name)
}

/// Where output of several runs comes together.
struct Desk<'a> {
    options: &'a Log,
    color: bool,
    listening: Option<Listening>,
    prefixes: Prefixes,
    /// The runs whose output is printed as it comes.
    open: Vec<Open>,
}

/// A run under way.
struct Open {
    job: JobId,
    run: RunId,
    log: LogReader,
    transcript: Transcript,
    _listener: Option<Subscription>,
}

impl Desk<'_> {
    /// Prints what there is.
    fn print(mut self, store: &mut dyn Store, jobs: &[Job]) -> Result<Exit, CliError> {
        let mut exit = Exit::Fine;
        for job in jobs {
            match choose(store, job, self.options.run) {
                Ok(run) => {
                    self.open(store, job, &run)?;
                    self.news(|_| true)?;
                }
                // Of a queue, many may not have run.
                Err(CliError::Usage(why)) if matches!(self.prefixes, Prefixes::Some { .. }) => {
                    complain(&why);
                    exit = Exit::Usage;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(exit)
    }

    /// Prints what is there of the jobs that are named, and what comes of all until they rest.
    fn follow(mut self, site: &mut OpenSite, mut site_state: SiteState, targets: &[Target]) -> Result<(), CliError> {
        for target in targets {
            match target {
                Target::Job(id) => {
                    if let Some(job) = site.store.job(*id)?
                        && let Some(run) = job.last_run.as_deref()
                    {
                        self.open(site.store.as_ref(), &job, run)?;
                    }
                }
                Target::Queue(id) => self.join(site.store.as_ref(), &site_state, |job| job.queue == *id)?,
            }
        }
        let mut hindered = Vec::new();
        site.tend(false)?;
        loop {
            self.catch_up(site.store.as_mut(), &mut site_state, targets)?;
            // Told before the logs are read: what was written before a run ended is then surely printed.
            let rest = targets.iter().all(|target| target.rests(&site_state));
            self.news(|open| site_state.job(open.job).is_none_or(|job| job.current_run() != Some(open.run)))?;
            if rest {
                return Ok(());
            }
            for why in targets.iter().filter_map(|target| target.hindrance(&site_state)) {
                if !hindered.contains(&why) {
                    complain(&why);
                    hindered.push(why);
                }
            }
            if let Some(died) = self.listening.as_ref().and_then(|listening| listening.wait(None)) {
                site.tend(died)?;
            }
        }
    }

    /// Brings the copy of the site up to date, and opens the logs of what has started meanwhile.
    fn catch_up(
        &mut self,
        store: &mut dyn Store,
        site_state: &mut SiteState,
        targets: &[Target],
    ) -> Result<(), CliError> {
        let Some(news) = store.events_after(site_state.seq())? else {
            catch_up(site_state, store)?;
            return self.join(store, site_state, |job| targets.iter().any(|target| target.means(job)));
        };
        for recorded in &news {
            site_state.apply(recorded);
            if let Event::Started { job, run } = &recorded.event
                && let Some(job) = site_state.job(*job)
                && targets.iter().any(|target| target.means(job))
            {
                self.open(store, job, run)?;
            }
        }
        Ok(())
    }

    /// Opens the logs of the `meant` jobs that run.
    fn join(
        &mut self,
        store: &dyn Store,
        site_state: &SiteState,
        meant: impl Fn(&Job) -> bool,
    ) -> Result<(), CliError> {
        let running = site_state.queues().into_iter().flat_map(|(_, queue)| &queue.running);
        for job in running.filter_map(|id| site_state.job(*id)).filter(|job| meant(job)) {
            if let Some(run) = job.last_run.as_deref() {
                self.open(store, job, run)?;
            }
        }
        Ok(())
    }

    fn open(&mut self, store: &dyn Store, job: &Job, run: &Run) -> Result<(), CliError> {
        if self.open.iter().any(|open| open.run == run.id) {
            return Ok(());
        }
        let log = store.log_reader(run.id);
        let prefix = match self.prefixes {
            Prefixes::None => None,
            Prefixes::Some { paths, width } => Some(Prefix::of(&name(job, paths), width, job.id.0, self.color)),
        };
        let listener = self.listening.as_ref().map(|listening| log.subscribe(listening.ring())).transpose()?;
        let transcript = Transcript::new(self.options, self.color, prefix);
        self.open.push(Open { job: job.id, run: run.id, log, transcript, _listener: listener });
        Ok(())
    }

    /// Prints what there is by now; lets go of the runs that are `over`.
    fn news(&mut self, over: impl Fn(&Open) -> bool) -> Result<(), CliError> {
        for mut open in std::mem::take(&mut self.open) {
            open.transcript.news(&mut open.log)?;
            if over(&open) {
                open.transcript.finish()?;
            } else {
                self.open.push(open);
            }
        }
        Ok(())
    }
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
