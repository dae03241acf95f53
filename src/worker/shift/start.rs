//! Starting jobs: those that were claimed, and those that were reserved.

use std::sync::Arc;
use std::time::Instant;

use super::{Running, Shift, Wake};
use crate::crash;
use crate::model::{Command, Job, Run, Setup};
use crate::runner::{Launch, Terminal};
use crate::store::Store;
use crate::store::log::LogWriter;
use crate::worker::logged::Logged;
use crate::worker::stock::Ready;
use crate::worker::{environment, terminal};

impl Shift {
    /// Starts a job that was claimed.
    pub(super) fn start(&mut self, store: &dyn Store, job: Job) {
        crash::point("claimed");
        let Some(run) = job.running() else { return };
        let log = store.log_writer(run, log_limit(&job));
        let terminal = terminal::of(&job, run, store);
        self.launch(job, log, terminal);
    }

    /// Starts a job that is reserved, in place of one that has ended just now.
    pub(super) fn begin_next(&mut self, ready: Ready) {
        let Ready { mut job, run, log } = ready;
        crash::point("reserved");
        if let Err(error) = self.lock.note_begun(self.stock.begin(run)) {
            // It is reserved still; whoever finds the worker dead may take it for one that has begun.
            tracing::error!(%error, "what begins can't be noted");
            self.stock.disown(run);
            self.stock.give_up();
            self.freed.push(job.queue);
            return;
        }
        job.begin(Run { id: run, attempt: job.attempts + 1, worker: self.id, started: self.now, ending: None });
        self.reports.push((Command::Begin { worker: self.id, job: job.id, run }, self.now));
        self.launch(job, log, Terminal::default());
        crash::point("begun");
    }

    pub(super) fn launch(&mut self, job: Job, log: LogWriter, terminal: Terminal) {
        let Some(run) = &job.last_run else { return };
        let value_file = self.office.state.value(run.id);
        let launch = Launch {
            definition: Arc::clone(&job.definition),
            folder: self.office.home().to_owned(),
            env: environment::of(&job, run, &self.office, &value_file),
            mark: Some(environment::mark(self.id, run.id, &self.office)),
            value_file: Some(value_file),
            terminal,
        };
        let (id, run, wake) = (job.id, run.id, self.wakes.0.clone());
        let done = move |report| drop(wake.send(Wake::Ended(id, run, report)));
        self.running.insert(run, Running { job, since: Instant::now(), ended: false });
        self.runner.launch(run, launch, Box::new(Logged::new(log, run)), Box::new(done));
    }
}

/// How much of what the job prints is kept, in bytes.
pub(super) fn log_limit(job: &Job) -> u64 {
    job.script().map_or(Setup::DEFAULT_LOG_LIMIT, |script| script.setup.log_limit)
}
