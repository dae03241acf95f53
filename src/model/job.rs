//! A job: something callable with a title and arguments, what state it is in, and what came of it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Arguments, Call, Ending, Event, Failure, Hook, IntoCall, JobId, On, Outcome, QueueId, Report, Run, RunId, Script,
    Stop, Terms, Then,
};

/// A job. Its fields are read freely; inside a queue only events change it, through [`Job::apply`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its number, given by the queue that it is appended to.
    pub id: JobId,
    /// The queue that has it; `""` before it is appended to one.
    pub queue: QueueId,
    /// Where it stands in its queue: lower runs first.
    pub position: i64,
    /// What it calls, and how it is shown.
    pub definition: Arc<Definition>,
    /// Pending, running or finished.
    pub state: State,
    /// The jobs that it waits for: its definition's needs, found.
    #[serde(default, skip_serializing_if = "<[Needed]>::is_empty")]
    pub needs: Box<[Needed]>,
    /// How many runs it has had, with the one under way.
    pub attempts: u32,
    /// How many of them were over when it last became pending anew: retries are counted from there.
    #[serde(default)]
    pub earlier: u32,
    /// The latest run, with how it ended. Earlier ones are in the store.
    pub last_run: Option<Box<Run>>,
    /// What it returned; no value and an empty value differ.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::run::present")]
    pub value: Option<Value>,
    /// When it last finished executing; none before.
    pub executed: Option<DateTime<Utc>>,
    /// When it was added, or became pending again.
    pub enqueued: DateTime<Utc>,
}

/// What a job is: as written in `jobs.yaml`, added by hand, or made by [`Job::new`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Its name in the queue, for a job from `jobs.yaml`: `queue/name` finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// What people call it; `""` until set.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// What is called.
    pub call: Call,
    /// What is passed to it.
    #[serde(default = "Arguments::none", skip_serializing_if = "no_arguments")]
    pub arguments: Arc<Arguments>,
    /// What it waits for, and what follows a failure.
    #[serde(default = "Terms::none", skip_serializing_if = "no_terms")]
    pub terms: Arc<Terms>,
    /// For filters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// A fingerprint of the job's own entry in `jobs.yaml`: when it differs, the job was changed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<i64>,
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for its turn.
    Pending {
        /// Runs even though its queue is not processing: somebody asked for this very job.
        asked: bool,
        /// What it waits for besides its turn.
        #[serde(default, skip_serializing_if = "Wait::is_over")]
        wait: Wait,
    },
    /// Its latest run is under way.
    Running {
        /// Somebody asked for this very job.
        #[serde(default)]
        asked: bool,
        /// Somebody asked for it to stop.
        stop: Option<Stop>,
    },
    /// Done, well or badly.
    Finished {
        /// What came of it.
        outcome: Outcome,
        /// When it finished, executed or not.
        at: DateTime<Utc>,
    },
}

/// What a pending job waits for besides its turn. Who asks for the very job waives all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wait {
    /// Not all jobs that it needs have finished as they should.
    pub needs: bool,
    /// It is too early.
    pub until: Option<DateTime<Utc>>,
    /// A person has to confirm it.
    pub confirm: bool,
}

/// A job that another one needs, and how it has to finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needed {
    /// Which job.
    pub job: JobId,
    /// How it has to finish.
    #[serde(default)]
    pub on: On,
}

/// How near a pending job is to its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Turn {
    /// It needs other jobs, or a person's word.
    Held,
    /// Its time has not come.
    Timed {
        /// Whether somebody asked for it, so that it is tried again although its queue doesn't process.
        asked: bool,
    },
    /// It starts when there is room and its queue processes.
    Ready,
    /// It starts when there is room.
    Asked,
}

/// The state without its particulars: which pane a job is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waits for its turn.
    Pending,
    /// Runs now.
    Running,
    /// Done.
    Finished,
}

impl Job {
    /// A job that calls `call`: a closure without parameters, a closure of [`&Arguments`](Arguments), or a [`Script`].
    pub fn new<Kind>(call: impl IntoCall<Kind>) -> Self {
        Self::of(Definition::new(call))
    }

    /// A job with this definition, pending, in no queue yet.
    pub fn of(definition: impl Into<Arc<Definition>>) -> Self {
        Self {
            id: JobId::default(),
            queue: QueueId::from(""),
            position: 0,
            definition: definition.into(),
            state: State::Pending { asked: false, wait: Wait::default() },
            needs: Box::default(),
            attempts: 0,
            earlier: 0,
            last_run: None,
            value: None,
            executed: None,
            enqueued: DateTime::UNIX_EPOCH,
        }
    }

    /// With this title.
    #[must_use]
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.definition).title = title.into();
        self
    }

    /// With one more positional argument.
    #[must_use]
    pub fn arg(mut self, value: impl Into<Value>) -> Self {
        self.arguments_mut().args.push(value.into());
        self
    }

    /// With one more named argument.
    #[must_use]
    pub fn kwarg(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.arguments_mut().kwargs.insert(name.into(), value.into());
        self
    }

    /// What people call it; `""` until set.
    pub fn title(&self) -> &str {
        &self.definition.title
    }

    /// The title, or what stands in where there is none: the first line of the script, else the name.
    pub fn label(&self) -> String {
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

    /// How people refer to it: `queue/name`, or `queue/#7` for a job without a name.
    pub fn path(&self) -> String {
        match self.name() {
            Some(name) => format!("{}/{name}", self.queue),
            None => format!("{}/{}", self.queue, self.id),
        }
    }

    /// The script that it runs, if it is a scripted job.
    pub fn script(&self) -> Option<&Script> {
        match &self.definition.call {
            Call::Script(script) => Some(script),
            Call::Function(_) => None,
        }
    }

    /// What is run when it has finished, if anything is.
    pub fn hook(&self) -> Option<&Arc<Hook>> {
        self.script()?.setup.on_finish.as_ref()
    }

    /// Which pane it is in.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Pending { .. } => Phase::Pending,
            State::Running { .. } => Phase::Running,
            State::Finished { .. } => Phase::Finished,
        }
    }

    /// What came of it, once it is finished.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.state {
            State::Finished { outcome, .. } => Some(outcome),
            _ => None,
        }
    }

    /// Why its latest run failed, if it did; also for a job that went back to pending after that.
    pub fn failure(&self) -> Option<&Failure> {
        self.last_run.as_ref()?.ending.as_ref()?.outcome.failure()
    }

    /// The run under way, if the job runs.
    pub fn running(&self) -> Option<RunId> {
        match self.state {
            State::Running { .. } => self.last_run.as_ref().map(|run| run.id),
            _ => None,
        }
    }

    /// How near it is to its start, if it is pending.
    pub fn turn(&self) -> Option<Turn> {
        let State::Pending { asked, wait } = self.state else { return None };
        Some(match wait {
            Wait { needs: true, .. } | Wait { confirm: true, .. } => Turn::Held,
            Wait { until: Some(_), .. } => Turn::Timed { asked },
            _ if asked => Turn::Asked,
            _ => Turn::Ready,
        })
    }

    /// Which run since it last became pending anew is the latest: 1 for the first, 2 for its first retry; 0 before.
    pub fn attempt(&self) -> u32 {
        self.attempts.saturating_sub(self.earlier)
    }

    /// How many runs it may have until it is finished.
    pub fn max_attempts(&self) -> u32 {
        self.definition.terms.retry.max.saturating_add(1)
    }

    /// A run starts.
    pub(crate) fn begin(&mut self, run: Run) {
        let asked = matches!(self.state, State::Pending { asked: true, .. });
        self.attempts = run.attempt;
        self.last_run = Some(Box::new(run));
        self.state = State::Running { asked, stop: None };
    }

    /// The run under way has ended. A success records `value` and `executed`; a failure leaves the value as it was,
    /// and `executed` too when the job stays pending in its place.
    pub(crate) fn end(&mut self, report: &Report, then: Then, at: DateTime<Utc>) {
        if let Some(run) = &mut self.last_run {
            run.ending = Some(Ending { at, outcome: report.outcome.clone(), exit: report.exit });
        }
        if report.outcome == Outcome::Succeeded {
            self.value.clone_from(&report.value);
        }
        match then {
            Then::Finish => {
                self.executed = Some(at);
                self.state = State::Finished { outcome: report.outcome.clone(), at };
            }
            // Somebody has to process its queue anew, so a person is asked anew.
            Then::Stay => {
                let confirm = self.definition.terms.confirm.is_some();
                self.renew(false, Wait { confirm, ..Wait::default() }, at);
            }
            Then::Retry { at } => {
                let asked = matches!(self.state, State::Running { asked: true, .. });
                self.state = State::Pending { asked, wait: Wait { until: Some(at), ..Wait::default() } };
            }
        }
    }

    /// Changes the job as `event` says, if the event is about it.
    pub fn apply(&mut self, event: &Event, at: DateTime<Utc>) {
        match event {
            Event::Redefined { definition, needs, .. } => {
                self.definition = Arc::clone(definition);
                self.needs.clone_from(needs);
            }
            Event::Reopened { asked, wait, .. } => self.renew(*asked, *wait, at),
            Event::Waits { wait: now, .. } => {
                if let State::Pending { wait, .. } = &mut self.state {
                    *wait = *now;
                }
            }
            Event::Moved { position, .. } => self.position = *position,
            Event::Started { run, .. } => self.begin(run.clone()),
            Event::StopAsked { stop: how, .. } => {
                if let State::Running { stop, .. } = &mut self.state {
                    *stop = Some(*how);
                }
            }
            Event::Ended { report, then, .. } => self.end(report, *then, at),
            Event::Skipped { reason, .. } => {
                self.state = State::Finished { outcome: Outcome::Skipped { reason: reason.clone() }, at };
            }
            Event::Cancelled { .. } => self.state = State::Finished { outcome: Outcome::Cancelled, at },
            _ => {}
        }
    }

    fn arguments_mut(&mut self) -> &mut Arguments {
        Arc::make_mut(&mut Arc::make_mut(&mut self.definition).arguments)
    }

    /// It is pending anew: whatever it has been through counts no more.
    fn renew(&mut self, asked: bool, wait: Wait, at: DateTime<Utc>) {
        if self.phase() == Phase::Finished {
            self.enqueued = at;
        }
        self.earlier = self.attempts;
        self.state = State::Pending { asked, wait };
    }
}

impl Wait {
    /// What a job of these terms waits for that becomes pending now; that it needs others is found out later.
    pub fn fresh(terms: &Terms, now: DateTime<Utc>) -> Self {
        let until = terms.start_after(now).filter(|until| *until > now);
        Self { needs: false, until, confirm: terms.confirm.is_some() }
    }

    /// Whether there is nothing to wait for.
    pub fn is_over(&self) -> bool {
        *self == Self::default()
    }
}

impl Definition {
    /// Calls `call`; without title, arguments, name or tags.
    pub fn new<Kind>(call: impl IntoCall<Kind>) -> Self {
        Self {
            name: None,
            title: String::new(),
            call: call.into_call(),
            arguments: Arguments::none(),
            terms: Terms::none(),
            tags: Vec::new(),
            digest: None,
        }
    }
}

fn no_arguments(arguments: &Arguments) -> bool {
    arguments.is_empty()
}

fn no_terms(terms: &Terms) -> bool {
    terms.is_none()
}

/// Anything that can be appended to a queue: a [`Job`], or whatever a job can call.
pub trait IntoJob<Kind> {
    /// Makes it a job.
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
    /// The phase in one word, as it is printed and filtered by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Finished => "finished",
        }
    }
}
