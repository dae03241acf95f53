//! Jobs: their definition, state and results.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Approval, Arguments, Call, EnvironmentId, Failure, Hook, IntoCall, JobId, MatrixValues, Outcome, OutcomeCondition,
    PoolHold, QueueId, RecordedSuccess, RequestInputs, Run, RunEnd, RunId, SchedulingOptions, Script, StopSignal,
};

/// A job. Its fields are public for reading; in a queue, only events change it, through [`Job::apply`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its id, assigned when it is added to a queue.
    pub id: JobId,
    /// Its queue; `""` before it is added to one.
    pub queue: QueueId,
    /// Its position in the queue: lower runs first.
    pub position: i64,
    /// Its definition, which several jobs may share.
    pub definition: Arc<Definition>,
    /// Pending, running or finished.
    pub state: JobState,
    /// The needs of its definition, resolved to job ids.
    #[serde(default, skip_serializing_if = "<[ResolvedNeed]>::is_empty")]
    pub needs: Box<[ResolvedNeed]>,
    /// The number of its runs, including the current one.
    pub attempts: u32,
    /// How many of its runs preceded its last reset: retries are counted from there.
    #[serde(default, rename = "earlier")]
    pub prior_attempts: u32,
    /// Its latest run. Earlier runs are in the store.
    pub last_run: Option<Box<Run>>,
    /// The value that it returned. No value and an empty value differ.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::run::deserialize_present")]
    pub value: Option<Box<Value>>,
    /// When it last finished executing; `None` before.
    pub executed: Option<DateTime<Utc>>,
    /// When it was added, or became pending again.
    pub enqueued: DateTime<Utc>,
    /// The environment of the user who has requested it, or its queue. The record of a finished job keeps the id, not the
    /// environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentId>,
    /// What the user has given to it: values for the inputs of its queue, and a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Arc<RequestInputs>>,
    /// Who approved or refused it since it became pending, if it needs approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Box<Approval>>,
    /// Its last success, if it had sources or outputs then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<Box<RecordedSuccess>>,
}

/// What a job does: an entry in `jobs.yaml`, a job added by a user, or one created with [`Job::new`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Its name in the queue, for a job from `jobs.yaml`: `queue/name` refers to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// Its display title; `""` until set.
    #[serde(default, skip_serializing_if = "CompactString::is_empty")]
    pub title: CompactString,
    /// The function or script that it calls.
    pub call: Call,
    /// The arguments passed to the call.
    #[serde(default = "Arguments::shared_empty", skip_serializing_if = "no_arguments")]
    pub arguments: Arc<Arguments>,
    /// When it may start, and how it is retried.
    #[serde(
        rename = "terms",
        default = "SchedulingOptions::shared_default",
        skip_serializing_if = "is_default_scheduling"
    )]
    pub scheduling: Arc<SchedulingOptions>,
    /// Tags, used in filters.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub tags: Box<[String]>,
    /// The combination of a matrix that it was made for, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Arc<MatrixValues>>,
    /// A digest of its own entry in `jobs.yaml`; a different digest means that the entry changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<i64>,
    /// The definition that replaces this one when the current run ends: `jobs.yaml` changed during the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<Arc<Definition>>,
    /// Its entry was removed from `jobs.yaml`, and only its record is left.
    #[serde(default, rename = "gone", skip_serializing_if = "is_false")]
    pub is_removed_from_file: bool,
}

/// The state of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waiting to run.
    Pending {
        /// Whether it was requested explicitly, so that it runs even if its queue is not processing.
        #[serde(rename = "asked")]
        requested: bool,
        /// The conditions that must be met before it may start.
        #[serde(default, skip_serializing_if = "WaitConditions::is_default")]
        wait: WaitConditions,
    },
    /// Its latest run is in progress.
    Running {
        /// Whether it was requested explicitly.
        #[serde(default, rename = "asked")]
        requested: bool,
        /// Whether the request overrides needs and approval, also for its retries.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        forced: bool,
        /// The stop that was requested, if any.
        stop: Option<StopSignal>,
    },
    /// Finished, successfully or not.
    Finished {
        /// Its outcome.
        outcome: Outcome,
        /// When it finished, whether it was executed or not.
        at: DateTime<Utc>,
    },
}

/// What a pending job waits for besides a free slot, in this order: needs, time, approval. An explicit request overrides
/// the time; a forced one overrides all of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WaitConditions {
    /// Whether it waits for other jobs.
    pub needs: bool,
    /// The time before which it must not start.
    pub until: Option<DateTime<Utc>>,
    /// Whether it waits for approval.
    pub confirm: bool,
    /// Whether an explicit request overrides its needs and approval.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
}

/// A needed job, by id, and the outcome that is required of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedNeed {
    /// The needed job.
    pub job: JobId,
    /// The required outcome.
    #[serde(default)]
    pub on: OutcomeCondition,
}

/// How close a pending job is to its start, from farthest to closest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Readiness {
    /// It waits for other jobs or for approval.
    Blocked,
    /// It waits only for a time.
    Scheduled {
        /// Whether it was requested explicitly, so that it starts then even if its queue is not processing.
        requested: bool,
    },
    /// It starts when its queue is processing and has a free slot.
    Ready,
    /// It was requested explicitly, and starts when its queue has a free slot.
    Requested,
}

/// The state of a job without details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waiting to run.
    Pending,
    /// Running.
    Running,
    /// Finished.
    Finished,
}

impl Job {
    /// Forgets the variables of its definition, which may be secrets; returns whether there were any. Its entry in
    /// `jobs.yaml` brings them back.
    pub fn forget_env(&mut self) -> bool {
        self.environment = None;
        if self.definition.env().is_none_or(BTreeMap::is_empty) {
            return false;
        }
        if let Call::Script(script) = &mut Arc::make_mut(&mut self.definition).call {
            script.exec_mut().env.clear();
        }
        true
    }

    /// A job that calls `call`: a closure without parameters, a closure of [`&Arguments`](Arguments), or a [`Script`].
    pub fn new<Kind>(call: impl IntoCall<Kind>) -> Self {
        Self::from_definition(Definition::new(call))
    }

    /// A pending job with this definition, not yet in a queue.
    pub fn from_definition(definition: impl Into<Arc<Definition>>) -> Self {
        Self {
            id: JobId::default(),
            queue: QueueId::from(""),
            position: 0,
            definition: definition.into(),
            state: JobState::Pending { requested: false, wait: WaitConditions::default() },
            needs: Box::default(),
            attempts: 0,
            prior_attempts: 0,
            last_run: None,
            value: None,
            executed: None,
            enqueued: DateTime::UNIX_EPOCH,
            environment: None,
            inputs: None,
            approval: None,
            success: None,
        }
    }

    /// Sets the title.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<CompactString>) -> Self {
        Arc::make_mut(&mut self.definition).title = title.into();
        self
    }

    /// Adds a positional argument.
    #[must_use]
    pub fn arg(mut self, value: impl Into<Value>) -> Self {
        self.arguments_mut().args.push(value.into());
        self
    }

    /// Adds a named argument.
    #[must_use]
    pub fn kwarg(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.arguments_mut().kwargs.insert(name.into(), value.into());
        self
    }

    /// Its title; `""` until set.
    pub fn title(&self) -> &str {
        &self.definition.title
    }

    /// The title, or without one the first line of the script, or else the name.
    pub fn display_title(&self) -> String {
        match &self.definition.call {
            _ if !self.title().is_empty() => self.title().to_owned(),
            Call::Script(script) => script.first_line(),
            Call::Function(_) => self.name().unwrap_or_default().to_owned(),
        }
    }

    /// Its name in its queue, for a job from `jobs.yaml`.
    pub fn name(&self) -> Option<&str> {
        self.definition.name.as_deref()
    }

    /// Its path: `queue/name`, or `queue/#7` for a job without a name.
    pub fn path(&self) -> String {
        match self.name() {
            Some(name) => format!("{}/{name}", self.queue),
            None => format!("{}/{}", self.queue, self.id),
        }
    }

    /// Its script, if it calls one.
    pub fn script(&self) -> Option<&Script> {
        match &self.definition.call {
            Call::Script(script) => Some(script),
            Call::Function(_) => None,
        }
    }

    /// The hook that runs after it finishes, if any.
    pub fn hook(&self) -> Option<&Arc<Hook>> {
        self.script()?.exec.on_finish.as_ref()
    }

    /// Since when its current run prints nothing, if it is stalled.
    pub fn stalled_since(&self) -> Option<DateTime<Utc>> {
        self.last_run.as_deref().filter(|_| self.phase() == Phase::Running)?.stalled
    }

    /// Its phase.
    pub fn phase(&self) -> Phase {
        match self.state {
            JobState::Pending { .. } => Phase::Pending,
            JobState::Running { .. } => Phase::Running,
            JobState::Finished { .. } => Phase::Finished,
        }
    }

    /// Its outcome, if it is finished.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.state {
            JobState::Finished { outcome, .. } => Some(outcome),
            _ => None,
        }
    }

    /// The run whose duration, exit code and value are shown as the job's: its latest one. None if the job has become
    /// pending again since that run, unless it waits for a retry or stopped its queue.
    pub fn result_run(&self) -> Option<&Run> {
        let run = self.last_run.as_deref()?;
        if self.current_attempt() > 0 {
            return Some(run);
        }
        // A job that stopped its queue has not finished, and has not become pending again since the run ended.
        let has_stopped =
            |end: &RunEnd| end.outcome.failure().is_some() && self.executed != Some(end.at) && end.at >= self.enqueued;
        (self.phase() == Phase::Pending && run.end.as_ref().is_some_and(has_stopped)).then_some(run)
    }

    /// The value of [`result_run`](Self::result_run). Unlike [`value`](Self::value), which a failed call leaves as it was,
    /// there is none if that run has not succeeded.
    pub fn result_value(&self) -> Option<&Value> {
        let end = self.result_run()?.end.as_ref()?;
        self.value.as_deref().filter(|_| end.outcome.is_success())
    }

    /// Its latest run as part of its history, with the value that the run returned.
    pub fn last_run_with_value(&self) -> Option<Run> {
        let mut run = (**self.last_run.as_ref()?).clone();
        if let Some(end) = &mut run.end
            && end.outcome == Outcome::Succeeded
        {
            end.value.clone_from(&self.value);
        }
        Some(run)
    }

    /// Its runs as of when it was read, from `runs`, which were read after it and may tell more.
    pub fn runs_of_record(&self, mut runs: Vec<Run>) -> Vec<Run> {
        runs.retain(|run| self.last_run.as_ref().is_some_and(|last| run.id < last.id));
        runs.extend(self.last_run_with_value());
        runs
    }

    /// When [`result_run`](Self::result_run) finished the job. Unlike [`executed`](Self::executed), which a later refusal or
    /// cancellation leaves as it was, there is none if the job has not executed since it became pending.
    pub fn result_executed(&self) -> Option<DateTime<Utc>> {
        let end = self.result_run()?.end.as_ref()?;
        self.executed.filter(|executed| *executed == end.at)
    }

    /// Whether it has failed: it finished so, or it failed and is pending again because that stopped its queue.
    pub fn has_failed(&self) -> bool {
        match &self.state {
            JobState::Finished { outcome, .. } => outcome.failure().is_some(),
            JobState::Pending { .. } => self.current_attempt() == 0 && self.failure().is_some(),
            JobState::Running { .. } => false,
        }
    }

    /// The failure of its latest run, if that failed; also if the job waits for a retry or stopped its queue.
    pub fn failure(&self) -> Option<&Failure> {
        self.result_run()?.end.as_ref()?.outcome.failure()
    }

    /// Whether it failed or was interrupted when it ran last; also if it is pending again because it stopped its queue.
    pub fn last_run_failed(&self) -> bool {
        matches!(self.outcome(), Some(Outcome::Failed(_) | Outcome::Interrupted | Outcome::Unreachable { .. }))
            || (self.phase() == Phase::Pending && self.failure().is_some())
    }

    /// The current run, if the job is running.
    pub fn current_run(&self) -> Option<RunId> {
        match self.state {
            JobState::Running { .. } => self.last_run.as_ref().map(|run| run.id),
            _ => None,
        }
    }

    /// The units of pools that its current run holds.
    pub fn held_pools(&self) -> &[PoolHold] {
        let run = self.last_run.as_deref().filter(|_| self.phase() == Phase::Running);
        run.and_then(|run| run.inputs.as_deref()).map_or(&[], |inputs| &inputs.pools)
    }

    /// Its readiness, if it is pending.
    pub fn readiness(&self) -> Option<Readiness> {
        let JobState::Pending { requested, wait } = self.state else { return None };
        Some(match wait {
            WaitConditions { needs: true, .. } => Readiness::Blocked,
            WaitConditions { until: Some(_), .. } => Readiness::Scheduled { requested },
            WaitConditions { confirm: true, .. } => Readiness::Blocked,
            _ if requested => Readiness::Requested,
            _ => Readiness::Ready,
        })
    }

    /// Whether it is pending or running because of an explicit request.
    pub fn is_requested(&self) -> bool {
        matches!(self.state, JobState::Pending { requested: true, .. } | JobState::Running { requested: true, .. })
    }

    /// Whether it is pending and waits for nothing but approval.
    pub fn awaits_approval(&self) -> bool {
        matches!(
            self.state,
            JobState::Pending { wait: WaitConditions { needs: false, until: None, confirm: true, .. }, .. }
        )
    }

    /// The number of its latest run since its last reset: 0 before the first, 2 for the first retry.
    pub fn current_attempt(&self) -> u32 {
        self.attempts.saturating_sub(self.prior_attempts)
    }

    /// The maximum number of runs until it finishes.
    pub fn max_attempts(&self) -> u32 {
        self.definition.scheduling.retry.max.saturating_add(1)
    }

    fn arguments_mut(&mut self) -> &mut Arguments {
        Arc::make_mut(&mut Arc::make_mut(&mut self.definition).arguments)
    }
}

impl WaitConditions {
    /// The conditions of a job with these options that becomes pending now. Its needs are evaluated later.
    pub fn initial(options: &SchedulingOptions, now: DateTime<Utc>) -> Self {
        let until = options.earliest_start(now).filter(|until| *until > now);
        Self { needs: false, until, confirm: options.confirm.is_some(), forced: false }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether all conditions are met.
    pub fn is_met(&self) -> bool {
        !self.needs && self.until.is_none() && !self.confirm
    }
}

impl Definition {
    /// The variables that are set for its script; none for a function.
    pub fn env(&self) -> Option<&BTreeMap<String, Option<String>>> {
        match &self.call {
            Call::Script(script) => Some(&script.exec.env),
            Call::Function(_) => None,
        }
    }

    /// Whether it has sources or outputs, which decide whether it is up to date.
    pub(super) fn has_file_rules(&self) -> bool {
        matches!(&self.call, Call::Script(script) if script.exec.files.is_some())
    }

    /// Whether it is an entry of `jobs.yaml`, also in its present version.
    pub fn is_in_file(&self) -> bool {
        self.digest.is_some() && !self.is_removed_from_file
    }

    /// The entry and the item that it was made for, if it is an item that is not a map.
    pub(super) fn item(&self) -> Option<(&str, &str)> {
        let values = self.matrix.as_deref().filter(|values| values.is_item)?;
        Some((&values.entry, values.get("item")?))
    }

    /// A definition that calls `call`, without title, arguments, name or tags.
    pub fn new<Kind>(call: impl IntoCall<Kind>) -> Self {
        Self {
            name: None,
            title: CompactString::default(),
            call: call.into_call(),
            arguments: Arguments::shared_empty(),
            scheduling: SchedulingOptions::shared_default(),
            tags: Box::default(),
            matrix: None,
            digest: None,
            replacement: None,
            is_removed_from_file: false,
        }
    }

    /// Whether it runs the same as `other`: the same program with the same arguments, environment, working directory,
    /// standard input and terminal. Other fields, such as the title, the priority or the timeout, don't matter.
    pub fn runs_same_as(&self, other: &Self) -> bool {
        let same_call = match (&self.call, &other.call) {
            (Call::Script(a), Call::Script(b)) => a.program == b.program && a.exec.runs_same_as(&b.exec),
            (a, b) => a == b,
        };
        // A file that has arrived again, and a map with other values, are another item under the same key.
        let same_item = match (&self.matrix, &other.matrix) {
            (Some(a), Some(b)) if a.is_item && b.is_item => a.version == b.version && a.values == b.values,
            _ => true,
        };
        same_call && same_item && self.arguments == other.arguments
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

fn no_arguments(arguments: &Arguments) -> bool {
    arguments.is_empty()
}

fn is_default_scheduling(options: &SchedulingOptions) -> bool {
    options.is_default()
}

/// Anything that can be appended to a queue: a [`Job`], or anything that a job can call.
pub trait IntoJob<Kind> {
    /// Converts it into a job.
    fn into_job(self) -> Job;
}

impl IntoJob<Job> for Job {
    fn into_job(self) -> Job {
        self
    }
}

impl<C, Kind> IntoJob<(Kind,)> for C
where
    C: IntoCall<Kind>,
{
    fn into_job(self) -> Job {
        Job::new(self)
    }
}

impl Phase {
    /// The phase as one word, as printed and used in filters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Finished => "finished",
        }
    }
}
