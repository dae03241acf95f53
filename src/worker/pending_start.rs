//! A run whose job has not started: what has to be checked before.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::run_log::SharedLog;
use super::setlist_variables::SNAPSHOT;
use crate::model::{
    Call, Cause, CauseKind, ConditionKind, Conditions, Definition, Environment, ExecOptions, Failure, FailureKind, Job,
    Outcome, Program, RunReport, Script,
};
use crate::runner::{Launch, PtyOptions, Worktree, names_git_repository};
use crate::text;

/// A run whose job has not started, because its checks are not done.
pub(super) struct PendingStart {
    /// What to launch then.
    pub(super) launch: Launch,
    pub(super) log: SharedLog,
    /// Whether its snapshot has to be checked out.
    pub(super) makes_worktree: bool,
    /// The conditions that have not been evaluated.
    pub(super) conditions: VecDeque<(ConditionKind, Program)>,
    /// Where it runs in the worktree of its snapshot.
    pub(super) working_folder: Option<PathBuf>,
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
    /// A thread checks out its snapshot.
    Snapshot,
    /// A condition runs.
    Condition(ConditionKind),
    /// A thread observes the files.
    Files,
}

/// Whether a job has checks before it starts.
pub(super) fn has_checks(job: &Job) -> bool {
    let has_any = |exec: &ExecOptions| exec.files.is_some() || exec.conditions.is_some() || exec.snapshot.is_some();
    job.script().is_some_and(|script| has_any(&script.exec))
}

impl PendingStart {
    pub(super) fn new(job: &Job, launch: Launch, log: SharedLog) -> Self {
        let exec = job.script().map(|script| Arc::clone(&script.exec)).unwrap_or_default();
        let conditions = exec.conditions.as_deref().filter(|_| !job.is_forced());
        let conditions = conditions.into_iter().flat_map(Conditions::programs);
        Self {
            launch,
            log,
            makes_worktree: exec.snapshot.is_some(),
            conditions: conditions.map(|(kind, program)| (kind, program.clone())).collect(),
            working_folder: None,
            observes_files: exec.files.is_some(),
            step: CheckStep::Next,
            is_stopped: Arc::default(),
        }
    }

    /// From now on, it runs in this worktree: also its conditions, and its sources are looked for there.
    pub(super) fn enter(&mut self, worktree: &Worktree) {
        let definition = Arc::make_mut(&mut self.launch.definition);
        if let Call::Script(script) = &mut definition.call {
            script.exec_mut().cwd = Some(worktree.working_folder.clone());
        }
        self.working_folder = Some(worktree.working_folder.clone());
        self.launch.env.retain(|(name, _)| name != SNAPSHOT);
        self.launch.env.push((SNAPSHOT.to_owned(), worktree.snapshot.commit.as_str().into()));
        if let Some(environment) = &mut self.launch.environment
            && environment.variables.iter().any(|(name, _)| names_git_repository(name))
        {
            // Those of a hook of git, for example, which has made the request.
            Arc::make_mut(environment).variables.retain(|(name, _)| !names_git_repository(name));
        }
    }

    /// The launch of a condition: with the environment and in the folder of the job, but not in its terminal.
    pub(super) fn condition_launch(&self, exec: &ExecOptions, program: &Program) -> Launch {
        let options = ExecOptions {
            env: exec.env.clone(),
            env_files: exec.env_files.clone(),
            pass_env: exec.pass_env.clone(),
            secrets: exec.secrets.clone(),
            cwd: self.working_folder.clone().or_else(|| exec.cwd.clone()),
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
