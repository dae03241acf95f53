//! The events that hooks follow, and how these are described to them.

use std::time::Duration;

use chrono::{DateTime, Local, Utc};

use crate::model::{Job, Overdue, QueueId, Run, RunId};
use crate::text::{self, sanitize_line};

/// What a hook follows.
#[derive(Debug)]
pub(super) enum HookEvent {
    /// A job has finished.
    Finished(Box<Job>),
    /// The run of a job has printed nothing since this time.
    Stalled { job: Box<Job>, since: DateTime<Utc>, silent: Duration },
    /// A job is overdue.
    OverdueJob { job: Box<Job>, overdue: Overdue, last_success: Option<DateTime<Utc>> },
    /// A queue is overdue.
    OverdueQueue { queue: QueueId, title: String, overdue: Overdue, last_success: Option<DateTime<Utc>> },
}

impl HookEvent {
    /// The field that holds the hook.
    pub(super) fn hook_name(&self) -> &'static str {
        match self {
            Self::Finished(_) => "on_finish",
            Self::Stalled { .. } => "on_stall",
            Self::OverdueJob { .. } | Self::OverdueQueue { .. } => "on_overdue",
        }
    }

    /// The event as one word.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Finished(_) => "finish",
            Self::Stalled { .. } => "stall",
            Self::OverdueJob { .. } | Self::OverdueQueue { .. } => "overdue",
        }
    }

    /// The job that it is about.
    pub(super) fn job(&self) -> Option<&Job> {
        match self {
            Self::Finished(job) | Self::Stalled { job, .. } | Self::OverdueJob { job, .. } => Some(job),
            Self::OverdueQueue { .. } => None,
        }
    }

    /// The queue that it is about, or that of the job.
    pub(super) fn queue(&self) -> &QueueId {
        match self {
            Self::Finished(job) | Self::Stalled { job, .. } | Self::OverdueJob { job, .. } => &job.queue,
            Self::OverdueQueue { queue, .. } => queue,
        }
    }

    /// The title of the job or the queue.
    pub(super) fn title(&self) -> String {
        match self {
            Self::OverdueQueue { queue, title, .. } if title.is_empty() => queue.to_string(),
            Self::OverdueQueue { title, .. } => title.clone(),
            _ => self.job().map(Job::display_title).unwrap_or_default(),
        }
    }

    /// The run that it is about.
    pub(super) fn run(&self) -> Option<&Run> {
        match self {
            Self::Finished(job) | Self::Stalled { job, .. } => job.last_run.as_deref(),
            Self::OverdueJob { .. } | Self::OverdueQueue { .. } => None,
        }
    }

    /// The run that has finished.
    pub(super) fn finished_run(&self) -> Option<RunId> {
        if let Self::Finished(job) = self { job.last_run.as_deref().map(|run| run.id) } else { None }
    }

    /// The job or queue, on one line.
    pub(super) fn path(&self) -> String {
        sanitize_line(&self.job().map_or_else(|| self.queue().to_string(), Job::path))
    }

    /// Since when the job is stalled or overdue.
    pub(super) fn since(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Finished(_) => None,
            Self::Stalled { since, .. } => Some(*since),
            Self::OverdueJob { overdue, .. } | Self::OverdueQueue { overdue, .. } => Some(overdue.expected),
        }
    }

    /// When what is overdue has succeeded last.
    pub(super) fn last_success(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::OverdueJob { last_success, .. } | Self::OverdueQueue { last_success, .. } => *last_success,
            _ => None,
        }
    }

    /// The event as a sentence, unless the other variables say it.
    pub(super) fn message(&self) -> Option<String> {
        match self {
            Self::Finished(_) => None,
            Self::Stalled { silent, .. } => {
                let silent = text::exact_duration(Duration::from_secs(silent.as_secs()));
                Some(format!("{} is stalled: no output for {silent}", self.path()))
            }
            Self::OverdueJob { overdue, last_success, .. } | Self::OverdueQueue { overdue, last_success, .. } => {
                let format = |time: DateTime<Utc>, format: &str| time.with_timezone(&Local).format(format).to_string();
                let minute = |time| format(time, "%Y-%m-%d %H:%M");
                // Two times within a minute would look equal.
                let is_close = last_success.is_some_and(|last| minute(last) == minute(overdue.expected));
                let local = |time| if is_close { format(time, "%Y-%m-%d %H:%M:%S") } else { minute(time) };
                let last =
                    last_success.map_or("none yet".to_owned(), |last| format!("the last was at {}", local(last)));
                Some(format!("{} is overdue: no success by {} ({last})", self.path(), local(overdue.expected)))
            }
        }
    }
}
