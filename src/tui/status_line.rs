//! The status line: a short text about what happened last, shown for a while.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{JobId, QueueId, QueueMode};

const SHOWN_FOR: TimeDelta = TimeDelta::seconds(6);
const ERRORS_SHOWN_FOR: TimeDelta = TimeDelta::seconds(60);

/// The severity of a status text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// An action succeeded.
    Info,
    /// An action is unavailable or was refused.
    Warning,
    /// Something failed.
    Error,
}

/// The status text, if there is one.
#[derive(Clone, Debug, Default)]
pub struct StatusLine {
    shown: Option<StatusText>,
    subject: Option<Subject>,
}

/// What a status text is about; it is removed when that changes.
#[derive(Clone, Debug)]
enum Subject {
    /// The mode of these queues.
    Mode(Vec<QueueId>, QueueMode),
    /// The current run of a job.
    Run(JobId),
}

/// A status text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusText {
    /// The text.
    pub text: String,
    /// Its severity.
    pub severity: Severity,
    until: DateTime<Utc>,
}

impl StatusLine {
    /// The visible text.
    pub fn shown(&self) -> Option<&StatusText> {
        self.shown.as_ref()
    }

    /// Replaces the text. Errors are shown for longer.
    pub fn show(&mut self, severity: Severity, text: impl Into<String>, now: DateTime<Utc>) {
        let time = match severity {
            Severity::Info | Severity::Warning => SHOWN_FOR,
            Severity::Error => ERRORS_SHOWN_FOR,
        };
        self.show_until(severity, text, now + time);
    }

    /// Replaces the text until a time.
    pub fn show_until(&mut self, severity: Severity, text: impl Into<String>, until: DateTime<Utc>) {
        self.shown = Some(StatusText { text: text.into(), severity, until });
        self.subject = None;
    }

    /// Says that the text is about queues that are in this mode.
    pub fn set_subject(&mut self, queues: &[QueueId], mode: QueueMode) {
        self.subject = Some(Subject::Mode(queues.to_vec(), mode));
    }

    /// Says that the text is about the current run of this job.
    pub fn set_subject_run(&mut self, job: JobId) {
        self.subject = Some(Subject::Run(job));
    }

    /// Removes the text if it says that this queue is in another mode.
    pub fn clear_about(&mut self, queue: &QueueId, mode: QueueMode) {
        if matches!(&self.subject, Some(Subject::Mode(queues, said)) if *said != mode && queues.contains(queue)) {
            self.shown = None;
            self.subject = None;
        }
    }

    /// Removes the text if it is about the run of this job, which has ended.
    pub fn clear_about_run(&mut self, job: JobId) {
        if matches!(self.subject, Some(Subject::Run(about)) if about == job) {
            self.shown = None;
            self.subject = None;
        }
    }

    /// Removes the text unless it says that something failed.
    pub fn clear_unless_error(&mut self) {
        if self.shown.as_ref().is_some_and(|shown| shown.severity != Severity::Error) {
            self.clear();
        }
    }

    /// Removes this text, if it is shown.
    pub fn clear_text(&mut self, text: &str) {
        if self.shown.as_ref().is_some_and(|shown| shown.text == text) {
            self.clear();
        }
    }

    /// Removes the text.
    pub fn clear(&mut self) {
        self.shown = None;
    }

    /// Removes an expired text; returns when the current one expires.
    pub fn expire(&mut self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.shown.take_if(|text| text.until <= now);
        self.shown.as_ref().map(|text| text.until)
    }
}
