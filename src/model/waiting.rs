//! Why a pending job has not started, for people to read.

use std::fmt::Write;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::needs::{Standing, standing};
use super::{Job, Ledger, Mode, Phase, State, Wait};

/// What a pending job waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Other jobs; their paths, those of the same queue without it.
    Needs(Vec<String>),
    /// Nothing that will come: a job that it needs has not finished as it should. It is skipped when its queue is
    /// processed.
    Lost(String),
    /// A person's word.
    Confirm,
    /// A time.
    Time(DateTime<Utc>),
    /// The time of its next attempt.
    Retry {
        /// Which attempt that is.
        attempt: u32,
        /// How many it may have.
        of: u32,
        /// When.
        at: DateTime<Utc>,
    },
    /// Its queue is paused.
    Paused,
    /// Its queue was stopped by a failure.
    Stopped,
    /// Room in its queue, or those before it.
    Turn,
    /// Somebody who processes its queue.
    Process,
}

impl Ledger {
    /// What a job of this site waits for, if it is pending.
    pub fn waiting(&self, job: &Job) -> Option<Waiting> {
        let State::Pending { asked, wait } = job.state else { return None };
        let mode = self.queue(&job.queue)?.mode;
        Some(match wait {
            Wait { needs: true, .. } => self.needs(job),
            Wait { confirm: true, .. } => Waiting::Confirm,
            Wait { until: Some(at), .. } if job.attempt() > 0 => {
                Waiting::Retry { attempt: job.attempt() + 1, of: job.max_attempts(), at }
            }
            Wait { until: Some(at), .. } => Waiting::Time(at),
            _ => match mode {
                Mode::Paused => Waiting::Paused,
                _ if asked => Waiting::Turn,
                Mode::Processing => Waiting::Turn,
                Mode::Stopped => Waiting::Stopped,
                Mode::Idle => Waiting::Process,
            },
        })
    }

    fn needs(&self, job: &Job) -> Waiting {
        if let Ok(Standing::Lost(reason)) = standing(self, job) {
            return Waiting::Lost(reason);
        }
        let open = job.needs.iter().filter_map(|need| self.job(need.job));
        let open = open.filter(|needed| needed.phase() != Phase::Finished);
        let name = |needed: &Job| match needed.name() {
            Some(name) if needed.queue == job.queue => name.to_owned(),
            None if needed.queue == job.queue => needed.id.to_string(),
            _ => needed.path(),
        };
        Waiting::Needs(open.map(name).collect())
    }
}

impl Waiting {
    /// The reason in one word, which never changes.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Needs(_) => "needs",
            Self::Lost(_) => "lost",
            Self::Confirm => "confirm",
            Self::Time(_) => "time",
            Self::Retry { .. } => "retry",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Turn => "turn",
            Self::Process => "process",
        }
    }

    /// Before when the job doesn't start.
    pub fn until(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Time(at) | Self::Retry { at, .. } => Some(*at),
            _ => None,
        }
    }

    /// The reason in a few words: `needs e2e`, `in 8s`, `retry 2/3 in 8s`. Empty when it is plain.
    pub fn words(&self, now: DateTime<Utc>) -> String {
        match self {
            Self::Needs(jobs) => match &jobs[..] {
                [first, rest @ ..] => {
                    let mut words = format!("needs {first}");
                    if !rest.is_empty() {
                        // Writing to text can't fail.
                        let _ = write!(words, " +{}", rest.len());
                    }
                    words
                }
                [] => "needs others".to_owned(),
            },
            Self::Lost(reason) => reason.clone(),
            Self::Confirm => "asks first".to_owned(),
            Self::Time(at) => from(*at, now),
            Self::Retry { attempt, of, at } => format!("retry {attempt}/{of} {}", from(*at, now)).trim_end().to_owned(),
            Self::Paused => "paused".to_owned(),
            Self::Stopped => "stopped".to_owned(),
            Self::Turn => "next".to_owned(),
            Self::Process => String::new(),
        }
    }
}

/// `in 8s`; nothing when the time has come.
fn from(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let Ok(left) = (at - now).to_std() else { return String::new() };
    // Whole seconds, rounded up: what is `in 0s` has come.
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    if seconds == 0 { String::new() } else { format!("in {}", span(Duration::from_secs(seconds))) }
}

/// The two largest units: `8s`, `5m 3s`, `2h 5m`, `3d 4h`.
fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let two = |large: u64, unit: &str, small: u64, smaller: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit} {small}{smaller}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => two(minutes, "m", seconds % 60, "s"),
        (0, hours, minutes) => two(hours, "h", minutes, "m"),
        (days, hours, _) => two(days, "d", hours, "h"),
    }
}
