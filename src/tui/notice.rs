//! The line that says what happened last, and for how long it is worth saying.

use chrono::{DateTime, TimeDelta, Utc};

/// How a message is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something was done.
    Done,
    /// Something can't be done, for this reason.
    Refused,
    /// Something is broken.
    Failed,
}

/// The message that is shown, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Notices {
    shown: Option<Notice>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What happened, in a line.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
    until: DateTime<Utc>,
}

impl Notices {
    /// The message that is shown.
    pub fn shown(&self) -> Option<&Notice> {
        self.shown.as_ref()
    }

    /// Says something in place of what was said before. What is broken is said for longer.
    pub fn say(&mut self, tone: Tone, text: impl Into<String>, now: DateTime<Utc>) {
        let seconds = match tone {
            Tone::Done | Tone::Refused => 6,
            Tone::Failed => 60,
        };
        self.say_until(tone, text, now + TimeDelta::seconds(seconds));
    }

    /// The same, with the time when it is no longer worth saying.
    pub fn say_until(&mut self, tone: Tone, text: impl Into<String>, until: DateTime<Utc>) {
        self.shown = Some(Notice { text: text.into(), tone, until });
    }

    /// Says nothing any more.
    pub fn clear(&mut self) {
        self.shown = None;
    }

    /// Forgets what is no longer worth saying; tells when there will be something to forget.
    pub fn expire(&mut self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.shown.take_if(|notice| notice.until <= now);
        self.shown.as_ref().map(|notice| notice.until)
    }
}
