//! Desktop notifications through the terminal (OSC 9): a job has failed, a queue has finished.

use std::io::{self, Write};

use chrono::{DateTime, Utc};

use crate::model::{AfterRun, Event, Job, JobId, Outcome, QueueId, QueueMode, SiteState};

use super::clipboard::TerminalMultiplexer;
use crate::text;

/// Which notifications to show. By default none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotificationSettings {
    /// A job has failed and is not retried.
    pub failed: bool,
    /// A queue has finished processing.
    pub drained: bool,
}

/// The notifications for a batch of events.
#[derive(Debug, Default)]
pub(super) struct PendingNotifications {
    failed: Vec<(JobId, String)>,
    drained: Vec<QueueId>,
}

/// The maximum width of a notification in cells.
const MAX_WIDTH: usize = 120;

impl NotificationSettings {
    /// Whether any notification is enabled.
    pub(super) fn is_enabled(self) -> bool {
        self.failed || self.drained
    }
}

impl PendingNotifications {
    /// Adds the notification for an event; `before` is the site before the event.
    pub(super) fn add_event(&mut self, event: &Event, settings: NotificationSettings, before: &SiteState) {
        match event {
            Event::Ended { job, report, after_run: AfterRun::Finish | AfterRun::StayPending, .. }
                if settings.failed =>
            {
                let why = match &report.outcome {
                    Outcome::Failed(failure) => failure.message.as_str(),
                    Outcome::Interrupted | Outcome::Unreachable { .. } => "interrupted",
                    _ => return,
                };
                self.failed.push((*job, why.to_owned()));
            }
            Event::ModeChanged { queue, mode: QueueMode::Idle | QueueMode::Stopped }
                if settings.drained && before.queue(queue).is_some_and(|queue| queue.mode == QueueMode::Processing) =>
            {
                self.drained.push(queue.clone());
            }
            _ => {}
        }
    }

    /// The texts of the notifications: one for all failures, and one for each queue.
    pub(super) fn texts(&self, site_state: &SiteState, now: DateTime<Utc>) -> Vec<String> {
        let failed = match &self.failed[..] {
            [] => None,
            [(id, why)] => {
                let job = site_state.job(*id).map_or_else(|| id.to_string(), Job::path);
                Some(format!("{job} failed: {why}"))
            }
            several => Some(format!("{} failed", text::count_noun(several.len(), "job"))),
        };
        let drained = self.drained.iter().filter_map(|id| {
            let queue = site_state.queue(id)?;
            let state = match queue.mode {
                QueueMode::Stopped => "has stopped",
                _ if site_state.approvals_due(id, now).next().is_some() => "needs approval",
                _ if queue.pending.is_empty() => "is done",
                _ => "is idle",
            };
            let counts =
                [(queue.finished.len(), "finished"), (queue.failed, "failed"), (queue.pending.len(), "pending")];
            let counts = counts.iter().filter(|(count, _)| *count > 0);
            let counts: Vec<String> = counts.map(|(count, word)| format!("{count} {word}")).collect();
            Some(format!("{id} {state}: {}", counts.join(", ")))
        });
        let texts = failed.into_iter().chain(drained);
        // A text that starts with a number could be read as a command of the terminal.
        texts
            .map(|line| {
                text::fit(&text::plain_line(&format!("setlist: {line}")), MAX_WIDTH, text::ELLIPSIS).into_owned()
            })
            .collect()
    }
}

/// Shows a notification through the terminal (OSC 9); terminals without notifications ignore it.
pub(super) fn show(text: &str, terminal: &mut impl Write) -> io::Result<()> {
    let sequence = TerminalMultiplexer::of_this_process().wrapped(&format!("\x1b]9;{text}\x1b\\"));
    terminal.write_all(sequence.as_bytes())?;
    terminal.flush()
}
