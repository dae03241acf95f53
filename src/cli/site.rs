//! Finds the site that a command is about, and brings its store in step with its `jobs.yaml`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::Utc;

use super::args::SiteArgs;
use super::error::complain;
use super::file::count;
use super::{CliError, Exit};
use crate::definition;
use crate::model::{Command, Event, Job, JobId, Ledger, QueueId};
use crate::store::{Folder, Sqlite, Store, StoreError};
use crate::worker::{self, Office, Succession, WorkerError};

/// A site whose store is open.
pub(super) struct OpenSite {
    /// Where it is.
    pub office: Office,
    /// Its store.
    pub store: Box<dyn Store>,
    /// What is wrong with its `jobs.yaml`, if something is; the last good one is in force then.
    pub broken: Option<definition::Error>,
}

impl OpenSite {
    /// The site that the arguments name, or the nearest.
    pub(super) fn nearest(args: &SiteArgs) -> Result<Self, CliError> {
        let file = find(args)?;
        let state = state(args, &file)?;
        let mut store: Box<dyn Store> = Box::new(Sqlite::open(&state)?);
        let broken = reconcile(store.as_mut(), &file)?;
        let mut site = Self { office: Office { file, state, program: program()? }, store, broken };
        // Nobody else may be there to say that what a dead worker ran is running no more.
        site.bury()?;
        Ok(site)
    }

    /// For a command that goes on: ends the runs of workers that have died, and has somebody go on with their work when
    /// one `died` meanwhile.
    pub(super) fn tend(&mut self, died: bool) -> Result<(), CliError> {
        if !(self.bury()? || died) {
            return Ok(());
        }
        match worker::replace(self.store.as_mut(), &self.office)? {
            Succession::Settled => {}
            Succession::Hired => complain("another worker goes on"),
            Succession::Hopeless => complain(&format!(
                "workers keep dying, and no other was started; see {}",
                self.office.state.diary().display()
            )),
        }
        Ok(())
    }

    /// Ends the runs of workers that have died, and says so; tells whether any had.
    fn bury(&mut self) -> Result<bool, CliError> {
        let buried = worker::bury_the_dead(self.store.as_mut(), &self.office)?;
        if buried.jobs > 0 {
            let jobs = count(buried.jobs, "job");
            complain(&format!("a worker has died: {jobs} interrupted; `setlist retry --failed` runs them again"));
        }
        Ok(buried.workers > 0)
    }

    /// The same for a command that only looks: where nothing can be written, the site is shown as it was left.
    pub(super) fn to_look_at(args: &SiteArgs) -> Result<Self, CliError> {
        match Self::nearest(args) {
            Err(CliError::Store(error) | CliError::Worker(WorkerError::Store(error))) if error.forbids_writing() => {
                Self::as_left(args, error)
            }
            site => site,
        }
    }

    fn as_left(args: &SiteArgs, why: StoreError) -> Result<Self, CliError> {
        let file = find(args)?;
        let state = folder(args, &file);
        let (Ok(path), true) = (state.path().canonicalize(), state.database().exists()) else {
            return Err(why.into());
        };
        let state = Folder::new(path);
        let mut store = Sqlite::open_to_read(&state)?;
        complain(&format!("{why}; this is how it was left"));
        let broken = definition::read(&file).err();
        if broken.is_none() && definition::stamp(&file).ok() != store.stamp()? {
            complain("jobs.yaml may have changed since then; what it says now is not shown");
        }
        Ok(Self { office: Office { file, state, program: program()? }, store: Box::new(store), broken })
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

    /// Everything that is known of the site.
    pub(super) fn ledger(&mut self) -> Result<Ledger, CliError> {
        Ok(self.store.load()?)
    }

    /// Decides one command.
    pub(super) fn submit(&mut self, command: Command) -> Result<Vec<Event>, CliError> {
        let answers = self.store.execute(&[command], Utc::now())?;
        Ok(answers.into_iter().next().unwrap_or(Ok(Vec::new()))?)
    }

    /// Makes sure that a worker is there for what was asked.
    pub(super) fn hire(&mut self) -> Result<(), CliError> {
        Ok(worker::hire(self.store.as_mut(), &self.office)?)
    }

    /// The job that `text` means: `queue/name`, `7` or `#7`.
    pub(super) fn job(&mut self, text: &str) -> Result<Job, CliError> {
        let number = text.strip_prefix('#').unwrap_or(text).rsplit("/#").next().unwrap_or_default();
        if let Ok(number) = number.parse() {
            let job = self.store.job(JobId(number))?;
            return job.ok_or_else(|| CliError::Usage(format!("there is no job #{number}")));
        }
        let ledger = self.ledger()?;
        let Some((queue, name)) = text.rsplit_once('/') else {
            return Err(CliError::Usage(format!("{text:?} is no job: write queue/name or a number")));
        };
        let found = ledger.named(&QueueId::from(queue), name);
        found.cloned().ok_or_else(|| {
            let paths: Vec<String> = ledger.jobs().filter(|job| job.name().is_some()).map(Job::path).collect();
            self.unknown("job", text, &paths)
        })
    }

    /// The queues of these names; all of the site's where there is none.
    pub(super) fn queues(&self, ledger: &Ledger, names: &[String]) -> Result<Vec<QueueId>, CliError> {
        let known: Vec<QueueId> = ledger.queues().into_iter().map(|(id, _)| id.clone()).collect();
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

fn program() -> Result<PathBuf, CliError> {
    Ok(std::env::current_exe().context("can't find this program's own file")?)
}

/// Where the state of the site is, as an absolute path without symbolic links: a worker that is hired, and whoever looks
/// for what a dead one has left behind, must mean the same folder wherever they are.
fn state(args: &SiteArgs, file: &Path) -> Result<Folder, CliError> {
    let state = folder(args, file);
    // No folder is made for a file that isn't there: its name may be a slip of the pen.
    if (!file.exists() || file.is_dir()) && !state.path().exists() {
        definition::read(file)?;
    }
    state.create()?;
    let path = state.path();
    Ok(Folder::new(path.canonicalize().map_err(|source| StoreError::io(path, source))?))
}

/// Where the arguments or the file say that the state is.
fn folder(args: &SiteArgs, file: &Path) -> Folder {
    args.state.as_ref().map_or_else(|| Folder::beside(file), Folder::new)
}

/// The file that the arguments name, or the nearest, as an absolute path.
pub(super) fn find(args: &SiteArgs) -> Result<PathBuf, CliError> {
    let here = std::env::current_dir().context("can't tell the working directory")?;
    let file = match &args.file {
        Some(file) => file.clone(),
        None => definition::find(&here).ok_or_else(|| none(here))?,
    };
    std::path::absolute(&file).with_context(|| format!("{}", file.display())).map_err(CliError::from)
}

/// That there is no file, or nothing that could be read as one.
fn none(here: PathBuf) -> CliError {
    let file = here.join(definition::FILE_NAME);
    if file.symlink_metadata().is_ok() {
        return CliError::Usage(format!("{} is there, but it leads to no regular file", file.display()));
    }
    CliError::NoFile(here)
}

/// Makes the site as its file says, if the file has changed since it was last read.
fn reconcile(store: &mut dyn Store, file: &Path) -> Result<Option<definition::Error>, CliError> {
    let stamp = definition::stamp(file).ok();
    if stamp.is_some() && stamp == store.stamp()? {
        return Ok(None);
    }
    match definition::read(file) {
        Ok(plan) => {
            store.execute(&[Command::Reconcile(Box::new(plan))], Utc::now())?;
            Ok(None)
        }
        Err(error) => Ok(Some(error)),
    }
}

fn did_you_mean(text: &str, known: &[String]) -> String {
    let score = |name: &String| strsim::jaro_winkler(text, name);
    let best = known.iter().filter(|name| score(name) > 0.7).max_by(|a, b| score(a).total_cmp(&score(b)));
    best.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}
