//! What the file wants to be run when a job has finished (`on_finish`): in the worker that ran the job, after its outcome
//! is on record, at most once. Nothing that comes of it changes the job.

use std::collections::VecDeque;
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Office, environment};
use crate::model::{Definition, Job, Outcome, Report, RunId, Script, Setup, Stop, Stream};
use crate::runner::{Launch, Output, Runner, Terminal};
use crate::store::log;

/// What is run after jobs: some of it now, the rest in turn.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    waiting: VecDeque<Job>,
    /// For each slot, the job after which something runs there.
    running: [Option<Job>; environment::HOOK_SLOTS],
}

/// What is called when one has ended: after which run, what came of it, and the last that it printed.
pub(super) type Ended = Box<dyn FnOnce(RunId, Report, String) + Send>;

/// How much of what one prints is kept, in bytes.
const KEPT: usize = 4096;

impl Hooks {
    /// A job is over, with no other run to follow; it will run what the job wants then, if anything.
    pub(super) fn finished(&mut self, job: Job) {
        let ending = job.last_run.as_deref().and_then(|run| run.ending.as_ref());
        // What its worker didn't see to the end is not over for it.
        let outcome = ending.map(|ending| &ending.outcome).filter(|outcome| **outcome != Outcome::Interrupted);
        if let (Some(hook), Some(outcome)) = (job.hook(), outcome)
            && hook.follows(outcome)
        {
            self.waiting.push_back(job);
        }
    }

    /// The same for a job of which only the present state is known, since its run has ended.
    pub(super) fn finished_unseen(&mut self, job: Option<Job>, run: RunId) {
        let is_over = |job: &Job| job.outcome().is_some() && job.last_run.as_deref().is_some_and(|last| last.id == run);
        if let Some(job) = job.filter(is_over) {
            self.finished(job);
        }
    }

    /// Starts what there is room for; `ended` makes what is called when one has ended.
    pub(super) fn start(&mut self, runner: &Runner, office: &Office, ended: impl Fn() -> Ended) {
        for (slot, room) in self.running.iter_mut().enumerate().filter(|(_, room)| room.is_none()) {
            let Some(job) = self.waiting.pop_front() else { return };
            if let Some((run, launch)) = launch(&job, slot, office) {
                *room = Some(job);
                let said = Said::default();
                let (output, ended) = (Box::new(said.clone()), ended());
                runner.launch(run, launch, output, Box::new(move |report| ended(run, report, said.last_line())));
            }
        }
    }

    /// One has ended: what went wrong is told. Tells whether it is one that was started here.
    pub(super) fn ended(&mut self, run: RunId, report: &Report, said: &str) -> bool {
        let is_it = |job: &Job| job.last_run.as_deref().is_some_and(|last| last.id == run);
        let Some(job) = self.running.iter_mut().find(|job| job.as_ref().is_some_and(is_it)).and_then(Option::take)
        else {
            return false;
        };
        let what = match &report.outcome {
            Outcome::Succeeded => return true,
            Outcome::Failed(failure) => failure.message.as_str(),
            other => other.word(),
        };
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        tracing::warn!("on_finish of {}: {}{said}", plain(&job.path()), plain(what));
        true
    }

    /// Whether there is nothing to run, and nothing runs.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.iter().all(Option::is_none)
    }

    /// The worker leaves: nothing more is started.
    pub(super) fn forgo(&mut self) {
        for job in mem::take(&mut self.waiting) {
            tracing::warn!("on_finish of {} is not run: its worker leaves", plain(&job.path()));
        }
    }

    /// The same, and what runs is stopped.
    pub(super) fn stop(&mut self, runner: &Runner, stop: Stop) {
        self.forgo();
        for run in self.running.iter().flatten().filter_map(|job| job.last_run.as_deref()) {
            runner.stop(run.id, stop);
        }
    }
}

/// It runs in the site's folder, with the variables of the job's own `env` and those that tell what came of it.
fn launch(job: &Job, slot: usize, office: &Office) -> Option<(RunId, Launch)> {
    let (hook, run) = (job.hook()?, job.last_run.as_deref()?);
    let log = log::path(&office.state.logs(), run.id);
    // A job that printed nothing has none, and a script need not ask.
    let log = if log.exists() { log } else { PathBuf::from("/dev/null") };
    let (told, absent) = environment::of_hook(job, run, office, &log, slot);
    let mut env = job.script()?.setup.env.clone();
    env.extend(absent.into_iter().map(|name| (name.to_owned(), None)));
    let setup = Setup { env, timeout: Some(hook.timeout), ..Setup::default() };
    let launch = Launch {
        definition: Arc::new(Definition::new(Script::new(hook.program.clone()).with(setup))),
        folder: office.home().to_owned(),
        env: told,
        mark: Some(environment::mark_of_hook(run.worker, slot, office)),
        value_file: None,
        terminal: Terminal::default(),
    };
    // The run is over, so nothing else has its number.
    Some((run.id, launch))
}

/// In one line that steers no terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The last that one has printed.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn last_line(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let said = String::from_utf8_lossy(&bytes);
        said.lines().rev().map(plain).find(|line| !line.trim().is_empty()).unwrap_or_default()
    }
}

impl Output for Said {
    fn write(&mut self, _: Stream, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        let too_many = kept.len().saturating_sub(KEPT);
        kept.drain(..too_many);
    }

    fn finish(self: Box<Self>) {}
}
