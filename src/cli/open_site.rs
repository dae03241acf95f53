//! Opens the site of a command: finds it, opens its store, and reconciles it with its `jobs.yaml`.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::error::CliError;
use super::error::warn;
use super::exit::ExitStatus;
use super::name_syntax::{is_name, job_name, whole_queue};
use super::site_args::SiteArgs;
use super::site_files::{foreign_owner, nearest_file, site_files};
use super::store_choice::{server_of, state_dir};
use crate::definition;
use crate::model::{Command, DesiredQueue, DesiredState, Event, Job, JobId, QueueId, SiteState};
use crate::site::{self, GivenInputs, OpenedSite, ReapReport, Reconciled, Respawn, SiteError, SitePaths, WorkerCheck};
use crate::store::{CommandResult, JobName, SiteOverview, StateDir, Store, StoreError, check_jobs_file};
use crate::text;
use crate::text::count_noun;

/// A site whose store is open.
pub(super) struct OpenSite {
    /// Its location.
    pub paths: SitePaths,
    /// Its store.
    pub store: Box<dyn Store>,
    /// The errors of its `jobs.yaml`, if any; then the last valid version stays in use.
    pub file_error: Option<definition::Error>,
    /// The values for inputs with which work is requested.
    pub inputs: GivenInputs,
    /// What its `jobs.yaml` changed when it was opened.
    pub file_changes: Vec<Event>,
    /// The jobs that were interrupted because their worker died, which was found out when the site was opened.
    pub interrupted_jobs: Vec<JobId>,
    /// The command only reads the records of jobs: also those of jobs that were removed.
    pub reads_removed_jobs: bool,
}

impl OpenSite {
    /// Opens the site that the arguments name; or else the nearest one that has all of these queues and jobs; or else the
    /// nearest one.
    pub(super) fn open(args: &SiteArgs, names: &[String]) -> Result<Self, CliError> {
        let files = site_files(args)?;
        let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| is_name(name)).collect();
        let mut nearest = Self::open_file(args, &files[0])?;
        if files.len() == 1 || args.names_store() || names.is_empty() || nearest.has_all(&names)? {
            return Ok(nearest);
        }
        for file in files[1..].iter().filter(|file| may_have_all(file, &names)) {
            let mut site = Self::open_file(args, file)?;
            if site.has_all(&names)? {
                warn(&format!("using {} from {}", names.join(", "), file.display()));
                return Ok(site);
            }
        }
        Ok(nearest)
    }

    /// Opens all sites that apply here, the nearest first, except those of other users.
    pub(super) fn open_all(args: &SiteArgs) -> Result<Vec<Self>, CliError> {
        let files = if args.names_store() { vec![nearest_file(args)?] } else { site_files(args)? };
        let own = files.iter().filter(|file| args.file.is_some() || foreign_owner(file).is_none());
        own.map(|file| Self::open_file(args, file)).collect()
    }

    /// Opens the site of this file.
    fn open_file(args: &SiteArgs, file: &Path) -> Result<Self, CliError> {
        if args.file.is_none()
            && let Some(owner) = foreign_owner(file)
        {
            return Err(CliError::ForeignOwner { file: file.to_owned(), owner });
        }
        if args.file.is_none() {
            check_jobs_file(file)?;
        }
        let state = create_state_dir(args, file)?;
        let paths = SitePaths { file: file.to_owned(), state, program: program_path()? };
        let OpenedSite { store, reconciled: Reconciled { file_error, events }, reaped } = site::open(&paths)?;
        report_reaped(&reaped);
        let (inputs, interrupted_jobs) = (GivenInputs::default(), reaped.interrupted_jobs);
        let (file_changes, reads_removed_jobs) = (events, false);
        Ok(Self { paths, store, file_error, inputs, file_changes, interrupted_jobs, reads_removed_jobs })
    }

    /// Whether each of these names is one of its queues or jobs.
    fn has_all(&mut self, names: &[&str]) -> Result<bool, CliError> {
        let wanted: Vec<JobName<'_>> = names.iter().map(|name| job_name(whole_queue(name).unwrap_or(name))).collect();
        let site_state = self.store.load_part(&wanted)?;
        let has = |name: &&str| {
            let name = &whole_queue(name).unwrap_or(name);
            let is_job_name = || !name.contains('/') && site_state.jobs().any(|job| job.name() == Some(name));
            let is_job_path = |(queue, name): (&str, &str)| site_state.job_named(&QueueId::from(queue), name).is_some();
            site_state.queue(&QueueId::from(*name)).is_some()
                || name.rsplit_once('/').is_some_and(is_job_path)
                || is_job_name()
        };
        Ok(names.iter().all(has))
    }

    /// Reaps dead workers, and respawns one if needed. With `worker_died`, also if another process reaped it.
    pub(super) fn check_workers(&mut self, worker_died: bool) -> Result<(), CliError> {
        let WorkerCheck { reaped, respawn } = site::check_workers(self.store.as_mut(), &self.paths, worker_died)?;
        report_reaped(&reaped);
        match respawn {
            Respawn::NotNeeded => {}
            Respawn::Spawned => warn("started another worker"),
            Respawn::LimitReached => warn(&format!(
                "workers keep crashing; not restarting (see {})",
                self.paths.state.worker_log().display()
            )),
        }
        Ok(())
    }

    /// Same as [`open`](Self::open) for a command that only reads: if nothing can be written, opens the nearest site
    /// read-only.
    pub(super) fn open_read_only(args: &SiteArgs, names: &[String]) -> Result<Self, CliError> {
        match Self::open(args, names) {
            Err(CliError::Store(error)) if error.prevents_writing() => Self::open_last_state(args, error),
            site => site,
        }
    }

    fn open_last_state(args: &SiteArgs, reason: StoreError) -> Result<Self, CliError> {
        let file = nearest_file(args)?;
        let state = state_dir(args, &file)?;
        state.check_ownership(args.state.is_some())?;
        let (Ok(path), true, false) = (state.path().canonicalize(), state.database().exists(), state.is_on_server())
        else {
            return Err(reason.into());
        };
        let state = StateDir::new(path);
        let mut store = site::open_store_to_read(&state)?;
        warn(&format!("{reason}; showing the last recorded state"));
        let read = definition::read(&file);
        if let Ok(desired) = &read
            && Some(&desired.version) != store.file_version()?.as_ref()
        {
            warn("jobs.yaml may have changed since then; the changes are not shown");
        }
        let file_error = read.err();
        let paths = SitePaths { file, state, program: program_path()? };
        let (inputs, file_changes, interrupted_jobs) = (GivenInputs::default(), Vec::new(), Vec::new());
        let reads_removed_jobs = false;
        Ok(Self { paths, store, file_error, inputs, file_changes, interrupted_jobs, reads_removed_jobs })
    }

    /// Lets the command also name jobs that were removed.
    pub(super) fn with_removed_jobs(self) -> Self {
        Self { reads_removed_jobs: true, ..self }
    }

    /// Returns the site if its file is valid: for commands that run jobs of the file.
    pub(super) fn require_valid_file(mut self) -> Result<Self, CliError> {
        match self.file_error.take() {
            Some(error) => Err(error.into()),
            None => Ok(self),
        }
    }

    /// Ends a command that works despite errors in the file: returns its exit status, or the errors.
    pub(super) fn finish(self, exit: ExitStatus) -> Result<ExitStatus, CliError> {
        self.require_valid_file().map(|_| exit)
    }

    /// Reconciles the site with its file again.
    pub(super) fn reload(&mut self) -> Result<(), CliError> {
        self.file_error = site::reconcile_with_file(self.store.as_mut(), &self.paths)?.file_error;
        Ok(())
    }

    /// Loads the state of the site.
    pub(super) fn site_state(&mut self) -> Result<SiteState, CliError> {
        Ok(self.store.load()?)
    }

    /// What the status of queues depends on, and the queues of these names, or all.
    pub(super) fn overview_of(&mut self, names: &[String]) -> Result<(SiteOverview, Vec<QueueId>), CliError> {
        let overview = self.store.load_overview()?;
        let queues = if let Ok(queues) = self.queues(&overview.state, names) {
            queues
        } else {
            // A job of this name, which the error may be about, is found only in the whole site.
            let whole = self.site_state()?;
            self.queues(&whole, names)?
        };
        Ok((overview, queues))
    }

    /// The state of these jobs and of those that they need, with all queues but without other jobs: as much as a command
    /// needs that is about these jobs. The whole state if a name means something else, or nothing.
    pub(super) fn state_of(&mut self, names: &[String]) -> Result<SiteState, CliError> {
        let last = self.paths.state.last_requested_job();
        let wanted = names.iter().map(|name| match name.as_str() {
            "@last" => last.map(JobName::Number),
            name => (!name.starts_with('@') && whole_queue(name).is_none()).then(|| job_name(name)),
        });
        if let Some(wanted) = wanted.collect::<Option<Vec<_>>>().filter(|wanted| !wanted.is_empty()) {
            let part = self.store.load_part(&wanted)?;
            let is_job = |(name, wanted): (&String, &JobName<'_>)| match wanted {
                _ if part.queue(&QueueId::from(name.as_str())).is_some() => false,
                JobName::Number(id) => part.job(*id).is_some(),
                JobName::InQueue(..) | JobName::InAnyQueue(_) => self.job_by_name(&part, name).is_ok(),
            };
            if names.iter().zip(&wanted).all(is_job) {
                return Ok(part);
            }
        }
        self.site_state()
    }

    /// The state of a job, of those that it needs and, if any job may hold what it waits for, of all others.
    pub(super) fn state_of_job(&mut self, job: &Job) -> Result<SiteState, CliError> {
        let part = self.store.load_part(&[JobName::Number(job.id)])?;
        if waits_for_any_job(job, &part) { self.site_state() } else { Ok(part) }
    }

    /// Executes one command.
    pub(super) fn submit(&mut self, command: Command) -> Result<Vec<Event>, CliError> {
        let results = self.execute(vec![command])?;
        Ok(results.into_iter().next().unwrap_or(Ok(Vec::new()))?)
    }

    /// Executes commands of the user of this process, whose environment the work runs with.
    pub(super) fn execute(&mut self, commands: Vec<Command>) -> Result<Vec<CommandResult>, CliError> {
        let now = self.store.clock().now();
        let (store, paths) = (self.store.as_mut(), &self.paths);
        Ok(site::execute_requests_with(store, paths, commands, &self.inputs, now)?)
    }

    /// Removes the environments of requests that were withdrawn.
    pub(super) fn forget_environments(&mut self) -> Result<(), CliError> {
        Ok(site::forget_unused_environments(self.store.as_mut(), &self.paths.state)?)
    }

    /// Starts a worker if the requested jobs need one.
    pub(super) fn ensure_worker(&mut self) -> Result<(), CliError> {
        match site::ensure_worker(self.store.as_mut(), &self.paths) {
            Err(error @ SiteError::NoWorker) => warn(&error.to_string()),
            result => result?,
        }
        Ok(())
    }
}

fn program_path() -> Result<PathBuf, CliError> {
    let path = std::env::current_exe().or_else(|error| path_as_started().ok_or(error));
    Ok(path.context("cannot find the path of this program")?)
}

/// The path by which this program was started, for a system without `/proc`.
fn path_as_started() -> Option<PathBuf> {
    let name = PathBuf::from(std::env::args_os().next()?);
    if name.components().count() > 1 {
        return std::path::absolute(name).ok();
    }
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(&name)).find(|path| path.is_file())
}

/// Whether a job of any queue may hold what this one waits for: units of a pool, or slots of a worker with its labels.
fn waits_for_any_job(job: &Job, part: &SiteState) -> bool {
    let scheduling = &job.definition.scheduling;
    let has_slots = || part.workers().any(|worker| worker.options.slots.is_some());
    !scheduling.uses.is_empty() || !scheduling.runs_on.is_empty() && has_slots()
}

/// Creates the state folder of a site; returns its path without symbolic links, which is the same for all processes.
fn create_state_dir(args: &SiteArgs, file: &Path) -> Result<StateDir, CliError> {
    let state = state_dir(args, file)?;
    // Don't create a folder beside a missing file: its name may be mistyped.
    if (!file.exists() || file.is_dir()) && !state.path().exists() {
        definition::read(file)?;
    }
    state.take_ownership(file, args.state.is_some())?;
    if let Some(address) = server_of(args, file)? {
        if let Some(warning) = address.warning() {
            warn(&text::sanitize_line(warning));
        }
        state.record_server(&address)?;
    }
    let path = state.path();
    Ok(StateDir::new(path.canonicalize().map_err(|source| StoreError::io(path, source))?))
}

/// Whether a site may have these queues and jobs: its file has them, or it has a state, which may.
fn may_have_all(file: &Path, names: &[&str]) -> bool {
    if foreign_owner(file).is_some() {
        return false;
    }
    let has_all = |plan: DesiredState| {
        let has = |name: &&str| {
            let first = name.rsplit_once('/').map_or(*name, |(queue, _)| queue);
            let jobs = |queue: &DesiredQueue| queue.jobs.iter().any(|job| job.name.as_deref() == Some(name));
            plan.queues.iter().any(|queue| queue.id.as_str() == first || jobs(queue))
        };
        names.iter().all(has)
    };
    StateDir::for_file(file).path().exists() || definition::read(file).is_ok_and(has_all)
}

/// Reports the jobs that were interrupted because their worker died.
fn report_reaped(reaped: &ReapReport) {
    let count = reaped.interrupted_jobs.len();
    if count > 0 {
        let jobs = count_noun(count, "job");
        let them = if count == 1 { "it" } else { "them" };
        warn(&format!("a worker died: {jobs} interrupted; `setlist retry --failed` runs {them} again"));
    }
}
