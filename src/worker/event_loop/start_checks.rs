//! The checks of a run before its job starts: conditions, then whether the job is up to date. They are part of the run, so
//! that they can be cancelled like it, and never run on the thread of the event loop.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use super::{ActiveRun, EventLoop};
use crate::model::{JobId, ObservedFiles, Outcome, RunId, RunReport, SkipKind};
use crate::runner::{Launch, ObserveError, PtyOptions, observe_files, with_sigchld_blocked};
use crate::worker::condition::{ConditionAnswer, ConditionOutput, answer_of};
use crate::worker::message::WorkerMessage;
use crate::worker::pending_start::{CheckStep, PendingStart, not_started, stopped_before_start};

impl EventLoop {
    /// Does the next check of a run, or starts its job if all are done.
    pub(super) fn continue_start(&mut self, run: RunId) {
        let Some(active) = self.running.get_mut(&run).filter(|active| !active.is_ended) else { return };
        let Some(mut pending) = active.pending_start.take() else { return };
        let job = &active.job;
        if pending.is_stopped.load(Ordering::Relaxed) {
            return self.end_before_start(run, stopped_before_start());
        }
        let id = job.id;
        if mem::take(&mut pending.makes_worktree) {
            self.check_out(run, pending);
        } else if let Some((kind, program)) = pending.conditions.pop_front() {
            let Some(script) = job.script() else { return };
            let launch = pending.condition_launch(&script.exec, &program);
            let output = ConditionOutput::new(kind, pending.log.clone());
            let (tail, channel) = (output.tail(), self.sender.channel.clone());
            let done = move |report| {
                drop(channel.send(WorkerMessage::ConditionEnded(id, run, report, tail.last_line())));
            };
            pending.step = CheckStep::Condition(kind);
            active.pending_start = Some(pending);
            if let Err(error) = self.runner.launch(run, launch, Box::new(output), Box::new(done)) {
                self.defer_launch(run, &error);
            }
        } else if mem::take(&mut pending.observes_files) {
            self.observe(run, pending);
        } else {
            let (launch, log) = (pending.launch, pending.log);
            self.launch_process(id, run, launch, Box::new(log));
        }
    }

    /// Observes the sources and outputs of a job on a thread.
    fn observe(&mut self, run: RunId, mut pending: PendingStart) {
        let Some(active) = self.running.get_mut(&run) else { return };
        let Some(rules) = active.job.file_rules().cloned() else { return };
        // Without the values of secrets, which are not recorded in any form.
        let definition = active.job.filled_definition().unwrap_or_else(|_| Arc::clone(&active.job.definition));
        let inputs = active.job.last_run.as_deref().and_then(|run| run.inputs.as_deref());
        let command = definition.command_digest(&inputs.map(|got| got.inputs.clone()).unwrap_or_default());
        let (hashes, is_stopped) = (Arc::clone(&self.file_hashes), Arc::clone(&pending.is_stopped));
        // Only the definition, the folder and the environment count; the secrets are masked in an error.
        let launch = Launch {
            definition: Arc::clone(&pending.launch.definition),
            folder: pending.launch.folder.clone(),
            environment: pending.launch.environment.clone(),
            env: pending.launch.env.clone(),
            secrets: pending.launch.secrets.clone(),
            tag: None,
            value_file: None,
            pty: PtyOptions::default(),
        };
        pending.step = CheckStep::Files;
        active.pending_start = Some(pending);
        let sender = self.sender.clone();
        let observe = move || {
            let observed = observe_files(&launch, &rules, command, &hashes, &|| is_stopped.load(Ordering::Relaxed));
            sender.send(WorkerMessage::FilesObserved(run, observed));
        };
        let thread = thread::Builder::new().name("sources".to_owned());
        if let Err(error) = with_sigchld_blocked(|| thread.spawn(observe)) {
            self.defer_launch(run, &error);
        }
    }

    /// A condition has ended: the run is skipped, fails, or has its next check.
    pub(super) fn handle_condition_end(&mut self, job: JobId, run: RunId, report: RunReport, last_line: &str) {
        let Some(active) = self.running.get_mut(&run).filter(|active| !active.is_ended) else { return };
        let Some(pending) = &mut active.pending_start else { return };
        let CheckStep::Condition(kind) = mem::replace(&mut pending.step, CheckStep::Next) else { return };
        match answer_of(kind, &report, last_line) {
            ConditionAnswer::Run => self.continue_start(run),
            ConditionAnswer::Skip(reason) => {
                let skipped = Outcome::Skipped { reason: reason.into(), by: SkipKind::Condition };
                self.end_before_start(run, RunReport { usage: report.usage, ..RunReport::new(skipped) });
            }
            ConditionAnswer::Fail(message) => self.end_before_start(run, not_started(&message)),
            ConditionAnswer::Cancelled => {
                if let Some(pending) = active.pending_start.take() {
                    pending.log.close();
                }
                self.handle_run_end(job, run, report);
            }
        }
    }

    /// The files of a job were observed: it is up to date, or it runs.
    pub(super) fn handle_files_observed(&mut self, run: RunId, observed: Result<ObservedFiles, ObserveError>) {
        let Some(active) = self.running.get_mut(&run).filter(|active| !active.is_ended) else { return };
        let Some(pending) = &mut active.pending_start else { return };
        let CheckStep::Files = mem::replace(&mut pending.step, CheckStep::Next) else { return };
        let observed = match observed {
            Ok(observed) => observed,
            Err(ObserveError::Cancelled) => return self.end_before_start(run, stopped_before_start()),
            Err(ObserveError::Failed(message)) => return self.end_before_start(run, not_started(&message)),
        };
        let is_up_to_date =
            active.job.file_rules().is_some_and(|rules| active.job.stale_reasons(rules, &observed).is_empty());
        if is_up_to_date {
            let skipped = Outcome::Skipped { reason: "up to date".into(), by: SkipKind::UpToDate };
            return self.end_before_start(run, RunReport::new(skipped));
        }
        active.sources = Some(Box::new(observed.sources));
        self.continue_start(run);
    }

    /// Stops the checks of a run; returns whether the run has ended by that. A condition is stopped like a job.
    pub(super) fn stop_checks(&mut self, run: RunId) -> bool {
        let pending = self.running.get(&run).and_then(|active| active.pending_start.as_ref());
        let Some(pending) = pending else { return false };
        pending.is_stopped.store(true, Ordering::Relaxed);
        let ends = !matches!(pending.step, CheckStep::Condition(_));
        if ends {
            self.end_before_start(run, stopped_before_start());
        }
        ends
    }

    /// Ends a run whose job has not started.
    pub(super) fn end_before_start(&mut self, run: RunId, report: RunReport) {
        let Some(active) = self.running.get_mut(&run) else { return };
        if let Some(pending) = active.pending_start.take() {
            pending.log.close();
        }
        let job = active.job.id;
        self.handle_run_end(job, run, report);
    }
}

impl ActiveRun {
    /// Adds to the report of a success what the sources were before it started.
    pub(super) fn add_sources(&mut self, report: &mut RunReport) {
        if report.outcome == Outcome::Succeeded {
            report.sources = self.sources.take();
        }
    }
}
