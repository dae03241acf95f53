//! The transactions of a worker: what each records, and what its results change.

use std::mem;

use chrono::{DateTime, Utc};

use super::{ChangeListener, EventLoop};
use crate::crash;
use crate::model::{Command, Event, NothingToDo, Refusal};
use crate::store::{CommandResult, Store, StoreError, TransactionReport};
use crate::text::count_noun;
use crate::worker::commit_thread::{Batch, CommitOutcome};

/// How many jobs are claimed in one transaction when the number of ready jobs is unknown.
const CLAIM_BATCH: usize = 16;

impl EventLoop {
    /// The commands of the next transaction; none if there is nothing to record or to claim.
    pub(super) fn next_batch(&mut self) -> Option<Batch> {
        // Reserved jobs start before others are claimed.
        self.fill_freed_slots();
        let now = self.now;
        let promotes_due = self.reservations.is_empty()
            && self.shutdown.is_none()
            && self.next_due.take_if(|due| *due <= now).is_some();
        self.wants_jobs |= promotes_due;
        let claims = match self.shutdown {
            Some(_) => 0,
            None if self.is_draining => 0,
            None if self.wants_jobs => CLAIM_BATCH,
            None => self.freed_slots.len(),
        };
        let room = self.room_for_runs(claims);
        // The rest is claimed when a run has ended.
        self.wants_jobs |= room < claims;
        let claims = claims.min(room);
        let is_idle = self.pending_commands.is_empty() && claims == 0 && !promotes_due;
        if is_idle && !self.is_release_due() {
            return None;
        }
        self.freed_slots.clear();
        let mut commands = mem::take(&mut self.pending_commands);
        // Promoting and reconciling need all reservations to be released, its own as well.
        let needs_release = promotes_due || commands.iter().any(|(command, _)| !command.keeps_reservations());
        let (release, reserve) = if needs_release { (None, None) } else { self.reservation_commands() };
        commands.extend(release.map(|release| (release, now)));
        commands.extend(promotes_due.then_some((Command::PromoteDue, now)));
        let claim = Command::Claim { worker: self.id, queues: self.queues.clone() };
        commands.extend((0..claims).map(|_| (claim.clone(), now)));
        commands.extend(reserve.map(|reserve| (reserve, now)));
        let keeps_reservations = |(command, _): &(Command, _)| command.keeps_reservations();
        debug_assert!(
            self.reservations.is_empty() || commands.iter().all(keeps_reservations),
            "the worker would wait for itself: {commands:?}"
        );
        Some(Batch { commands, claims })
    }

    /// How many of `wanted` more runs this process has resources for.
    pub(super) fn room_for_runs(&mut self, wanted: usize) -> usize {
        if !self.deferred.is_empty() || wanted == 0 {
            return 0;
        }
        let running = self.running.values().filter(|run| !run.is_ended).count();
        let max_runs = self.runner.max_runs(running + wanted);
        let room = max_runs.saturating_sub(running);
        // Most wanted runs are not needed: it is not known how many jobs are ready.
        if room == 0 && !mem::replace(&mut self.is_limit_logged, true) {
            let jobs = count_noun(running, "job");
            tracing::warn!("running {jobs} at once, as many as the limit on open files allows (ulimit -n)");
        }
        room
    }

    /// Queues the hooks for what a transaction of this worker has found overdue.
    fn enqueue_overdue_hooks(
        &mut self,
        store: &mut dyn Store,
        commands: &[(Command, DateTime<Utc>)],
        answers: &[CommandResult],
    ) {
        let promoted = commands.iter().zip(answers).filter(|((command, _), _)| matches!(command, Command::PromoteDue));
        for event in promoted.filter_map(|(_, answer)| answer.as_ref().ok()).flatten() {
            let Event::Overdue { target, overdue, runs_hook: true } = event else { continue };
            if let Err(error) = self.hooks.enqueue_overdue(store, target, *overdue) {
                tracing::error!(%error, "can't read what on_overdue runs");
            }
        }
    }

    /// Applies the results of a transaction. If it failed, nothing of it was recorded, and its ends and starts are queued
    /// again.
    pub(super) fn apply_commit(
        &mut self,
        store: &mut dyn Store,
        outcome: CommitOutcome,
        on_change: &mut impl ChangeListener,
    ) -> Result<(), StoreError> {
        let CommitOutcome { batch: Batch { commands, claims }, result, duration } = outcome;
        let TransactionReport { seq_before: before, results: answers, claimed: claimed_jobs } = match result {
            Ok(transacted) => transacted,
            Err(error) => {
                let has_happened = |(command, _): &(Command, _)| {
                    matches!(
                        command.requested(),
                        Command::EndRun { .. }
                            | Command::StartReserved { .. }
                            | Command::RecordStall { .. }
                            | Command::RecordSnapshot { .. }
                            // The jobs of the items that an ended run has returned.
                            | Command::Reconcile(_)
                    )
                };
                let later = mem::take(&mut self.pending_commands);
                self.pending_commands.extend(commands.into_iter().filter(has_happened).chain(later));
                self.wants_jobs |= claims > 0;
                self.reservations.stop_starting();
                return Err(error);
            }
        };
        self.commit_latency.record_commit(duration);
        if commands.iter().any(|(command, _)| matches!(command.requested(), Command::EndRun { .. })) {
            crash::point("recorded");
        }
        let claimed =
            commands.iter().zip(&answers).filter(|((command, _), _)| matches!(command, Command::Claim { .. }));
        self.enqueue_overdue_hooks(store, &commands, &answers);
        let published = self.apply_returned_items(&commands, &answers);
        self.wants_jobs &= claims > 0;
        for (_, answer) in claimed {
            self.wants_jobs &= answer.is_ok();
            if let Err(Refusal::NothingToDo(NothingToDo::Claim { next_due: until })) = answer {
                self.next_due = *until;
            }
        }
        self.snapshot_due_jobs(store, &commands, &answers);
        self.apply_reservations(store, &commands, &answers, &claimed_jobs);
        for job in claimed_jobs {
            if job.current_run().is_some_and(|run| !self.running.contains_key(&run)) {
                self.start_claimed(store, job);
            }
        }
        self.may_have_unread_events |= before != self.last_seq;
        if !self.may_have_unread_events {
            let times = commands.iter().map(|(_, at)| *at);
            self.apply_own_events(store, before, times.zip(answers), on_change);
        }
        // Not before: the claimed jobs are on record as running.
        published
    }
}
