//! The folders that runs find in `$SETLIST_STATE_DIR` and `$SETLIST_ARTIFACTS`.
//!
//! Making a folder takes about as long as starting a short job, so only those are made that the definition mentions. Others
//! are made by the program that uses them.

use std::collections::BTreeSet;
use std::mem;
use std::path::Path;
use std::thread::{self, JoinHandle};

use memchr::memmem;

use super::setlist_variables::{ARTIFACTS, STATE_DIR};
use crate::model::{Call, Definition, Job, Outcome, Program, Run, RunId, Value};
use crate::site::remove_worktree;
use crate::store::StateDir;
use crate::store::job_folders::{create_job_folder, remove_empty_job_folder, remove_job_folder};

/// The folders of a worker's runs.
#[derive(Debug)]
pub(super) struct RunFolders {
    state: StateDir,
    /// Removals in the background, which end before the worker exits.
    removals: Vec<JoinHandle<()>>,
    /// The runs whose snapshot was, or is being, checked out.
    worktrees: BTreeSet<RunId>,
    /// Threads that check out snapshots.
    checkouts: Vec<JoinHandle<()>>,
}

impl RunFolders {
    pub(super) fn new(state: StateDir) -> Self {
        Self { state, removals: Vec::new(), worktrees: BTreeSet::new(), checkouts: Vec::new() }
    }

    /// Makes the folders that a job mentions. The error says which one can't be made.
    pub(super) fn create(&mut self, job: &Job, run: &Run) -> Result<(), String> {
        // A run of the same number in a site that was restored from a backup may have left some.
        self.remove(&self.state.artifacts_of(run.id));
        for (name, folder) in [(STATE_DIR, self.state.job_state(job.id)), (ARTIFACTS, self.state.artifacts_of(run.id))]
        {
            if mentions(&job.definition, name) {
                let failed = |error| format!("can't make the folder ${name} ({}): {error}", folder.display());
                create_job_folder(&folder).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Removes what a run that has ended doesn't need any more: its artifacts if it left none, and the state of the job if
    /// it has succeeded. The end must be on record: otherwise the job may run again, and needs its state. `current` is the
    /// job in the store, which may already run again.
    pub(super) fn remove_unused(&mut self, job: &Job, run: RunId, current: impl FnOnce() -> Option<Job>) {
        remove_empty_job_folder(&self.state.artifacts_of(run));
        self.remove_worktree(run);
        let folder = self.state.job_state(job.id);
        let has_succeeded = |job: &Job| {
            job.outcome() == Some(&Outcome::Succeeded) && job.last_run.as_deref().is_some_and(|last| last.id == run)
        };
        if has_succeeded(job)
            && folder.symlink_metadata().is_ok()
            && current().is_none_or(|current| has_succeeded(&current))
        {
            self.remove(&folder);
        }
    }

    /// Removes state that is not of an earlier attempt of this job: of a success after which the worker died before it
    /// could remove it, or of a job of the same number in a site that was restored from a backup.
    pub(super) fn remove_outdated(&mut self, job: &Job, previous_run: impl FnOnce() -> Option<Run>) {
        let folder = self.state.job_state(job.id);
        let has_succeeded = |run: Run| run.end.is_some_and(|end| end.outcome == Outcome::Succeeded);
        let is_outdated = match (job.attempts, job.current_attempt()) {
            (0 | 1, _) => true,
            (_, 0 | 1) => folder.symlink_metadata().is_ok() && previous_run().is_some_and(has_succeeded),
            _ => false,
        };
        if is_outdated {
            self.remove(&folder);
        }
    }

    /// A thread checks out the snapshot of a run.
    pub(super) fn add_checkout(&mut self, run: RunId, checkout: JoinHandle<()>) {
        self.worktrees.insert(run);
        self.checkouts.retain(|checkout| !checkout.is_finished());
        self.checkouts.push(checkout);
    }

    /// A snapshot was checked out for a run that has ended meanwhile.
    pub(super) fn remove_late_worktree(&mut self, run: RunId) {
        self.worktrees.insert(run);
        self.remove_worktree(run);
    }

    /// Removes the worktree of a run, in the background.
    fn remove_worktree(&mut self, run: RunId) {
        if self.worktrees.remove(&run) {
            let state = self.state.clone();
            self.removals.retain(|removal| !removal.is_finished());
            self.removals.push(thread::spawn(move || remove_worktree(&state, run)));
        }
    }

    fn remove(&mut self, folder: &Path) {
        let Some(removal) = remove_job_folder(folder) else { return };
        self.removals.retain(|removal| !removal.is_finished());
        self.removals.push(removal);
    }
}

impl Drop for RunFolders {
    fn drop(&mut self) {
        for checkout in self.checkouts.drain(..) {
            // What a thread that has panicked has made is removed below.
            let _ = checkout.join();
        }
        for run in mem::take(&mut self.worktrees) {
            remove_worktree(&self.state, run);
        }
        for removal in self.removals.drain(..) {
            // A removal that has panicked has nothing more to remove.
            let _ = removal.join();
        }
    }
}

/// Whether the script or command of a job, its arguments or its environment mention a variable.
fn mentions(definition: &Definition, name: &str) -> bool {
    let finder = memmem::Finder::new(name);
    let is_in = |text: &str| finder.find(text.as_bytes()).is_some();
    let Call::Script(script) = &definition.call else { return false };
    let is_in_program = match &script.program {
        Program::Run { text, .. } => is_in(text),
        Program::Command(words) => words.iter().any(|word| is_in(word)),
    };
    let is_in_value = |value: &Value| value.as_str().is_some_and(is_in);
    let arguments = &definition.arguments;
    is_in_program
        || arguments.args.iter().any(is_in_value)
        || arguments.kwargs.values().any(is_in_value)
        || script.exec.env.values().flatten().any(|value| is_in(value))
}
