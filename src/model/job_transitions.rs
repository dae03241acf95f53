//! How a job changes: runs that start and end, and events that are applied to it.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{
    AfterRun, Approval, Event, Job, JobState, Outcome, Phase, RecordedSuccess, RequestInputs, Run, RunEnd, RunReport,
    SkipKind, SourceState, WaitConditions,
};

impl Job {
    /// Starts a run.
    pub(crate) fn start_run(&mut self, run: Run) {
        let (requested, forced) = match self.state {
            JobState::Pending { requested, wait } => (requested, wait.forced),
            _ => (false, false),
        };
        self.attempts = run.attempt;
        self.last_run = Some(Box::new(run));
        self.state = JobState::Running { requested, forced, stop: None };
    }

    /// Ends the current run. A success records `value` and `executed`. A failure leaves `value` unchanged, and also
    /// `executed` if the job stays pending.
    pub(crate) fn end_run(&mut self, report: &RunReport, after_run: AfterRun, at: DateTime<Utc>) {
        if let Some(run) = &mut self.last_run {
            run.stalled = None;
            if !report.unkept_limits.is_empty() {
                run.inputs.get_or_insert_default().unkept_limits.clone_from(&report.unkept_limits);
            }
            run.end = Some(RunEnd {
                at,
                outcome: report.outcome.clone(),
                exit: report.exit,
                cause: report.cause.clone(),
                usage: report.usage.clone(),
                value: None,
            });
        }
        if report.outcome == Outcome::Succeeded {
            self.value = report.value.clone().map(Box::new);
        }
        self.record_success(report, at);
        match after_run {
            AfterRun::Finish => {
                if report.outcome.skip_kind().is_none() {
                    self.executed = Some(at);
                }
                self.state = JobState::Finished { outcome: report.outcome.clone(), at };
            }
            // The queue has to be processed again, so approval is needed again.
            AfterRun::StayPending => {
                let confirm = self.definition.scheduling.confirm.is_some();
                self.make_pending(false, WaitConditions { confirm, ..WaitConditions::default() }, at);
                (self.environment, self.inputs) = (None, None);
            }
            AfterRun::Retry { at } => {
                let (requested, forced) = match self.state {
                    JobState::Running { requested, forced, .. } => (requested, forced),
                    _ => (false, false),
                };
                let wait = WaitConditions { until: Some(at), forced, ..WaitConditions::default() };
                self.state = JobState::Pending { requested, wait };
                if self.definition.scheduling.retry.is_free(report) {
                    self.prior_attempts = self.prior_attempts.saturating_add(1).min(self.attempts);
                }
            }
        }
    }

    /// Applies an event about this job.
    pub fn apply(&mut self, event: &Event, at: DateTime<Utc>) {
        match event {
            Event::Redefined { definition, needs, .. } => {
                self.definition = Arc::clone(definition);
                self.needs.clone_from(needs);
            }
            Event::Requeued { requested, wait, .. } => self.make_pending(*requested, *wait, at),
            Event::WaitChanged { wait: now, .. } => {
                if let JobState::Pending { wait, .. } = &mut self.state {
                    *wait = *now;
                }
            }
            Event::JobRequested { environment, inputs, .. } => {
                self.environment = Some(*environment);
                self.inputs.clone_from(inputs);
            }
            Event::SnapshotTaken { snapshot, .. } => {
                self.inputs = RequestInputs::with_snapshot(self.inputs.as_ref(), snapshot);
                if self.phase() == Phase::Running
                    && let Some(run) = &mut self.last_run
                {
                    run.inputs.get_or_insert_default().snapshot = Some(Arc::clone(snapshot));
                }
            }
            Event::Approved { approval, .. } => self.apply_approval(approval),
            Event::Moved { position, .. } => self.position = *position,
            Event::Started { run, .. } => self.start_run(run.clone()),
            Event::StopRequested { stop: signal, .. } => {
                if let JobState::Running { stop, .. } = &mut self.state {
                    *stop = Some(*signal);
                }
            }
            Event::StallChanged { since, .. } => {
                if let Some(run) = &mut self.last_run {
                    run.stalled = *since;
                }
            }
            Event::Ended { report, after_run, .. } => self.end_run(report, *after_run, at),
            Event::Skipped { reason, .. } => {
                self.state = JobState::Finished {
                    outcome: Outcome::Skipped { reason: reason.as_str().into(), by: SkipKind::Needs },
                    at,
                };
            }
            Event::Cancelled { .. } => self.state = JobState::Finished { outcome: Outcome::Cancelled, at },
            _ => {}
        }
    }

    /// Keeps what the sources of a success were. A run that did not succeed may have changed the outputs.
    fn record_success(&mut self, report: &RunReport, at: DateTime<Utc>) {
        match &report.outcome {
            Outcome::Succeeded => {
                let run = self.last_run.as_ref().map(|run| run.id).unwrap_or_default();
                let recorded =
                    |sources: &SourceState| RecordedSuccess { run, at, sources: sources.clone(), is_superseded: false };
                self.success = report.sources.as_deref().map(recorded).map(Box::new);
            }
            Outcome::Skipped { .. } => {}
            _ => {
                if let Some(success) = &mut self.success {
                    success.is_superseded = true;
                }
            }
        }
    }

    /// Records an approval or refusal. A refused job is cancelled.
    fn apply_approval(&mut self, approval: &Approval) {
        let JobState::Pending { wait, .. } = &mut self.state else { return };
        if approval.granted {
            wait.confirm = false;
        } else {
            self.state = JobState::Finished { outcome: Outcome::Cancelled, at: approval.at };
        }
        self.approval = Some(Box::new(approval.clone()));
    }

    /// Withdraws an explicit request: the job waits for its queue to be processed.
    pub(crate) fn withdraw_request(&mut self) {
        if let JobState::Pending { requested, .. } | JobState::Running { requested, .. } = &mut self.state {
            *requested = false;
        }
    }

    /// Makes the job pending, and restarts the count of attempts.
    fn make_pending(&mut self, requested: bool, wait: WaitConditions, at: DateTime<Utc>) {
        if self.phase() == Phase::Finished {
            self.enqueued = at;
            // Its last request has been fulfilled.
            (self.environment, self.inputs) = (None, None);
        }
        // An approval is for one pending period: a job that finished needs another one.
        if wait.confirm || self.phase() != Phase::Pending {
            self.approval = None;
        }
        self.prior_attempts = self.attempts;
        self.state = JobState::Pending { requested, wait };
    }
}
