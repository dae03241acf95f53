//! Starting claimed jobs, and hooks.

use std::fmt::Display;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{ActiveRun, EventLoop};
use crate::crash;
use crate::model::{Definition, Environment, ExecOptions, Job, JobId, RunId, input_variable};
use crate::runner::{Launch, Output, PtyOptions};
use crate::site::run_tag;
use crate::store::Store;
use crate::store::log::LogWriter;
use crate::text::sanitize_line;
use crate::worker::message::WorkerMessage;
use crate::worker::pending_start::{PendingStart, has_checks, not_started, stopped_before_start};
use crate::worker::pty::pty_options;
use crate::worker::run_log::{RunLog, SharedLog};
use crate::worker::setlist_variables;

/// How long to wait before launching a run or hook again for which the system had too few resources.
const LAUNCH_RETRY_INTERVAL: Duration = Duration::from_secs(1);

impl EventLoop {
    /// Starts a job that was claimed.
    pub(super) fn start_claimed(&mut self, store: &dyn Store, job: Job) {
        crash::point("claimed");
        let Some(run) = job.current_run() else { return };
        self.folders.remove_outdated(&job, || {
            let runs = store.new_connection().and_then(|mut store| store.runs(job.id)).ok()?;
            runs.into_iter().rev().find(|earlier| earlier.id != run)
        });
        let log = store.log_writer(run, log_limit(&job));
        let pty = pty_options(&job, run, store);
        self.launch(job, log, pty);
    }

    /// Launches the runs again for which the system had too few resources, if it is time to.
    pub(super) fn retry_deferred_launches(&mut self, store: &dyn Store) {
        if self.launch_retry_at.take_if(|at| *at <= Instant::now()).is_none() {
            return;
        }
        for run in mem::take(&mut self.deferred) {
            // Not even tried if one of them has failed again.
            if !self.deferred.is_empty() {
                self.deferred.push_back(run);
            } else if let Some(ActiveRun { job, .. }) = self.running.remove(&run) {
                let log = store.log_writer(run, log_limit(&job));
                let pty = pty_options(&job, run, store);
                self.launch(job, log, pty);
            }
        }
        self.is_delay_logged = !self.deferred.is_empty();
    }

    /// Stops the runs of which that was requested, all at once. Those that have not been launched end at once.
    pub(super) fn stop_requested_runs(&mut self) {
        let mut stops = mem::take(&mut self.requested_stops);
        stops.retain(|(run, _)| {
            let Some(at) = self.deferred.iter().position(|deferred| deferred == run) else {
                return !self.stop_checks(*run);
            };
            self.deferred.remove(at);
            if let Some(active) = self.running.get(run) {
                self.handle_run_end(active.job.id, *run, stopped_before_start());
            }
            false
        });
        self.runner.stop(&stops);
    }

    pub(super) fn launch(&mut self, job: Job, log: LogWriter, pty: PtyOptions) {
        let Some(run) = &job.last_run else { return };
        let (id, channel) = (job.id, self.sender.channel.clone());
        let prepared = self.environments.secrets_for(&job).and_then(|secrets| {
            let definition = job.definition_with_secrets(&secrets).map_err(|failure| failure.message)?;
            let environment = self.environments.load_for(&job)?;
            self.folders.create(&job, run)?;
            Ok((definition, environment, secrets))
        });
        let run = run.id;
        let (definition, environment, secrets) = match prepared {
            Ok(prepared) => prepared,
            Err(message) => {
                drop(channel.send(WorkerMessage::RunEnded(id, run, not_started(&message))));
                self.running.insert(run, ActiveRun::new(job));
                return;
            }
        };
        let Some(mut launch) = self.launch_of(&job, definition, environment, pty) else { return };
        launch.secrets = secrets.values().cloned().collect();
        launch.env.extend(secrets.into_iter().map(|(name, secret)| (input_variable(&name), secret.into())));
        let on_stall = move |since| drop(channel.send(WorkerMessage::StallChanged(id, run, since)));
        let log = RunLog::new(log, run, Box::new(on_stall));
        let pending = has_checks(&job);
        let mut active = ActiveRun::new(job);
        if pending {
            active.pending_start = Some(PendingStart::new(&active.job, launch, SharedLog::new(log)));
            self.running.insert(run, active);
            self.continue_start(run);
        } else {
            self.running.insert(run, active);
            self.launch_process(id, run, launch, Box::new(log));
        }
    }

    /// What a run launches.
    fn launch_of(
        &self,
        job: &Job,
        definition: Arc<Definition>,
        environment: Arc<Environment>,
        pty: PtyOptions,
    ) -> Option<Launch> {
        let run = job.last_run.as_deref()?;
        let value_file = self.paths.state.value_file(run.id);
        Some(Launch {
            definition,
            folder: self.paths.site_dir().to_owned(),
            environment: Some(environment),
            env: setlist_variables::run_variables(job, run, &self.paths, &self.tag_prefix, &value_file),
            secrets: Vec::new(),
            tag: Some(run_tag(&self.tag_prefix, run.id)),
            value_file: Some(value_file),
            pty,
        })
    }

    /// Starts the process of a run, or tries that again later.
    pub(super) fn launch_process(&mut self, job: JobId, run: RunId, launch: Launch, log: Box<dyn Output>) {
        let channel = self.sender.channel.clone();
        let done = move |report| drop(channel.send(WorkerMessage::RunEnded(job, run, report)));
        if let Err(error) = self.runner.launch(run, launch, log, Box::new(done)) {
            self.defer_launch(run, &error);
        }
    }

    /// Launches a run again later, from its first check on, because the system has too few resources.
    pub(super) fn defer_launch(&mut self, run: RunId, error: &dyn Display) {
        let Some(active) = self.running.get_mut(&run) else { return };
        active.pending_start = None;
        if !mem::replace(&mut self.is_delay_logged, true) {
            tracing::warn!("can't start {} yet: {error}; retrying", sanitize_line(&active.job.path()));
        }
        self.deferred.push_back(run);
        self.launch_retry_at = Some(Instant::now() + LAUNCH_RETRY_INTERVAL);
    }

    /// Starts the hooks of ended runs, as far as there is room for them.
    pub(super) fn start_hooks(&mut self) {
        if self.shutdown.is_some() {
            self.hooks.cancel_pending();
        }
        let channel = &self.sender.channel;
        let is_deferred = self.hooks.start(&self.runner, &self.paths, &self.tag_prefix, &mut self.environments, || {
            let channel = channel.clone();
            Box::new(move |slot, report, last_line| {
                drop(channel.send(WorkerMessage::HookEnded(slot, report, last_line)));
            })
        });
        if is_deferred {
            self.launch_retry_at.get_or_insert(Instant::now() + LAUNCH_RETRY_INTERVAL);
        }
    }
}

/// How many bytes of its output are kept.
pub(super) fn log_limit(job: &Job) -> u64 {
    job.script().map_or(ExecOptions::DEFAULT_LOG_LIMIT, |script| script.exec.log_limit)
}
