//! Runs hooks, each at most once; their outcomes change nothing. `on_finish` runs in the worker that ran the job, after its
//! outcome has been recorded; `on_stall` in the same worker; `on_overdue` in the worker that has recorded what is overdue.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::environment_cache::EnvironmentCache;
use super::hook_event::HookEvent;
use super::output_tail::OutputTail;
use super::setlist_variables::{self, HookVariables};
use crate::model::{
    Definition, ExecOptions, Hook, Job, Outcome, Overdue, RunId, RunReport, ScheduleTarget, Script, StopSignal,
    WorkerId,
};
use crate::runner::{Launch, PtyOptions, Runner};
use crate::site::{HOOK_SLOTS, SitePaths, hook_tag};
use crate::store::{Store, StoreError, log};
use crate::text::sanitize_line;

/// The hooks of a worker, up to [`HOOK_SLOTS`] of them at once.
#[derive(Debug)]
pub(super) struct Hooks {
    worker: WorkerId,
    pending: VecDeque<PendingHook>,
    /// The hook in each slot.
    running: [Option<RunningHook>; HOOK_SLOTS],
    /// How many have been started.
    started: u64,
}

/// A hook that has not started.
#[derive(Debug)]
struct PendingHook {
    event: HookEvent,
    hook: Arc<Hook>,
    /// As in [`ExecOptions::env`].
    env: BTreeMap<String, Option<String>>,
}

/// A hook that has started.
#[derive(Debug)]
struct RunningHook {
    event: HookEvent,
    /// Identifies it in the runner.
    id: RunId,
}

/// Called when a hook has ended, with its slot, its report and the last line that it printed.
pub(super) type HookCallback = Box<dyn FnOnce(usize, RunReport, String) + Send>;

impl Hooks {
    /// The hooks of this worker.
    pub(super) fn new(worker: WorkerId) -> Self {
        Self { worker, pending: VecDeque::new(), running: Default::default(), started: 0 }
    }

    /// Queues the hook of a job that has ended and will not be retried, if it has one for this outcome.
    pub(super) fn enqueue(&mut self, job: Job) {
        let ending = job.last_run.as_deref().and_then(|run| run.end.as_ref());
        // An interrupted run has no hook: its worker did not see it end.
        let outcome = ending.map(|ending| &ending.outcome).filter(|outcome| !outcome.is_interrupted());
        if let (Some(hook), Some(outcome)) = (job.hook().cloned(), outcome)
            && hook.runs_after(outcome)
        {
            self.push(HookEvent::Finished(Box::new(job)), hook);
        }
    }

    /// Does the same for a job that was read from the store after its run had ended.
    pub(super) fn enqueue_ended(&mut self, job: Option<Job>, run: RunId) {
        let is_over = |job: &Job| job.outcome().is_some() && job.last_run.as_deref().is_some_and(|last| last.id == run);
        if let Some(job) = job.filter(is_over) {
            self.enqueue(job);
        }
    }

    /// Queues the hook of a running job that has printed nothing since this time, if it has one.
    pub(super) fn enqueue_stalled(&mut self, job: &Job, since: DateTime<Utc>, now: DateTime<Utc>) {
        if let Some(hook) = job.script().and_then(|script| script.exec.on_stall.clone()) {
            let silent = (now - since).to_std().unwrap_or_default();
            self.push(HookEvent::Stalled { job: Box::new(job.clone()), since, silent }, hook);
        }
    }

    /// Queues the hook of a queue or a job that is overdue, if it has one.
    pub(super) fn enqueue_overdue(
        &mut self,
        store: &mut dyn Store,
        target: &ScheduleTarget,
        overdue: Overdue,
    ) -> Result<(), StoreError> {
        let states = store.expectations()?;
        let last_success =
            states.into_iter().find(|state| state.target == *target).and_then(|state| state.last_success);
        match target {
            ScheduleTarget::Job(id) => {
                let Some(job) = store.job(*id)? else { return Ok(()) };
                if let Some(hook) = job.script().and_then(|script| script.exec.on_overdue.clone()) {
                    self.push(HookEvent::OverdueJob { job: Box::new(job), overdue, last_success }, hook);
                }
            }
            ScheduleTarget::Queue(id) => {
                let queue = store.queues()?.into_iter().find(|queue| queue.id == *id);
                if let Some(hook) = queue.as_ref().and_then(|queue| queue.settings.on_overdue.clone()) {
                    let title = queue.map(|queue| queue.settings.title).unwrap_or_default();
                    let event = HookEvent::OverdueQueue { queue: id.clone(), title, overdue, last_success };
                    let (hook, env) = (Arc::clone(&hook.hook), hook.env.clone());
                    self.pending.push_back(PendingHook { event, hook, env });
                }
            }
        }
        Ok(())
    }

    /// Queues a hook of a job, which has the variables of the job.
    fn push(&mut self, event: HookEvent, hook: Arc<Hook>) {
        let env = event.job().and_then(Job::script).map(|script| script.exec.env.clone()).unwrap_or_default();
        self.pending.push_back(PendingHook { event, hook, env });
    }

    /// Starts hooks in the free slots. `callback` makes the function that is called when a hook has ended. Returns whether
    /// the system has too few resources for one that is pending.
    pub(super) fn start(
        &mut self,
        runner: &Runner,
        paths: &SitePaths,
        tag_prefix: &str,
        environments: &mut EnvironmentCache,
        callback: impl Fn() -> HookCallback,
    ) -> bool {
        for (slot, running) in self.running.iter_mut().enumerate().filter(|(_, running)| running.is_none()) {
            let Some(pending) = self.pending.pop_front() else { return false };
            // Unlike those of runs.
            let id = RunId(u64::MAX - self.started);
            let launch = launch(&pending, self.worker, slot, paths, tag_prefix, environments);
            let tail = OutputTail::default();
            let (output, on_end) = (Box::new(tail.clone()), callback());
            let done = Box::new(move |report| on_end(slot, report, tail.last_line()));
            if runner.launch(id, launch, output, done).is_err() {
                self.pending.push_front(pending);
                return true;
            }
            self.started += 1;
            *running = Some(RunningHook { event: pending.event, id });
        }
        false
    }

    /// Logs the failure of a hook that has ended. Returns the run that it followed, whose record shows its result.
    pub(super) fn handle_exit(&mut self, slot: usize, report: &RunReport, last_line: &str) -> Option<RunId> {
        let RunningHook { event, .. } = self.running.get_mut(slot)?.take()?;
        let suffix = if last_line.is_empty() { String::new() } else { format!(": {last_line}") };
        let why = match &report.outcome {
            Outcome::Succeeded => None,
            Outcome::Failed(failure) => Some(failure.message.as_str()),
            other => Some(other.as_str()),
        };
        if let Some(why) = why {
            tracing::warn!("{} of {}: {}{suffix}", event.hook_name(), event.path(), sanitize_line(why));
        }
        event.finished_run()
    }

    /// Whether no hook is pending or running.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.running.iter().all(Option::is_none)
    }

    /// Drops the pending hooks because the worker shuts down.
    pub(super) fn cancel_pending(&mut self) {
        for PendingHook { event, .. } in mem::take(&mut self.pending) {
            tracing::warn!("{} of {} skipped: the worker is shutting down", event.hook_name(), event.path());
        }
    }

    /// Drops the pending hooks and stops the running ones.
    pub(super) fn stop(&mut self, runner: &Runner, stop: StopSignal) {
        self.cancel_pending();
        let running = self.running.iter().flatten();
        runner.stop(&running.map(|hook| (hook.id, stop)).collect::<Vec<_>>());
    }
}

/// The launch of a hook: in the folder of the site, with the `env` of its job or queue and variables that describe the event.
fn launch(
    PendingHook { event, hook, env }: &PendingHook,
    worker: WorkerId,
    slot: usize,
    paths: &SitePaths,
    tag_prefix: &str,
    environments: &mut EnvironmentCache,
) -> Launch {
    let log = event.run().map(|run| log::log_path(&paths.state.logs(), run.id)).filter(|log| log.exists());
    // A job without output has no log; /dev/null spares scripts the check.
    let log = log.unwrap_or_else(|| PathBuf::from("/dev/null"));
    let HookVariables { set, absent } = setlist_variables::hook_variables(event, worker, paths, tag_prefix, &log, slot);
    let mut env = env.clone();
    env.extend(absent.into_iter().map(|name| (name.to_owned(), None)));
    let options = ExecOptions { env, timeout: Some(hook.timeout), ..ExecOptions::default() };
    // It may have been forgotten since the run ended.
    let environment =
        event.job().and_then(|job| environments.load_for(job).ok()).unwrap_or_else(EnvironmentCache::login);
    Launch {
        definition: Arc::new(Definition::new(Script::new(hook.program.clone()).with_exec(options))),
        folder: paths.site_dir().to_owned(),
        environment: Some(environment),
        env: set,
        secrets: Vec::new(),
        tag: Some(hook_tag(tag_prefix, worker, slot)),
        value_file: None,
        pty: PtyOptions::default(),
    }
}
