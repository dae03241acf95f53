//! How a job changes: runs that start and end, and events that are applied to it.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{AfterRun, Event, Job, JobState, Outcome, Phase, Run, RunEnd, RunReport, WaitConditions};

impl Job {
    /// Starts a run.
    pub(crate) fn start_run(&mut self, run: Run) {
        let requested = matches!(self.state, JobState::Pending { requested: true, .. });
        self.attempts = run.attempt;
        self.last_run = Some(Box::new(run));
        self.state = JobState::Running { requested, stop: None };
    }

    /// Ends the current run. A success records `value` and `executed`. A failure leaves `value` unchanged, and also
    /// `executed` if the job stays pending.
    pub(crate) fn end_run(&mut self, report: &RunReport, then: AfterRun, at: DateTime<Utc>) {
        if let Some(run) = &mut self.last_run {
            run.end = Some(RunEnd { at, outcome: report.outcome.clone(), exit: report.exit, value: None });
        }
        if report.outcome == Outcome::Succeeded {
            self.value.clone_from(&report.value);
        }
        match then {
            AfterRun::Finish => {
                self.executed = Some(at);
                self.state = JobState::Finished { outcome: report.outcome.clone(), at };
            }
            // The queue has to be processed again, so confirmation is needed again.
            AfterRun::StayPending => {
                let confirm = self.definition.scheduling.confirm.is_some();
                self.make_pending(false, WaitConditions { confirm, ..WaitConditions::default() }, at);
                self.environment = None;
            }
            AfterRun::Retry { at } => {
                let requested = matches!(self.state, JobState::Running { requested: true, .. });
                self.state = JobState::Pending {
                    requested,
                    wait: WaitConditions { until: Some(at), ..WaitConditions::default() },
                };
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
            Event::JobRequested { environment, .. } => self.environment = Some(*environment),
            Event::Moved { position, .. } => self.position = *position,
            Event::Started { run, .. } => self.start_run(run.clone()),
            Event::StopRequested { stop: how, .. } => {
                if let JobState::Running { stop, .. } = &mut self.state {
                    *stop = Some(*how);
                }
            }
            Event::Ended { report, after_run, .. } => self.end_run(report, *after_run, at),
            Event::Skipped { reason, .. } => {
                self.state = JobState::Finished { outcome: Outcome::Skipped { reason: reason.clone() }, at };
            }
            Event::Cancelled { .. } => self.state = JobState::Finished { outcome: Outcome::Cancelled, at },
            _ => {}
        }
    }

    /// Makes the job pending, and restarts the count of attempts.
    fn make_pending(&mut self, requested: bool, wait: WaitConditions, at: DateTime<Utc>) {
        if self.phase() == Phase::Finished {
            self.enqueued = at;
            // Its last request has been fulfilled.
            self.environment = None;
        }
        self.prior_attempts = self.attempts;
        self.state = JobState::Pending { requested, wait };
    }
}
