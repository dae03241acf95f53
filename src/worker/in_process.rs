//! Runs the jobs of a queue in this process: [`Queue::process`] and [`Job::call`].
//!
//! It submits the same commands as a worker process: the caller joins the site, starts jobs, reports their ends and
//! leaves. No lock is held while a job is called, so a job may use its own queue.

use std::any::Any;
use std::cmp::Ordering;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{env, thread, vec};

use crate::clock;
use crate::model::{
    AfterRun, Call, Command, Definition, Event, Failure, Job, JobId, OnFailure, Outcome, Queue, Run, RunId, RunReport,
    Site, Stream, Value, WorkerId, WorkerOptions,
};
use crate::runner::{self, Launch, Output, PtyOptions};

/// How [`Queue::process_with`] runs the jobs. The default is that of [`Queue::process`].
#[derive(Clone, Copy, Debug)]
pub struct ProcessPolicy {
    /// Whether a failure ends the attempt and leaves the job pending, or finishes the job and continues with the next.
    pub on_failure: OnFailure,
    /// How many jobs run at once, each on its own thread; with 1, all run on the calling thread.
    pub parallel: usize,
    /// The order in which jobs are started.
    pub order: StartOrder,
}

/// The order in which jobs are started.
#[derive(Clone, Copy, Debug)]
pub enum StartOrder {
    /// The order of the queue.
    Queue,
    /// By this comparison; equal jobs stay in the order of the queue.
    By(fn(&Job, &Job) -> Ordering),
}

/// The result of processing a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "jobs may have failed"]
pub struct ProcessReport {
    /// How many jobs succeeded.
    pub succeeded: usize,
    /// The jobs that failed, and why, in the order in which they failed.
    pub failures: Vec<(JobId, Failure)>,
}

impl Default for ProcessPolicy {
    fn default() -> Self {
        Self { on_failure: OnFailure::Stop, parallel: 1, order: StartOrder::Queue }
    }
}

impl ProcessReport {
    /// How many jobs succeeded, or the first failure.
    pub fn into_result(self) -> Result<usize, Failure> {
        self.failures.into_iter().next().map_or(Ok(self.succeeded), |(_, failure)| Err(failure))
    }
}

impl Queue {
    /// Attempts every job that is pending now, once each, in order; returns how many succeeded.
    ///
    /// Each success moves to the finished jobs. The first failure is returned: the job that failed stays pending in its
    /// place, those before it stay finished, those after it are untouched. A job that panics has failed. A job that is
    /// appended meanwhile waits for the next call; one that is removed or started elsewhere meanwhile is skipped.
    ///
    /// [`process_with`](Self::process_with) offers other policies.
    pub fn process(&self) -> Result<usize, Failure> {
        self.process_with(ProcessPolicy::default()).into_result()
    }

    /// Attempts every job that is pending now, once each, as `policy` says.
    ///
    /// The queue's own settings for parallelism and failures apply to workers only.
    pub fn process_with(&self, policy: ProcessPolicy) -> ProcessReport {
        let jobs = self.jobs_in_order(policy.order);
        let helpers = policy.parallel.min(jobs.len()).saturating_sub(1);
        let worker = InProcessWorker::join(self.site());
        let attempt = ProcessCall {
            queue: self,
            worker: worker.id,
            on_failure: policy.on_failure,
            progress: Mutex::new(Progress { remaining: jobs.into_iter(), processed: ProcessReport::default() }),
        };
        thread::scope(|scope| {
            for _ in 0..helpers {
                // If a thread can't be started, the others do its work.
                let _ = thread::Builder::new().spawn_scoped(scope, || attempt.run_jobs());
            }
            attempt.run_jobs();
        });
        attempt.progress.into_inner().unwrap_or_else(PoisonError::into_inner).processed
    }

    fn jobs_in_order(&self, order: StartOrder) -> Vec<JobId> {
        match order {
            StartOrder::Queue => self.read(|queue, _| queue.pending.iter().copied().collect()),
            StartOrder::By(compare) => {
                let mut jobs = self.pending();
                jobs.sort_by(compare);
                jobs.into_iter().map(|job| job.id).collect()
            }
        }
    }
}

impl Job {
    /// Calls the function or script of the job with its arguments.
    ///
    /// A success records the value and the time. A failure, including a panic, is recorded as [`Job::failure`] and leaves
    /// both as they were. This changes only this copy of the job; [`Queue::process`] calls the jobs of a queue.
    pub fn call(&mut self) -> Result<Option<Value>, Failure> {
        let attempt = self.attempts + 1;
        let (id, worker) = (RunId::default(), WorkerId::default());
        let started = clock::now();
        self.start_run(Run { id, attempt, worker, started, stalled: None, end: None, approval: None, inputs: None });
        let report = call_definition(&self.definition);
        let then = if report.outcome == Outcome::Succeeded { AfterRun::Finish } else { AfterRun::StayPending };
        self.end_run(&report, then, clock::now());
        match report.outcome {
            Outcome::Succeeded => Ok(report.value),
            Outcome::Failed(failure) => Err(*failure),
            other => Err(Failure::error(other.as_str())),
        }
    }
}

/// One attempt at the jobs of a queue, shared by its threads.
struct ProcessCall<'a> {
    queue: &'a Queue,
    worker: WorkerId,
    on_failure: OnFailure,
    progress: Mutex<Progress>,
}

/// A run that has started, and what it calls; or why it can't call it.
type StartedRun = (JobId, RunId, Result<Arc<Definition>, Failure>);

struct Progress {
    remaining: vec::IntoIter<JobId>,
    processed: ProcessReport,
}

impl ProcessCall<'_> {
    fn run_jobs(&self) {
        while let Some((job, run, definition)) = self.next() {
            self.report(
                job,
                run,
                definition.map_or_else(|failure| Err(failure).into(), |definition| call_definition(&definition)),
            );
        }
    }

    /// Starts the next job that can still be started.
    fn next(&self) -> Option<StartedRun> {
        let mut progress = self.progress();
        let stopped = self.on_failure == OnFailure::Stop && !progress.processed.failures.is_empty();
        if stopped { None } else { progress.remaining.find_map(|job| self.start(job)) }
    }

    fn start(&self, job: JobId) -> Option<StartedRun> {
        let events = self.queue.submit(&Command::Start { worker: self.worker, job }, clock::now()).ok()?;
        let started = |event: &Event| if let Event::Started { run, .. } = event { Some(run.id) } else { None };
        let run = events.iter().find_map(started)?;
        // A running job can be neither changed nor removed.
        let definition = self.queue.read(|_, state| state.job(job).map(Job::filled_definition))?;
        Some((job, run, definition))
    }

    fn report(&self, job: JobId, run: RunId, report: RunReport) {
        let on_failure = Some(self.on_failure);
        let command = Command::EndRun { job, run, report: report.clone(), on_failure };
        // The count and the queue change together, so that nothing starts after a failure. A report is refused if the run
        // has been ended elsewhere; then it does not count.
        let mut progress = self.progress();
        if self.queue.submit(&command, clock::now()).is_ok() {
            match report.outcome {
                Outcome::Succeeded => progress.processed.succeeded += 1,
                Outcome::Failed(failure) => progress.processed.failures.push((job, *failure)),
                _ => {}
            }
        }
    }

    // No code that holds the lock can panic between two changes, so a poisoned state is consistent.
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Registers this process as a worker of a site until dropped.
struct InProcessWorker<'a> {
    site: &'a Site,
    id: WorkerId,
}

impl<'a> InProcessWorker<'a> {
    fn join(site: &'a Site) -> Self {
        // It serves no queue: it starts jobs by id.
        let command = Command::Join {
            host: "localhost".to_owned(),
            pid: std::process::id(),
            queues: Some(Vec::new()),
            options: WorkerOptions::default(),
        };
        let events = site.submit(&command, clock::now()).unwrap_or_default();
        let id = events
            .iter()
            .find_map(|event| if let Event::WorkerJoined { worker } = event { Some(worker.id) } else { None });
        Self { site, id: id.unwrap_or_default() }
    }
}

impl Drop for InProcessWorker<'_> {
    fn drop(&mut self) {
        // Refused only if it has been reaped already.
        let _ = self.site.submit(
            &Command::ReapWorker { worker: self.id, started_runs: Vec::new(), unreachable_host: None },
            clock::now(),
        );
    }
}

/// Calls the function or script of a job on the calling thread.
fn call_definition(definition: &Arc<Definition>) -> RunReport {
    match &definition.call {
        Call::Function(function) => {
            // A panic may leave the state of the function inconsistent, as it may in a thread.
            let result = catch_unwind(AssertUnwindSafe(|| function.call(&definition.arguments)));
            result.unwrap_or_else(|panic| Err(panic_failure(panic.as_ref()))).into()
        }
        Call::Script(_) => run_script(definition),
    }
}

fn panic_failure(payload: &(dyn Any + Send)) -> Failure {
    let message =
        payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    Failure::error(message.map_or_else(|| "panicked".to_owned(), |message| format!("panicked: {message}")))
}

/// Runs a script in the current directory, with its output passed through.
fn run_script(definition: &Arc<Definition>) -> RunReport {
    let folder = env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let launch = Launch {
        definition: Arc::clone(definition),
        folder,
        environment: None,
        env: Vec::new(),
        secrets: Vec::new(),
        tag: None,
        value_file: None,
        pty: PtyOptions::default(),
    };
    runner::run(launch, Box::new(PassThrough))
}

/// Writes output to the standard output and standard error of this process.
struct PassThrough;

impl Output for PassThrough {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        // A closed pipe is not a failure of the job.
        let _ = match stream {
            Stream::Out => io::stdout().write_all(bytes),
            Stream::Err => io::stderr().write_all(bytes),
        };
    }

    fn finish(self: Box<Self>) {
        let _ = io::stdout().flush();
    }
}
