//! The store thread while the server of the site is away: requests are answered at once, and it connects again by itself.

use std::time::Instant;

use chrono::{DateTime, Utc};

use super::StoreThread;
use crate::clock;
use crate::site::SiteError;
use crate::store::StoreError;
use crate::tui::effect::{Intent, StoreRequest, Submission};
use crate::tui::message::{Message, Reply};
use crate::tui::server_outage::{CurrentOutage, RequestKind, ServerOutage};

impl StoreThread {
    /// When to connect again, while the server is away.
    pub(super) fn reconnect_at(&self) -> Option<Instant> {
        self.outage.as_ref().map(CurrentOutage::retry_at)
    }

    /// Reports an error: once, if it is that the server is away.
    pub(super) fn report_error(&mut self, error: &StoreError) {
        if !self.begin_outage(error) {
            self.send(Message::Error(error.to_string()));
        }
    }

    pub(super) fn report_site_error(&mut self, error: &SiteError) {
        match error {
            SiteError::Store(error) => self.report_error(error),
            error => self.send(Message::Error(error.to_string())),
        }
    }

    /// Remembers that the server is away, if the error says so.
    fn begin_outage(&mut self, error: &StoreError) -> bool {
        let Some(host) = self.store.server_host().filter(|_| error.is_outage()) else { return false };
        if self.outage.is_none() {
            let outage = ServerOutage { host, since: clock::now(), is_silent: false };
            self.send(Message::ServerOutage(Some(outage.clone())));
            self.outage = Some(CurrentOutage::new(outage));
        }
        true
    }

    /// Why a change was not made.
    pub(super) fn explain_failure(&mut self, error: &StoreError) -> String {
        self.begin_outage(error);
        match &self.outage {
            Some(current) if matches!(error, StoreError::Unreachable { .. }) => {
                current.outage().refusal(RequestKind::Changes)
            }
            _ => error.to_string(),
        }
    }

    /// Tries to connect again. If that succeeds, sends what has changed meanwhile, and what the screen waits for.
    pub(super) fn reconnect(&mut self, now: DateTime<Utc>) {
        let result = self.send_changes();
        let Some(current) = &mut self.outage else { return };
        match result {
            Ok(()) => {
                let postponed = current.take_postponed();
                self.outage = None;
                self.send(Message::ServerOutage(None));
                for request in postponed {
                    self.execute(request, now);
                }
                self.check_workers(true);
            }
            Err(error) => {
                current.postpone_retry();
                if !error.is_outage() {
                    self.send(Message::Error(error.to_string()));
                }
            }
        }
    }

    /// Answers a request while the server is away. Returns those that don't need it.
    pub(super) fn answer_in_outage(&mut self, request: StoreRequest, now: DateTime<Utc>) -> Option<StoreRequest> {
        let Some(current) = &mut self.outage else { return Some(request) };
        let why = current.outage().refusal(request.kind().unwrap_or(RequestKind::Reads));
        let refuse = |intent| Message::Reply(Reply { intent, outcome: Err(why.clone()) });
        match request {
            StoreRequest::Submit(Submission { intent, .. }) => self.send(refuse(intent)),
            StoreRequest::SaveJob { job, .. } => self.send(refuse(Intent::Save(job, String::new()))),
            StoreRequest::ReloadFile { .. } => self.send(refuse(Intent::ReloadNow)),
            StoreRequest::FindAdjacentRun { .. }
            | StoreRequest::OpenRunsToCompare(..)
            | StoreRequest::FindRun { .. }
            | StoreRequest::FindArtifacts(_)
            | StoreRequest::SearchLogs(_) => self.send(Message::Error(why)),
            StoreRequest::LoadRuns(_) | StoreRequest::LoadPeriod(_) | StoreRequest::LoadDueTimes(_) => {
                current.postpone(request);
            }
            // The connection that listens for changes was made again.
            StoreRequest::ReadChanges => self.reconnect(now),
            // They are checked once it is connected again.
            StoreRequest::CheckWorkers => {}
            // They are about this machine.
            StoreRequest::OpenLog(_)
            | StoreRequest::Subscribe(_)
            | StoreRequest::SetWindowSize(_)
            | StoreRequest::LookAtUsage { .. } => {
                return Some(request);
            }
        }
        None
    }
}
