//! Jobs that return the items of others (`for_each: {value: JOB}`): the jobs of these items are made in the transaction that
//! records the success.
//!
//! They are made before it, so that no job that needs all of them starts, and no queue is done, between the two.

use std::mem;

use chrono::{DateTime, Utc};

use super::{ActiveRun, EventLoop};
use crate::definition::{self, check_item_list};
use crate::model::{
    Command, DesiredState, Failure, FailureKind, JobId, JobRef, Outcome, Refusal, RunId, RunReport, ValueRead,
};
use crate::site::{FileChange, Publishing, plan_change, read_file_with};
use crate::store::{CommandResult, Store, StoreError};
use crate::text::count_noun;
use crate::worker::returned_items::ReturnedItems;

/// What the file describes with the returned items, if that changes anything, and the values that this depends on.
type PlannedItems = (Option<Box<DesiredState>>, Vec<ValueRead>);

impl EventLoop {
    /// Keeps the report of a run until the jobs of the items that it has returned can be made. Returns it if there is nothing
    /// to wait for; a value that is not a list of items is a failure.
    pub(super) fn take_returned_items(&mut self, job: JobId, run: RunId, mut report: RunReport) -> Option<RunReport> {
        let Some(active) = self.running.get(&run) else { return Some(report) };
        let (definition, path) = (&active.job.definition, active.job.path());
        let entries = &definition.scheduling.item_entries;
        if entries.is_empty() || report.outcome != Outcome::Succeeded {
            return Some(report);
        }
        match check_item_list(report.value.as_ref()) {
            Ok(0) => tracing::warn!("{path} has returned an empty list, so {} gets no jobs", entries.join(" and ")),
            Ok(_) => {}
            Err(problem) => {
                fail(&mut report, format!("its value {problem} (for_each of {})", entries.join(", ")));
                return Some(report);
            }
        }
        self.keep_returned_items(job, run, report, self.now);
        None
    }

    fn keep_returned_items(&mut self, job: JobId, run: RunId, report: RunReport, at: DateTime<Utc>) {
        let Some(ActiveRun { job: known, .. }) = self.running.get(&run) else { return };
        let named = JobRef::Named(known.queue.clone(), known.definition.name.clone().unwrap_or_default());
        self.returned_items.push(ReturnedItems { job, run, report, at, named });
    }

    /// Makes the jobs of the items that were returned, and records the ends of the runs that have returned them, in the next
    /// transaction. If that is impossible because of the file, these runs fail.
    pub(super) fn expand_returned_items(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        if self.returned_items.is_empty() {
            return Ok(());
        }
        let returned = |queue: &str, name: &str| {
            let named = JobRef::Named(queue.into(), name.into());
            let newest = self.returned_items.iter().rev().find(|items| items.named == named);
            newest.and_then(|items| items.report.value.clone())
        };
        let planned = match read_file_with(store, &self.paths, returned)? {
            Ok((desired, _)) => self.plan_items(store, desired)?,
            Err(definition::Error::Invalid(errors)) => {
                Err(format!("jobs.yaml has {}", count_noun(errors.errors.len(), "error")))
            }
            Err(error) => Err(error.to_string()),
        };
        let (values, failure) = match planned {
            Ok((plan, values)) => {
                self.pending_commands.extend(plan.map(|plan| (Command::Reconcile(plan), self.now)));
                (values, None)
            }
            Err(problem) => (Vec::new(), Some(format!("can't make the jobs of the items that it returned: {problem}"))),
        };
        for ReturnedItems { job, run, mut report, at, .. } in mem::take(&mut self.returned_items) {
            if let Some(failure) = &failure {
                fail(&mut report, failure.clone());
            }
            let command = Box::new(Command::EndRun { job, run, report, on_failure: None });
            self.pending_commands.push((Command::WithValues { values: values.clone(), command }, at));
        }
        self.wants_jobs = true;
        Ok(())
    }

    /// What the file describes with the items that were returned, if that changes anything, and the values of other jobs that
    /// this depends on. The error says why that can't be.
    fn plan_items(
        &mut self,
        store: &mut dyn Store,
        mut desired: DesiredState,
    ) -> Result<Result<PlannedItems, String>, StoreError> {
        // The values that were returned now are not recorded yet.
        desired.values.retain(|read| self.returned_items.iter().all(|items| items.named != read.job));
        let values = desired.values.clone();
        Ok(match plan_change(store, &self.paths, desired, Publishing::SameCopy)? {
            FileChange::Reconcile(plan, hash) => {
                self.planned_file = hash;
                Ok((Some(plan), values))
            }
            FileChange::AlreadyInForce => Ok((None, values)),
            FileChange::OtherInForce(published) => {
                Err(format!("another jobs.yaml is in force than the one here, published {published}"))
            }
        })
    }

    /// Applies the results of a transaction: keeps the ends of runs that it has not recorded because another job has returned
    /// another list meanwhile.
    pub(super) fn apply_returned_items(
        &mut self,
        commands: &[(Command, DateTime<Utc>)],
        answers: &[CommandResult],
    ) -> Result<(), StoreError> {
        for ((command, at), answer) in commands.iter().zip(answers) {
            if let (Command::WithValues { command, .. }, Err(Refusal::FileOutdated(_))) = (command, answer)
                && let Command::EndRun { job, run, report, .. } = &**command
            {
                self.keep_returned_items(*job, *run, report.clone(), *at);
            }
        }
        match self.planned_file.take() {
            Some(hash) if self.returned_items.is_empty() => self.paths.state.record_published(&hash),
            _ => Ok(()),
        }
    }
}

fn fail(report: &mut RunReport, message: String) {
    report.outcome = Outcome::Failed(Failure { kind: FailureKind::Error, message }.into());
}
