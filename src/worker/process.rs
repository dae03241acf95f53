//! Processing in this process: a job calls what it calls, and a queue attempts its jobs, in order or as a policy says.
//!
//! The same commands are decided here as for a worker of its own: the caller joins the site, starts jobs, reports what
//! came of them and leaves. No lock is held while a job is called, so a job may use its own queue.

use std::any::Any;
use std::cmp::Ordering;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{env, thread, vec};

use chrono::Utc;

use crate::model::{
    Call, Command, Definition, Event, Failure, Job, JobId, OnFailure, Outcome, Queue, Report, Run, RunId, Site, Stream,
    Then, Value, WorkerId,
};
use crate::runner::{self, Launch, Output, Terminal};

/// How [`Queue::process_with`] goes about the jobs. The default is what [`Queue::process`] does.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Whether a failure ends the attempt and leaves the job pending, or the job finishes and the next one follows.
    pub on_failure: OnFailure,
    /// How many jobs are called at once, on as many threads; with 1, all are called on the caller's own.
    pub parallel: usize,
    /// Which job comes first.
    pub order: Order,
}

/// Which job comes first.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// The order of the queue.
    Queue,
    /// By this comparison; equal jobs stay in the order of the queue.
    By(fn(&Job, &Job) -> Ordering),
}

/// What came of an attempt at the jobs of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "jobs may have failed"]
pub struct Processed {
    /// How many jobs succeeded.
    pub succeeded: usize,
    /// Which jobs failed, and why, in the order in which they did.
    pub failures: Vec<(JobId, Failure)>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { on_failure: OnFailure::Stop, parallel: 1, order: Order::Queue }
    }
}

impl Processed {
    /// How many jobs succeeded, or the first failure.
    pub fn into_result(self) -> Result<usize, Failure> {
        self.failures.into_iter().next().map_or(Ok(self.succeeded), |(_, failure)| Err(failure))
    }
}

impl Queue {
    /// Attempts every job that is pending now, once each, in order; tells how many succeeded.
    ///
    /// Each success moves to the finished jobs. The first failure is returned: the job that failed stays pending in its
    /// place, those before it stay finished, those after it are untouched. A job that panics has failed. A job that is
    /// appended meanwhile waits for the next call; one that others remove or start meanwhile is passed over.
    ///
    /// [`process_with`](Self::process_with) goes about it in other ways.
    pub fn process(&self) -> Result<usize, Failure> {
        self.process_with(Policy::default()).into_result()
    }

    /// Attempts every job that is pending now, once each, as `policy` says.
    ///
    /// What the queue's own settings say of parallel jobs and failures is for workers and plays no part.
    pub fn process_with(&self, policy: Policy) -> Processed {
        let jobs = self.in_order(policy.order);
        let helpers = policy.parallel.min(jobs.len()).saturating_sub(1);
        let worker = Presence::join(self.site());
        let attempt = Attempt {
            queue: self,
            worker: worker.id,
            on_failure: policy.on_failure,
            progress: Mutex::new(Progress { left: jobs.into_iter(), processed: Processed::default() }),
        };
        thread::scope(|scope| {
            for _ in 0..helpers {
                // Where there can't be another thread, the others do its work.
                let _ = thread::Builder::new().spawn_scoped(scope, || attempt.work());
            }
            attempt.work();
        });
        attempt.progress.into_inner().unwrap_or_else(PoisonError::into_inner).processed
    }

    fn in_order(&self, order: Order) -> Vec<JobId> {
        match order {
            Order::Queue => self.read(|queue, _| queue.pending.iter().copied().collect()),
            Order::By(compare) => {
                let mut jobs = self.pending();
                jobs.sort_by(compare);
                jobs.into_iter().map(|job| job.id).collect()
            }
        }
    }
}

impl Job {
    /// Calls what the job calls, with its arguments.
    ///
    /// A success records the value and the time. A failure, which a panic is too, is recorded as [`Job::failure`] and
    /// leaves both as they were. A job in a queue is a copy here: the queue's own is called by [`Queue::process`].
    pub fn call(&mut self) -> Result<Option<Value>, Failure> {
        let attempt = self.attempts + 1;
        let (id, worker) = (RunId::default(), WorkerId::default());
        self.begin(Run { id, attempt, worker, started: Utc::now(), ending: None });
        let report = call(&self.definition);
        let then = if report.outcome == Outcome::Succeeded { Then::Finish } else { Then::Stay };
        self.end(&report, then, Utc::now());
        match report.outcome {
            Outcome::Succeeded => Ok(report.value),
            Outcome::Failed(failure) => Err(failure),
            other => Err(Failure::error(other.word())),
        }
    }
}

/// One attempt at the jobs of a queue, shared by its threads.
struct Attempt<'a> {
    queue: &'a Queue,
    worker: WorkerId,
    on_failure: OnFailure,
    progress: Mutex<Progress>,
}

struct Progress {
    left: vec::IntoIter<JobId>,
    processed: Processed,
}

impl Attempt<'_> {
    fn work(&self) {
        while let Some((job, run, definition)) = self.next() {
            self.report(job, run, call(&definition));
        }
    }

    /// Starts the next job that is still there to be started.
    fn next(&self) -> Option<(JobId, RunId, Arc<Definition>)> {
        let mut progress = self.progress();
        let stopped = self.on_failure == OnFailure::Stop && !progress.processed.failures.is_empty();
        if stopped { None } else { progress.left.find_map(|job| self.start(job)) }
    }

    fn start(&self, job: JobId) -> Option<(JobId, RunId, Arc<Definition>)> {
        let events = self.queue.submit(&Command::Start { worker: self.worker, job }, Utc::now()).ok()?;
        let started = |event: &Event| if let Event::Started { run, .. } = event { Some(run.id) } else { None };
        let run = events.iter().find_map(started)?;
        // While it runs, nobody changes or removes it.
        let definition = self.queue.read(|_, ledger| ledger.job(job).map(|job| Arc::clone(&job.definition)))?;
        Some((job, run, definition))
    }

    fn report(&self, job: JobId, run: RunId, report: Report) {
        let on_failure = Some(self.on_failure);
        let command = Command::Report { job, run, report: report.clone(), on_failure };
        // The count and the queue change together, so that nothing starts after a failure. A report is refused when
        // somebody has ended the run: then it is not ours to count.
        let mut progress = self.progress();
        if self.queue.submit(&command, Utc::now()).is_ok() {
            match report.outcome {
                Outcome::Succeeded => progress.processed.succeeded += 1,
                Outcome::Failed(failure) => progress.processed.failures.push((job, failure)),
                _ => {}
            }
        }
    }

    // Nothing can panic between two changes of it, so what a poisoned lock guards is sound.
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker of a site until it is dropped, however the caller leaves.
struct Presence<'a> {
    site: &'a Site,
    id: WorkerId,
}

impl<'a> Presence<'a> {
    fn join(site: &'a Site) -> Self {
        // It serves no queue: it starts what it names.
        let command = Command::Join { host: "localhost".to_owned(), pid: std::process::id(), queues: Some(Vec::new()) };
        let events = site.submit(&command, Utc::now()).unwrap_or_default();
        let id = events
            .iter()
            .find_map(|event| if let Event::WorkerJoined { worker } = event { Some(worker.id) } else { None });
        Self { site, id: id.unwrap_or_default() }
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        // Refused only if somebody has done it already.
        let _ = self.site.submit(&Command::Bury { worker: self.id, begun: Vec::new() }, Utc::now());
    }
}

/// Calls what a job calls, here and now.
fn call(definition: &Arc<Definition>) -> Report {
    match &definition.call {
        Call::Function(function) => {
            // What a panic leaves behind in the function's own state is the function's affair, as it is with a thread.
            let result = catch_unwind(AssertUnwindSafe(|| function.call(&definition.arguments)));
            result.unwrap_or_else(|panic| Err(panicked(panic.as_ref()))).into()
        }
        Call::Script(_) => scripted(definition),
    }
}

fn panicked(payload: &(dyn Any + Send)) -> Failure {
    let said = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    Failure::error(said.map_or_else(|| "panicked".to_owned(), |said| format!("panicked: {said}")))
}

/// Runs a script in the current directory and passes on what it prints.
fn scripted(definition: &Arc<Definition>) -> Report {
    let folder = env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let launch = Launch {
        definition: Arc::clone(definition),
        folder,
        env: Vec::new(),
        mark: None,
        value_file: None,
        terminal: Terminal::default(),
    };
    runner::run(launch, Box::new(PassedOn))
}

/// Output that goes where our own goes.
struct PassedOn;

impl Output for PassedOn {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        // That nobody reads it is no fault of the job.
        let _ = match stream {
            Stream::Out => io::stdout().write_all(bytes),
            Stream::Err => io::stderr().write_all(bytes),
        };
    }

    fn finish(self: Box<Self>) {
        let _ = io::stdout().flush();
    }
}
