//! Desktop notifications through the terminal (OSC 9): a job has failed, a queue has finished.

use std::collections::BTreeMap;
use std::io::{self, Write};

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
    /// The queues in which an approval may be due, and the job whose approval was due before.
    approvals: BTreeMap<QueueId, Option<JobId>>,
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
        if settings.drained
            && let Some(queue) = queue_of(event, before)
            && before.awaiting_approval(queue).next().is_some()
            && !self.approvals.contains_key(queue)
        {
            self.approvals.insert(queue.clone(), before.approvals_due(queue).next().map(|job| job.id));
        }
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
    pub(super) fn texts(&self, site_state: &SiteState) -> Vec<String> {
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
                _ if queue.pending.is_empty() => "is done",
                _ => "is idle",
            };
            let counts = [
                (queue.finished.len(), "finished"),
                (site_state.failed_count(id), "failed"),
                (queue.pending.len(), "pending"),
            ];
            let counts = counts.iter().filter(|(count, _)| *count > 0);
            let counts: Vec<String> = counts.map(|(count, word)| format!("{count} {word}")).collect();
            Some(format!("{id} {state}: {}", counts.join(", ")))
        });
        let approvals = self.approvals.iter().filter_map(|(queue, before)| {
            let job = site_state.approvals_due(queue).next().filter(|job| Some(job.id) != *before)?;
            let question = job.definition.scheduling.confirm.as_deref().unwrap_or_default();
            Some(format!("{} needs approval: {question}", job.path()))
        });
        let texts = failed.into_iter().chain(drained).chain(approvals);
        // A text that starts with a number could be read as a command of the terminal.
        texts
            .map(|line| {
                text::fit(&text::sanitize_line(&format!("setlist: {line}")), MAX_WIDTH, text::ELLIPSIS).into_owned()
            })
            .collect()
    }
}

/// The queue that an event is about.
fn queue_of<'a>(event: &'a Event, before: &'a SiteState) -> Option<&'a QueueId> {
    match event {
        Event::ModeChanged { queue, .. } | Event::QueueDefined { queue, .. } => Some(queue),
        Event::Added { job } | Event::Restored { job } => Some(&job.queue),
        event => before.job(event.job()?).map(|job| &job.queue),
    }
}

/// Shows a notification through the terminal (OSC 9); terminals without notifications ignore it.
pub(super) fn show(text: &str, terminal: &mut impl Write) -> io::Result<()> {
    let sequence = TerminalMultiplexer::of_this_process().wrapped(&format!("\x1b]9;{text}\x1b\\"));
    terminal.write_all(sequence.as_bytes())?;
    terminal.flush()
}
