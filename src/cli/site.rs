//! Finds the site that a command is about, and brings its store in step with its `jobs.yaml`.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::Utc;

use super::args::SiteArgs;
use super::error::complain;
use super::file::count;
use super::target::Target;
use super::{CliError, Exit};
use crate::definition;
use crate::model::{Command, DesiredQueue, DesiredState, Event, Job, JobId, QueueId, SiteState};
use crate::site::{self, OpenedSite, ReapReport, Respawn, WorkerCheck, WorkerContext};
use crate::store::{SqliteStore, StateDir, Store, StoreError};

/// A site whose store is open.
pub(super) struct OpenSite {
    /// Where it is.
    pub context: WorkerContext,
    /// Its store.
    pub store: Box<dyn Store>,
    /// What is wrong with its `jobs.yaml`, if something is; the last good one is in force then.
    pub broken: Option<definition::Error>,
}

impl OpenSite {
    /// The site that the arguments name; else the nearest that has all that these names mean, of those around this
    /// folder and the user's own; else the nearest.
    pub(super) fn with(args: &SiteArgs, names: &[String]) -> Result<Self, CliError> {
        let files = sites(args)?;
        let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| number(name).is_none()).collect();
        let mut nearest = Self::at(args, &files[0])?;
        if files.len() == 1 || args.state.is_some() || names.is_empty() || nearest.has(&names)? {
            return Ok(nearest);
        }
        for file in files[1..].iter().filter(|file| may_have(file, &names)) {
            let mut site = Self::at(args, file)?;
            if site.has(&names)? {
                complain(&format!("{} is of {}", names.join(", "), file.display()));
                return Ok(site);
            }
        }
        Ok(nearest)
    }

    /// All sites that can be reached from here, the nearest first, without those of other users.
    pub(super) fn all(args: &SiteArgs) -> Result<Vec<Self>, CliError> {
        let files = if args.state.is_some() { vec![find(args)?] } else { sites(args)? };
        let own = files.iter().filter(|file| args.file.is_some() || stranger(file).is_none());
        own.map(|file| Self::at(args, file)).collect()
    }

    /// The site of this file.
    fn at(args: &SiteArgs, file: &Path) -> Result<Self, CliError> {
        if args.file.is_none()
            && let Some(owner) = stranger(file)
        {
            return Err(CliError::Stranger { file: file.to_owned(), owner });
        }
        let context = WorkerContext { file: file.to_owned(), state: state(args, file)?, program: program()? };
        let OpenedSite { store, file_error: broken, reaped } = site::open(&context)?;
        report_reaped(reaped);
        Ok(Self { context, store, broken })
    }

    /// Whether each of these names is one of its queues or jobs.
    fn has(&mut self, names: &[&str]) -> Result<bool, CliError> {
        let site_state = self.site_state()?;
        let has = |name: &&str| {
            let alone = || !name.contains('/') && site_state.jobs().any(|job| job.name() == Some(name));
            let job = |(queue, name): (&str, &str)| site_state.job_named(&QueueId::from(queue), name).is_some();
            site_state.queue(&QueueId::from(*name)).is_some() || name.rsplit_once('/').is_some_and(job) || alone()
        };
        Ok(names.iter().all(has))
    }

    /// For a command that goes on: ends the runs of workers that have died, and has somebody go on with their work when
    /// one `died` meanwhile.
    pub(super) fn tend(&mut self, died: bool) -> Result<(), CliError> {
        let WorkerCheck { reaped, respawn } = site::check_workers(self.store.as_mut(), &self.context, died)?;
        report_reaped(reaped);
        match respawn {
            Respawn::NotNeeded => {}
            Respawn::Spawned => complain("another worker goes on"),
            Respawn::LimitReached => complain(&format!(
                "workers keep dying, and no other was started; see {}",
                self.context.state.worker_log().display()
            )),
        }
        Ok(())
    }

    /// The same as [`with`](Self::with) for a command that only looks: where nothing can be written, the nearest site is
    /// shown as it was left.
    pub(super) fn to_look_at(args: &SiteArgs, names: &[String]) -> Result<Self, CliError> {
        match Self::with(args, names) {
            Err(CliError::Store(error)) if error.prevents_writing() => Self::as_left(args, error),
            site => site,
        }
    }

    fn as_left(args: &SiteArgs, why: StoreError) -> Result<Self, CliError> {
        let file = find(args)?;
        let state = folder(args, &file);
        let (Ok(path), true) = (state.path().canonicalize(), state.database().exists()) else {
            return Err(why.into());
        };
        let state = StateDir::new(path);
        let mut store = SqliteStore::open_to_read(&state)?;
        complain(&format!("{why}; this is how it was left"));
        let broken = definition::read(&file).err();
        if broken.is_none() && definition::file_version(&file).ok() != store.file_version()? {
            complain("jobs.yaml may have changed since then; what it says now is not shown");
        }
        Ok(Self { context: WorkerContext { file, state, program: program()? }, store: Box::new(store), broken })
    }

    /// The site, if its file has no errors: for commands that would act on what the file says.
    pub(super) fn sound(mut self) -> Result<Self, CliError> {
        match self.broken.take() {
            Some(error) => Err(error.into()),
            None => Ok(self),
        }
    }

    /// How a command that goes on in spite of a broken file ends: as it would, but the errors are said.
    pub(super) fn close(self, exit: Exit) -> Result<Exit, CliError> {
        self.sound().map(|_| exit)
    }

    /// Takes up what its file says now.
    pub(super) fn reload(&mut self) -> Result<(), CliError> {
        self.broken = site::reconcile_with_file(self.store.as_mut(), &self.context.file)?;
        Ok(())
    }

    /// Everything that is known of the site.
    pub(super) fn site_state(&mut self) -> Result<SiteState, CliError> {
        Ok(self.store.load()?)
    }

    /// Decides one command.
    pub(super) fn submit(&mut self, command: Command) -> Result<Vec<Event>, CliError> {
        let answers = self.store.execute(&[command], Utc::now())?;
        Ok(answers.into_iter().next().unwrap_or(Ok(Vec::new()))?)
    }

    /// Makes sure that a worker is there for what was asked.
    pub(super) fn hire(&mut self) -> Result<(), CliError> {
        Ok(site::ensure_worker(self.store.as_mut(), &self.context)?)
    }

    /// The job that `text` means: `queue/name`, `7` or `#7`, or a name that no other job has.
    pub(super) fn job(&mut self, text: &str) -> Result<Job, CliError> {
        if let Some(id) = number(text) {
            return self.numbered(id);
        }
        let site_state = self.site_state()?;
        self.named(&site_state, text)
    }

    /// The jobs that these texts mean, each of them once.
    pub(super) fn jobs(&mut self, texts: &[String]) -> Result<Vec<Job>, CliError> {
        let by_name = texts.iter().any(|text| number(text).is_none());
        let site_state = if by_name { self.site_state()? } else { SiteState::default() };
        let mut known = HashSet::new();
        let mut jobs = Vec::with_capacity(texts.len());
        for text in texts {
            let job = match number(text) {
                Some(id) => self.numbered(id)?,
                None => self.named(&site_state, text)?,
            };
            if known.insert(job.id) {
                jobs.push(job);
            }
        }
        Ok(jobs)
    }

    /// The queues and jobs that these texts mean; all queues where there is none. A queue comes before a job of that name.
    pub(super) fn targets(&mut self, site_state: &SiteState, texts: &[String]) -> Result<Vec<Target>, CliError> {
        if texts.is_empty() {
            return Ok(site_state.queues().into_iter().map(|(id, _)| Target::Queue(id.clone())).collect());
        }
        let target = |text: &String| {
            let queue = QueueId::from(text.as_str());
            Ok(match (site_state.queue(&queue), number(text)) {
                (Some(_), _) => Target::Queue(queue),
                (None, Some(id)) => Target::Job(self.numbered(id)?.id),
                (None, None) => Target::Job(self.named(site_state, text)?.id),
            })
        };
        texts.iter().map(target).collect()
    }

    fn numbered(&mut self, id: JobId) -> Result<Job, CliError> {
        self.store.job(id)?.ok_or_else(|| CliError::Usage(format!("there is no job {id}")))
    }

    fn named(&self, site_state: &SiteState, text: &str) -> Result<Job, CliError> {
        let found: Vec<&Job> = match text.rsplit_once('/') {
            Some((queue, name)) => site_state.job_named(&QueueId::from(queue), name).into_iter().collect(),
            None => site_state.jobs().filter(|job| job.name() == Some(text)).collect(),
        };
        match found[..] {
            [job] => Ok(job.clone()),
            [] if site_state.queue(&QueueId::from(text)).is_some() => {
                Err(CliError::Usage(format!("{text:?} is a queue; a job is queue/name or a number")))
            }
            [] => {
                let paths: Vec<String> = site_state.jobs().filter(|job| job.name().is_some()).map(Job::path).collect();
                Err(self.unknown("job", text, &paths))
            }
            _ => {
                let mut paths: Vec<String> = found.iter().map(|job| job.path()).collect();
                paths.sort();
                Err(CliError::Usage(format!("{text:?} is the name of several jobs: say {}", paths.join(" or "))))
            }
        }
    }

    /// The queues of these names; all of the site's where there is none.
    pub(super) fn queues(&self, site_state: &SiteState, names: &[String]) -> Result<Vec<QueueId>, CliError> {
        let known: Vec<QueueId> = site_state.queues().into_iter().map(|(id, _)| id.clone()).collect();
        if names.is_empty() {
            return Ok(known);
        }
        let find = |name: &String| {
            known.iter().find(|id| id.as_str() == name).cloned().ok_or_else(|| {
                let names: Vec<String> = known.iter().map(ToString::to_string).collect();
                self.unknown("queue", name, &names)
            })
        };
        names.iter().map(find).collect()
    }

    /// That there is nothing of this name, and why that may be.
    fn unknown(&self, what: &str, name: &str, known: &[String]) -> CliError {
        let unsure = if self.broken.is_some() { "; jobs.yaml has errors, see `setlist check`" } else { "" };
        CliError::Usage(format!("there is no {what} {name:?}{}{unsure}", did_you_mean(name, known)))
    }
}

/// The number that `text` is: `7`, `#7` or `queue/#7`.
fn number(text: &str) -> Option<JobId> {
    let number = text.strip_prefix('#').unwrap_or(text).rsplit("/#").next()?;
    number.parse().ok().map(JobId)
}

fn program() -> Result<PathBuf, CliError> {
    Ok(std::env::current_exe().context("can't find this program's own file")?)
}

/// Where the arguments or the file say that the state is.
fn folder(args: &SiteArgs, file: &Path) -> StateDir {
    args.state.as_ref().map_or_else(|| StateDir::beside(file), StateDir::new)
}

/// Where the state of the site is, as an absolute path without symbolic links: a worker that is hired, and whoever looks
/// for what a dead one has left behind, must mean the same folder wherever they are.
fn state(args: &SiteArgs, file: &Path) -> Result<StateDir, CliError> {
    let state = folder(args, file);
    // No folder is made for a file that isn't there: its name may be a slip of the pen.
    if (!file.exists() || file.is_dir()) && !state.path().exists() {
        definition::read(file)?;
    }
    state.create()?;
    let path = state.path();
    Ok(StateDir::new(path.canonicalize().map_err(|source| StoreError::io(path, source))?))
}

/// The file that the arguments name, or the nearest, as an absolute path.
pub(super) fn find(args: &SiteArgs) -> Result<PathBuf, CliError> {
    sites(args).map(|mut files| files.swap_remove(0))
}

/// The file that the arguments name; else all that count here, the nearest first, at least one. As absolute paths.
pub(super) fn sites(args: &SiteArgs) -> Result<Vec<PathBuf>, CliError> {
    if let Some(file) = &args.file {
        let file = std::path::absolute(file).with_context(|| file.display().to_string())?;
        return Ok(vec![file]);
    }
    let here = std::env::current_dir().context("can't tell the working directory")?;
    let files = definition::find_all(&here);
    if files.is_empty() || here.join(definition::FILE_NAME).is_dir() { Err(none(here)) } else { Ok(files) }
}

/// Whether a site may know these names: it has a state, in which anything may be, or its file says so.
fn may_have(file: &Path, names: &[&str]) -> bool {
    if stranger(file).is_some() {
        return false;
    }
    let known = |plan: DesiredState| {
        let queue = |name: &&str| {
            let first = name.rsplit_once('/').map_or(*name, |(queue, _)| queue);
            let jobs = |queue: &DesiredQueue| queue.jobs.iter().any(|job| job.name.as_deref() == Some(name));
            plan.queues.iter().any(|queue| queue.id.as_str() == first || jobs(queue))
        };
        names.iter().all(queue)
    };
    StateDir::beside(file).path().exists() || definition::read(file).is_ok_and(known)
}

/// Whose file it is, if it is neither ours nor the system's: who could write there would have us run what he likes.
pub(super) fn stranger(file: &Path) -> Option<u32> {
    let owner = file.metadata().ok()?.uid();
    (owner != rustix::process::geteuid().as_raw() && owner != 0).then_some(owner)
}

/// That there is no file, or nothing that could be read as one.
fn none(here: PathBuf) -> CliError {
    let file = here.join(definition::FILE_NAME);
    if file.symlink_metadata().is_ok() {
        return CliError::Usage(format!("{} is there, but it leads to no regular file", file.display()));
    }
    CliError::NoFile(here)
}

/// Reports the jobs that were interrupted because their worker died.
fn report_reaped(reaped: ReapReport) {
    if reaped.interrupted_jobs > 0 {
        let jobs = count(reaped.interrupted_jobs, "job");
        complain(&format!("a worker has died: {jobs} interrupted; `setlist retry --failed` runs them again"));
    }
}

fn did_you_mean(text: &str, known: &[String]) -> String {
    let score = |name: &String| strsim::jaro_winkler(text, name);
    let best = known.iter().filter(|name| score(name) > 0.7).max_by(|a, b| score(a).total_cmp(&score(b)));
    best.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}
