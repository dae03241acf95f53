//! Why no job is running although some are pending.

use chrono::{DateTime, Utc};
use ratatui::style::Style;

use crate::model::{QueueId, QueueMode, QueueState, SiteState, WaitReason, due_at};
use crate::text;
use crate::tui::action::Action;
use crate::tui::job_label::title_or_name;
use crate::tui::state::ScreenSettings;

/// The most pending jobs checked per frame to find out whether any could start.
const MAX_JOBS_CHECKED: usize = 64;

/// The most cells of a job's or a queue's name.
const MAX_NAME_WIDTH: usize = 24;

/// Why no job is running.
pub(super) struct IdleReason {
    /// The reason as a fragment of a sentence.
    pub(super) text: String,
    /// A style for the severity.
    pub(super) style: Style,
    /// Whether the text starts with the name of a job or a queue.
    starts_with_name: bool,
}

impl IdleReason {
    fn new(text: String, style: Style) -> Self {
        Self { text, style, starts_with_name: false }
    }

    fn with_name(text: String, style: Style) -> Self {
        Self { text, style, starts_with_name: true }
    }

    /// The reason as a sentence.
    pub(super) fn sentence(&self) -> String {
        match self.text.split_at_checked(1) {
            Some((first, rest)) if !self.starts_with_name => format!("{}{rest}.", first.to_ascii_uppercase()),
            _ => format!("{}.", self.text),
        }
    }
}

/// The queues whose jobs could be running.
#[derive(Clone, Copy)]
pub(super) struct IdleCheck<'a> {
    pub(super) settings: &'a ScreenSettings,
    pub(super) site: &'a SiteState,
    /// Whether a processing queue without a worker is reported.
    pub(super) reports_missing_worker: bool,
    pub(super) now: DateTime<Utc>,
}

impl IdleCheck<'_> {
    /// Whether a queue is processing without a worker, and that is reported.
    pub(super) fn lacks_worker(&self, queue: &QueueId) -> bool {
        self.reports_missing_worker && self.site.lacks_worker(queue)
    }

    /// Whether no worker is there for a schedule, and that is reported.
    pub(super) fn lacks_schedule_worker(&self) -> bool {
        self.reports_missing_worker && self.site.lacks_schedule_worker()
    }

    /// When a queue or one of its jobs is due next: `next at 02:00`.
    pub(super) fn next_due(&self, queue: &QueueId) -> Option<String> {
        let (due, state) = self.site.next_due_in(queue, self.now)?;
        Some(format!("next {}", due_at(due, state.schedule.shown_time(due), self.now)))
    }

    /// Why no job of a queue is running although some are pending. `None` if a job is
    /// running or about to start.
    pub(super) fn queue_reason(&self, id: &QueueId, queue: &QueueState) -> Option<IdleReason> {
        let theme = &self.settings.appearance.theme;
        let first = self.site.job(*queue.pending.front()?)?;
        if !queue.running.is_empty() {
            return None;
        }
        let process = self.settings.keymap.key(Action::Process);
        Some(match queue.mode {
            QueueMode::Idle if self.can_start(queue) => {
                IdleReason::new(format!("press {process} to process the queue"), theme.dim)
            }
            QueueMode::Paused => IdleReason::new(format!("paused; press {process} to continue"), theme.warning),
            QueueMode::Stopped => {
                IdleReason::new(format!("{}; press {process} to continue", self.site.stop_reason(id)), theme.failure)
            }
            QueueMode::Processing if self.lacks_worker(id) && self.site.waits_for_labels(id).is_none() => {
                IdleReason::new(format!("no worker; press {process} to start one"), theme.failure)
            }
            QueueMode::Processing | QueueMode::Idle => match self.site.wait_reason(first)? {
                WaitReason::FreeSlot => return None,
                waiting => {
                    let reason = Some(waiting.describe(self.now)).filter(|reason| !reason.is_empty())?;
                    let style = if matches!(waiting, WaitReason::Confirm) { theme.warning } else { theme.dim };
                    let name = self.short_name(&title_or_name(first));
                    let approve = match waiting {
                        WaitReason::Confirm => format!("; press {} on it", self.settings.keymap.key(Action::Copy)),
                        _ => String::new(),
                    };
                    let colon = if reason.starts_with("needs ") { "" } else { ":" };
                    IdleReason::with_name(format!("{name}{colon} {}{approve}", text::sanitize_line(&reason)), style)
                }
            },
        })
    }

    /// Why no job of any queue is running although some are pending. The most severe reason comes first.
    pub(super) fn site_reason(&self) -> Option<IdleReason> {
        let theme = &self.settings.appearance.theme;
        let queues = self.site.queues();
        if queues.iter().any(|(_, queue)| !queue.running.is_empty()) {
            return None;
        }
        let with_pending = || queues.iter().filter(|(_, queue)| !queue.pending.is_empty());
        let process = self.settings.keymap.key(Action::ProcessAll);
        if with_pending().any(|(id, _)| self.lacks_worker(id) && self.site.waits_for_labels(id).is_none()) {
            return Some(IdleReason::new(format!("no worker; press {process} to start one"), theme.failure));
        }
        let queues_in_mode = |mode, description: &str| {
            let in_mode = with_pending().filter(|(_, queue)| queue.mode == mode);
            let ids: Vec<&QueueId> = in_mode.map(|(id, _)| *id).collect();
            match ids[..] {
                [] => None,
                [id] if mode == QueueMode::Stopped => {
                    Some(format!("{} was {}", self.short_name(id.as_str()), self.site.stop_reason(id)))
                }
                [id] => Some(format!("{} is {description}", self.short_name(id.as_str()))),
                _ => Some(format!("{} are {description}", text::count_noun(ids.len(), "queue"))),
            }
        };
        let idle = || with_pending().any(|(_, queue)| queue.mode == QueueMode::Idle && self.can_start(queue));
        let stopped = queues_in_mode(QueueMode::Stopped, "stopped after a failure")
            .map(|reason| IdleReason::with_name(reason, theme.failure));
        let paused =
            || queues_in_mode(QueueMode::Paused, "paused").map(|reason| IdleReason::with_name(reason, theme.warning));
        stopped
            .or_else(paused)
            .or_else(|| idle().then(|| IdleReason::new(format!("press {process} to process all queues"), theme.dim)))
    }

    /// Whether a job of an idle queue could start if the queue were processed, judged by its next jobs.
    fn can_start(&self, queue: &QueueState) -> bool {
        let mut next = queue.pending.iter().take(MAX_JOBS_CHECKED).filter_map(|id| self.site.job(*id));
        queue.pending.len() > MAX_JOBS_CHECKED
            || next.any(|job| matches!(self.site.wait_reason(job), Some(WaitReason::QueueIdle | WaitReason::Confirm)))
    }

    fn short_name(&self, name: &str) -> String {
        text::fit(&text::sanitize_line(name), MAX_NAME_WIDTH, self.settings.appearance.symbols.ellipsis).into_owned()
    }
}
