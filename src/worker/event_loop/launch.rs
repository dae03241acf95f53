//! Starting claimed and reserved jobs.

use std::sync::Arc;
use std::time::Instant;

use super::{ActiveRun, Worker};
use crate::crash;
use crate::model::{Command, ExecOptions, Job, Run};
use crate::runner::{Launch, PtyOptions};
use crate::site::run_tag;
use crate::store::Store;
use crate::store::log::LogWriter;
use crate::worker::environment;
use crate::worker::message::WorkerMessage;
use crate::worker::pty::pty_options;
use crate::worker::reservations::ReservedJob;
use crate::worker::run_log::RunLog;

impl Worker {
    /// Starts a job that was claimed.
    pub(super) fn start_claimed(&mut self, store: &dyn Store, job: Job) {
        crash::point("claimed");
        let Some(run) = job.current_run() else { return };
        let log = store.log_writer(run, log_limit(&job));
        let pty = pty_options(&job, run, store);
        self.launch(job, log, pty);
    }

    /// Starts a reserved job in place of one that has just ended.
    pub(super) fn start_reserved(&mut self, reserved: ReservedJob) {
        let ReservedJob { mut job, run, log } = reserved;
        crash::point("reserved");
        if let Err(error) = self.lock.record_started(self.reservations.mark_started(run)) {
            // The job is still reserved. If the worker dies now, its reaper may take the job for a started one.
            tracing::error!(%error, "can't record the start of a reserved job");
            self.reservations.forget_start(run);
            self.reservations.stop_starting();
            self.freed_slots.push(job.queue);
            return;
        }
        job.start_run(Run { id: run, attempt: job.attempts + 1, worker: self.id, started: self.now, end: None });
        self.pending_commands.push((Command::StartReserved { worker: self.id, job: job.id, run }, self.now));
        self.launch(job, log, PtyOptions::default());
        crash::point("reserved-started");
    }

    pub(super) fn launch(&mut self, job: Job, log: LogWriter, pty: PtyOptions) {
        let Some(run) = &job.last_run else { return };
        let value_file = self.context.state.value_file(run.id);
        let launch = Launch {
            definition: Arc::clone(&job.definition),
            folder: self.context.site_dir().to_owned(),
            env: environment::run_variables(&job, run, &self.context, &self.tag_prefix, &value_file),
            tag: Some(run_tag(&self.tag_prefix, run.id)),
            value_file: Some(value_file),
            pty,
        };
        let (id, run, channel) = (job.id, run.id, self.sender.channel.clone());
        let done = move |report| drop(channel.send(WorkerMessage::RunEnded(id, run, report)));
        self.running.insert(run, ActiveRun { job, started: Instant::now(), is_ended: false });
        self.runner.launch(run, launch, Box::new(RunLog::new(log, run)), Box::new(done));
    }
}

/// How many bytes of its output are kept.
pub(super) fn log_limit(job: &Job) -> u64 {
    job.script().map_or(ExecOptions::DEFAULT_LOG_LIMIT, |script| script.exec.log_limit)
}
