//! The server of a site that is away. The screen shows the last state meanwhile, and refuses what needs the server.

use std::mem;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::text;

use super::effect::StoreRequest;

/// How long to wait before connecting again, at first and at most.
const MIN_RECONNECT_INTERVAL: Duration = Duration::from_secs(1);
const MAX_RECONNECT_INTERVAL: Duration = Duration::from_secs(5);

/// The server of the site can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerOutage {
    /// The name of the server.
    pub host: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Whether it is connected and doesn't answer; otherwise it can't be reached.
    pub is_silent: bool,
}

/// What a request does, if it needs the server for something that the user asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestKind {
    Changes,
    Reads,
}

impl StoreRequest {
    /// What the request does, if the user has asked for it and it needs the server.
    pub(super) fn kind(&self) -> Option<RequestKind> {
        match self {
            Self::Submit(_) | Self::SaveJob { .. } | Self::ReloadFile { .. } => Some(RequestKind::Changes),
            Self::FindAdjacentRun { .. }
            | Self::OpenRunsToCompare(..)
            | Self::FindRun { .. }
            | Self::FindArtifacts(_)
            | Self::SearchLogs(_) => Some(RequestKind::Reads),
            Self::OpenLog(_)
            | Self::Subscribe(_)
            | Self::LoadPeriod(_)
            | Self::LoadRuns(_)
            | Self::LoadDueTimes(_)
            | Self::SetWindowSize(_)
            | Self::LookAtUsage { .. }
            | Self::ReadChanges
            | Self::CheckWorkers => None,
        }
    }
}

impl ServerOutage {
    /// What the screen does about it, with the name of the server.
    pub(super) fn describe(&self) -> String {
        let what = if self.is_silent { "waiting for" } else { "reconnecting to" };
        format!("{what} {}", text::sanitize_line(&self.host))
    }

    /// What is said when it is over.
    pub(super) fn end_text(&self) -> String {
        let what = if self.is_silent { "answers" } else { "is connected" };
        format!("{} {what} again.", text::sanitize_line(&self.host))
    }

    /// Why requests are refused, as the beginning of a sentence.
    pub(super) fn reason(&self) -> String {
        let reason = if self.is_silent { "doesn't answer" } else { "can't be reached" };
        format!("{} {reason}", text::sanitize_line(&self.host))
    }

    /// What became of a request of the user.
    pub(super) fn refusal(&self, kind: RequestKind) -> String {
        match kind {
            RequestKind::Changes => format!("{}; nothing was changed.", self.reason()),
            RequestKind::Reads => format!("{}; try again later.", self.reason()),
        }
    }
}

/// An outage as the store thread knows it.
pub(super) struct CurrentOutage {
    outage: ServerOutage,
    retry_at: Instant,
    interval: Duration,
    /// What the screen waits for: the last request of each kind.
    postponed: Vec<StoreRequest>,
}

impl CurrentOutage {
    pub(super) fn new(outage: ServerOutage) -> Self {
        let interval = MIN_RECONNECT_INTERVAL;
        Self { outage, retry_at: Instant::now() + interval, interval, postponed: Vec::new() }
    }

    pub(super) fn outage(&self) -> &ServerOutage {
        &self.outage
    }

    /// When to connect again.
    pub(super) fn retry_at(&self) -> Instant {
        self.retry_at
    }

    /// Connecting has failed.
    pub(super) fn postpone_retry(&mut self) {
        self.interval = MAX_RECONNECT_INTERVAL.min(self.interval * 2);
        self.retry_at = Instant::now() + self.interval;
    }

    /// Keeps a request until the server is connected again, in place of an earlier one of its kind.
    pub(super) fn postpone(&mut self, request: StoreRequest) {
        self.postponed.retain(|other| mem::discriminant(other) != mem::discriminant(&request));
        self.postponed.push(request);
    }

    /// The postponed requests.
    pub(super) fn take_postponed(&mut self) -> Vec<StoreRequest> {
        mem::take(&mut self.postponed)
    }
}
