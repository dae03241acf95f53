//! A run whose job has not started: what has to be checked before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::run_log::SharedLog;
use crate::model::{
    Cause, CauseKind, ConditionKind, Conditions, Definition, Environment, ExecOptions, Failure, FailureKind, Job,
    Outcome, Program, RunReport, Script,
};
use crate::runner::{Launch, PtyOptions};
use crate::text;

/// A run whose job has not started, because its checks are not done.
pub(super) struct PendingStart {
    /// What to launch then.
    pub(super) launch: Launch,
    pub(super) log: SharedLog,
    /// The conditions that have not been evaluated.
    pub(super) conditions: VecDeque<(ConditionKind, Program)>,
    /// Whether its sources and outputs have to be observed.
    pub(super) observes_files: bool,
    pub(super) step: CheckStep,
    /// Its stop was requested.
    pub(super) is_stopped: Arc<AtomicBool>,
}

/// What is being checked.
pub(super) enum CheckStep {
    /// Nothing yet.
    Next,
    /// A condition runs.
    Condition(ConditionKind),
    /// A thread observes the files.
    Files,
}

/// Whether a job has checks before it starts.
pub(super) fn has_checks(job: &Job) -> bool {
    job.script().is_some_and(|script| script.exec.files.is_some() || script.exec.conditions.is_some())
}

impl PendingStart {
    pub(super) fn new(job: &Job, launch: Launch, log: SharedLog) -> Self {
        let exec = job.script().map(|script| Arc::clone(&script.exec)).unwrap_or_default();
        let conditions = exec.conditions.as_deref().filter(|_| !job.is_forced());
        let conditions = conditions.into_iter().flat_map(Conditions::programs);
        Self {
            launch,
            log,
            conditions: conditions.map(|(kind, program)| (kind, program.clone())).collect(),
            observes_files: exec.files.is_some(),
            step: CheckStep::Next,
            is_stopped: Arc::default(),
        }
    }

    /// The launch of a condition: with the environment and in the folder of the job, but not in its terminal.
    pub(super) fn condition_launch(&self, exec: &ExecOptions, program: &Program) -> Launch {
        let options = ExecOptions {
            env: exec.env.clone(),
            env_files: exec.env_files.clone(),
            pass_env: exec.pass_env.clone(),
            secrets: exec.secrets.clone(),
            cwd: exec.cwd.clone(),
            timeout: Some(exec.condition_timeout()),
            grace: exec.grace,
            limits: exec.limits,
            ..ExecOptions::default()
        };
        Launch {
            definition: Arc::new(Definition::new(Script::new(program.clone()).with_exec(options))),
            folder: self.launch.folder.clone(),
            environment: self.launch.environment.as_ref().map(Arc::<Environment>::clone),
            env: self.launch.env.clone(),
            secrets: self.launch.secrets.clone(),
            tag: self.launch.tag.clone(),
            value_file: None,
            pty: PtyOptions::default(),
        }
    }
}

/// The report of a run that was stopped before its job started.
pub(super) fn stopped_before_start() -> RunReport {
    let cause = Some(Box::new(Cause::new(CauseKind::StopRequested, "before it started")));
    RunReport { cause, ..RunReport::new(Outcome::Cancelled) }
}

/// The report of a run that could not start.
pub(super) fn not_started(message: &str) -> RunReport {
    let message = text::sanitize_line(message);
    let cause = Some(Box::new(Cause::new(CauseKind::NotStarted, message.clone())));
    RunReport { cause, ..RunReport::new(Outcome::Failed(Failure { kind: FailureKind::NotStarted, message }.into())) }
}
