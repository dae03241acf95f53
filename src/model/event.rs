//! What has happened to a site. Events are decided once and applied everywhere: to rows and to every copy.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Definition, Job, JobId, Needed, QueueId, Report, Run, RunId, Stop, Wait, WorkerId};

/// An event with its place in the order of all events of a site, and its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// 1 for a site's first event; no number is missing or used twice.
    pub seq: u64,
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// What happened.
    pub event: Event,
}

/// One change of a site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the sentence on each variant tells what its fields are")]
pub enum Event {
    /// A queue exists from now on, or its settings have changed.
    QueueDefined { queue: QueueId, settings: Settings },
    /// A queue began or ceased to process.
    ModeChanged { queue: QueueId, mode: Mode },
    /// A job was added.
    Added { job: Box<Job> },
    /// A job's definition changed.
    Redefined { job: JobId, definition: Arc<Definition>, needs: Box<[Needed]> },
    /// A job became pending anew, or somebody `asked` for it to run now.
    Reopened { job: JobId, asked: bool, wait: Wait },
    /// What a pending job waits for has changed: a job that it needs has finished, its time has come.
    Waits { job: JobId, wait: Wait },
    /// A job has another place in its queue.
    Moved { job: JobId, position: i64 },
    /// A run of a job started.
    Started { job: JobId, run: Run },
    /// Somebody asked for a running job to stop.
    StopAsked { job: JobId, run: RunId, stop: Stop },
    /// A run ended, and `then` says what becomes of the job.
    Ended { job: JobId, run: RunId, report: Report, then: Then },
    /// A pending job was cancelled.
    Cancelled { job: JobId },
    /// A pending job will not run: a job that it needs has not finished as it should.
    Skipped { job: JobId, reason: String },
    /// A job was taken out of its queue; its record is kept.
    Removed { job: JobId, by: Removal },
    /// A removed job was put back as it was, or into another queue.
    Restored { job: Box<Job> },
    /// A process that runs jobs has joined the site.
    WorkerJoined { worker: Worker },
    /// These jobs, and no others, are reserved for a worker from now on. One that starts is so no more.
    Reserved { worker: WorkerId, jobs: Vec<Reservation> },
    /// A worker has left, or was found dead.
    WorkerLeft { worker: WorkerId },
    /// The site's `jobs.yaml` was read in this version and is in force; with an empty stamp, no version is wholly in
    /// force, because a running job has still to change.
    FileRead { stamp: String },
}

/// What becomes of a job whose run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// It is finished.
    Finish,
    /// It stays pending in its place, and its queue stops (`on_failure: stop`).
    Stay,
    /// It runs again, not before this time.
    Retry {
        /// When.
        at: DateTime<Utc>,
    },
}

/// Who took a job out of its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Removal {
    /// Somebody did; it stays away until its entry in `jobs.yaml` changes.
    Hand,
    /// It is no longer in `jobs.yaml`; it is back when it stands there again.
    File,
    /// It finished so long ago that its queue doesn't keep it.
    Age,
}

/// A process that runs jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Its number.
    pub id: WorkerId,
    /// The machine that it is on.
    pub host: String,
    /// Its process number there.
    pub pid: u32,
    /// The queues that it serves; all of them where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<QueueId>>,
    /// The pending jobs that are reserved for it, in the order in which it starts them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserved: Vec<Reservation>,
}

/// A pending job that a worker may start at any moment, without asking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Which job.
    pub job: JobId,
    /// The number that its run has then.
    pub run: RunId,
}

/// How a queue goes about its jobs, as the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// What people call it; `""` until set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// How many of its jobs run at once, over all workers; at least 1.
    pub parallel: u32,
    /// What a failure does to the queue.
    pub on_failure: OnFailure,
    /// What is kept of what has finished.
    #[serde(skip_serializing_if = "Keep::is_default")]
    pub keep: Keep,
    /// Whether `jobs.yaml` names it.
    pub declared: bool,
    /// Its place among the queues, as in the file; queues that the file doesn't name come last, by name.
    pub order: u32,
}

/// How much of what has finished is kept. The latest run of a job that is in a queue is always kept; its output is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Keep {
    /// So many runs of each job; at least 1.
    pub runs: Option<u32>,
    /// Runs and, unless they stand in `jobs.yaml`, finished jobs of the last so many seconds.
    pub seconds: Option<u64>,
    /// So many bytes of output of all jobs of the queue together.
    pub bytes: Option<u64>,
}

/// What a failure does to the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The failed job finishes and the queue goes on.
    #[default]
    Continue,
    /// The failed job stays pending in its place and the queue stops: the core model's rule.
    Stop,
}

/// What a queue is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing starts unless asked for.
    #[default]
    Idle,
    /// Jobs start until nothing can.
    Processing,
    /// What runs may finish; nothing new starts.
    Paused,
    /// A failure stopped it (`on_failure: stop`).
    Stopped,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            title: String::new(),
            parallel: 1,
            on_failure: OnFailure::Continue,
            keep: Keep::default(),
            declared: false,
            order: u32::MAX,
        }
    }
}

impl Keep {
    /// What ended before this is too old; nothing is where all ages are kept.
    pub fn before(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let age = TimeDelta::try_seconds(i64::try_from(self.seconds?).ok()?)?;
        now.checked_sub_signed(age)
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Keep {
    /// A hundred runs of each job, of the last 90 days, and a gigabyte of output.
    fn default() -> Self {
        Self { runs: Some(100), seconds: Some(90 * 24 * 60 * 60), bytes: Some(1 << 30) }
    }
}

impl Worker {
    /// Whether it would start a job of this queue.
    pub fn serves(&self, queue: &QueueId) -> bool {
        self.queues.as_ref().is_none_or(|queues| queues.contains(queue))
    }

    /// Whether this job is reserved for it.
    pub fn reserves(&self, job: JobId) -> bool {
        self.reserved.iter().any(|reservation| reservation.job == job)
    }

    /// Whatever was reserved is so no more, once it has started. Tells whether it was.
    pub(crate) fn redeem(&mut self, job: JobId) -> bool {
        let before = self.reserved.len();
        self.reserved.retain(|reservation| reservation.job != job);
        self.reserved.len() < before
    }
}

impl Mode {
    /// The mode in one word, as it is stored, shown and printed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Processing => "processing",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl Event {
    /// The job it is about, if it is about one that exists already.
    pub fn job(&self) -> Option<JobId> {
        match self {
            Self::Redefined { job, .. }
            | Self::Reopened { job, .. }
            | Self::Waits { job, .. }
            | Self::Moved { job, .. }
            | Self::Started { job, .. }
            | Self::StopAsked { job, .. }
            | Self::Ended { job, .. }
            | Self::Cancelled { job }
            | Self::Skipped { job, .. }
            | Self::Removed { job, .. } => Some(*job),
            _ => None,
        }
    }
}
