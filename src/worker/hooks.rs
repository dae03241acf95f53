//! Runs the `on_finish` hooks of jobs: in the worker that ran the job, after its outcome has been recorded, at most once.
//! The outcome of a hook does not change the job.

use std::collections::VecDeque;
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::environment;
use super::environments::Environments;
use crate::model::{Definition, ExecOptions, Job, Outcome, RunId, RunReport, Script, StopSignal, Stream};
use crate::runner::{Launch, Output, PtyOptions, Runner};
use crate::site::{HOOK_SLOTS, SitePaths, hook_tag};
use crate::store::log;
use crate::text::plain_line;

/// The hooks of a worker, up to [`HOOK_SLOTS`] of them at once.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    /// Jobs whose hook has not started.
    pending: VecDeque<Job>,
    /// The job whose hook runs in each slot.
    running: [Option<Job>; HOOK_SLOTS],
}

/// Called when a hook has ended, with the run that it followed, its report and the last line that it printed.
pub(super) type HookCallback = Box<dyn FnOnce(RunId, RunReport, String) + Send>;

/// How many bytes of the output of a hook are kept.
const MAX_TAIL_BYTES: usize = 4096;

impl Hooks {
    /// Queues the hook of a job that has ended and will not be retried, if it has one for this outcome.
    pub(super) fn enqueue(&mut self, job: Job) {
        let ending = job.last_run.as_deref().and_then(|run| run.end.as_ref());
        // An interrupted run has no hook: its worker did not see it end.
        let outcome = ending.map(|ending| &ending.outcome).filter(|outcome| !outcome.is_interrupted());
        if let (Some(hook), Some(outcome)) = (job.hook(), outcome)
            && hook.runs_after(outcome)
        {
            self.pending.push_back(job);
        }
    }

    /// Does the same for a job that was read from the store after its run had ended.
    pub(super) fn enqueue_ended(&mut self, job: Option<Job>, run: RunId) {
        let is_over = |job: &Job| job.outcome().is_some() && job.last_run.as_deref().is_some_and(|last| last.id == run);
        if let Some(job) = job.filter(is_over) {
            self.enqueue(job);
        }
    }

    /// Starts hooks in the free slots. `callback` makes the function that is called when a hook has ended. Returns whether
    /// the system has too few resources for one that is pending.
    pub(super) fn start(
        &mut self,
        runner: &Runner,
        paths: &SitePaths,
        tag_prefix: &str,
        environments: &mut Environments,
        callback: impl Fn() -> HookCallback,
    ) -> bool {
        for (slot, running) in self.running.iter_mut().enumerate().filter(|(_, running)| running.is_none()) {
            let Some(job) = self.pending.pop_front() else { return false };
            if let Some((run, launch)) = launch(&job, slot, paths, tag_prefix, environments) {
                let tail = OutputTail::default();
                let (output, on_end) = (Box::new(tail.clone()), callback());
                let done = Box::new(move |report| on_end(run, report, tail.last_line()));
                if runner.launch(run, launch, output, done).is_err() {
                    self.pending.push_front(job);
                    return true;
                }
                *running = Some(job);
            }
        }
        false
    }

    /// Logs the failure of a hook that has ended. Returns whether it is one of these hooks.
    pub(super) fn handle_exit(&mut self, run: RunId, report: &RunReport, last_line: &str) -> bool {
        let is_for_run = |job: &Job| job.last_run.as_deref().is_some_and(|last| last.id == run);
        let Some(job) = self.running.iter_mut().find(|job| job.as_ref().is_some_and(is_for_run)).and_then(Option::take)
        else {
            return false;
        };
        let what = match &report.outcome {
            Outcome::Succeeded => return true,
            Outcome::Failed(failure) => failure.message.as_str(),
            other => other.as_str(),
        };
        let suffix = if last_line.is_empty() { String::new() } else { format!(": {last_line}") };
        tracing::warn!("on_finish of {}: {}{suffix}", plain_line(&job.path()), plain_line(what));
        true
    }

    /// Whether no hook is pending or running.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.running.iter().all(Option::is_none)
    }

    /// Drops the pending hooks because the worker shuts down.
    pub(super) fn cancel_pending(&mut self) {
        for job in mem::take(&mut self.pending) {
            tracing::warn!("on_finish of {} skipped: the worker is shutting down", plain_line(&job.path()));
        }
    }

    /// Drops the pending hooks and stops the running ones.
    pub(super) fn stop(&mut self, runner: &Runner, stop: StopSignal) {
        self.cancel_pending();
        let running = self.running.iter().flatten().filter_map(|job| job.last_run.as_deref());
        runner.stop(&running.map(|run| (run.id, stop)).collect::<Vec<_>>());
    }
}

/// The launch of a job's hook: in the folder of the site, with the job's own `env` and variables that describe its outcome.
fn launch(
    job: &Job,
    slot: usize,
    paths: &SitePaths,
    tag_prefix: &str,
    environments: &mut Environments,
) -> Option<(RunId, Launch)> {
    let (hook, run) = (job.hook()?, job.last_run.as_deref()?);
    let log = log::log_path(&paths.state.logs(), run.id);
    // A job without output has no log; /dev/null spares scripts the check.
    let log = if log.exists() { log } else { PathBuf::from("/dev/null") };
    let (variables, absent) = environment::hook_variables(job, run, paths, tag_prefix, &log, slot);
    let mut env = job.script()?.exec.env.clone();
    env.extend(absent.into_iter().map(|name| (name.to_owned(), None)));
    let options = ExecOptions { env, timeout: Some(hook.timeout), ..ExecOptions::default() };
    let launch = Launch {
        definition: Arc::new(Definition::new(Script::new(hook.program.clone()).with_exec(options))),
        folder: paths.site_dir().to_owned(),
        // It may have been forgotten since the run ended.
        environment: Some(environments.of(job).unwrap_or_else(|_| Environments::login())),
        env: variables,
        tag: Some(hook_tag(tag_prefix, run.worker, slot)),
        value_file: None,
        pty: PtyOptions::default(),
    };
    // The run has ended, so its id is free to identify the hook.
    Some((run.id, launch))
}

/// The last bytes that a hook has printed.
#[derive(Clone, Default)]
struct OutputTail(Arc<Mutex<Vec<u8>>>);

impl OutputTail {
    fn last_line(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&bytes);
        text.lines().rev().map(plain_line).find(|line| !line.trim().is_empty()).unwrap_or_default()
    }
}

impl Output for OutputTail {
    fn write(&mut self, _: Stream, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        let too_many = kept.len().saturating_sub(MAX_TAIL_BYTES);
        kept.drain(..too_many);
    }

    fn finish(self: Box<Self>) {}
}
