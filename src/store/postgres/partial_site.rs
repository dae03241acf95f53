//! A site within a transaction, of which the jobs are read when they are asked for.
//!
//! The first message of a transaction already asks for the jobs that its commands are about, so that the usual ones need no
//! other message before they commit.

use std::cell::{Ref, RefCell};
use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use postgres::SimpleQueryRow;

use super::fetch::SiteFetch;
use super::known_part::KnownPart;
use super::queue_totals::{read_totals, totals_sql};
use super::row_changes::RowChanges;
use super::schema::LOCK_CLASS;
use super::session::{ServerSession, begin};
use super::site_frame::{KEPT_TABLES, SiteFrame, SiteHead, head_sql, table_sql};
use super::sql_text::{ResultSets, json, number, text};
use crate::model::{
    AfterRun, Counters, Dependent, Event, EventRecord, Job, JobId, JobState, NeedStatus, Phase, PoolSizes, QueueMode,
    RunId, StateReader, WorkerId,
};
use crate::store::error::StoreError;

/// How a transaction sees a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// It may change it: it has the lock of the site.
    Change,
    /// It reads one snapshot.
    Read,
}

/// A site within a transaction.
pub(super) struct PartialSite<'s> {
    session: RefCell<&'s mut ServerSession>,
    pub(super) site: i32,
    known: RefCell<KnownPart>,
    versions: [u64; 4],
    failovers: u32,
    pub(super) first_runs: HashMap<WorkerId, RunId>,
    /// The number of the last event before.
    pub(super) seq_before: u64,
}

impl<'s> PartialSite<'s> {
    /// Begins a transaction and reads `fetches`. After an error no transaction is open.
    pub(super) fn begin(
        session: &'s mut ServerSession,
        site: i32,
        frame: Option<SiteFrame>,
        access: Access,
        fetches: &[SiteFetch],
    ) -> Result<Self, StoreError> {
        let (start, first) = match access {
            Access::Change => (format!("{}; SELECT pg_advisory_xact_lock({LOCK_CLASS}, {site})", begin()), 4),
            Access::Read => ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned(), 1),
        };
        let mut sql = format!("{start}; {}; {}", head_sql(site), totals_sql(site));
        for fetch in fetches {
            sql.push_str("; ");
            sql.push_str(&fetch.sql(site));
        }
        let mut sets = session.run_again(&sql)?;
        let read = |session: &mut ServerSession| {
            let head = SiteHead::read(&sets.take(first))?;
            session.clock().set(head.now);
            let totals = read_totals(&sets.take(first + 1))?;
            let failovers = session.failovers();
            let mut frame =
                frame.filter(|frame| frame.failovers == failovers).unwrap_or_else(|| SiteFrame::empty(failovers));
            let outdated = frame.outdated_tables(&head);
            let mut tables = ResultSets::default();
            if !outdated.is_empty() {
                let sql: Vec<String> = outdated.iter().map(|table| table_sql(site, KEPT_TABLES[*table])).collect();
                tables = session.run(&sql.join("; "))?;
            }
            let seq_before = head.counters.seq;
            frame.update(head, &outdated, &mut tables, 0)?;
            let SiteFrame { state, versions, failovers, first_runs, .. } = frame;
            let mut known = KnownPart::new(state, totals);
            for (nth, fetch) in fetches.iter().enumerate() {
                known.absorb(fetch, &sets.take(first + 2 + nth))?;
            }
            Ok((known, versions, failovers, first_runs, seq_before))
        };
        match read(session) {
            Ok((known, versions, failovers, first_runs, seq_before)) => Ok(Self {
                session: RefCell::new(session),
                site,
                known: RefCell::new(known),
                versions,
                failovers,
                first_runs,
                seq_before,
            }),
            Err(error) => {
                rollback(session);
                Err(error)
            }
        }
    }

    /// What is known now.
    pub(super) fn known(&self) -> Ref<'_, KnownPart> {
        self.known.borrow()
    }

    /// Reads more, in one message.
    pub(super) fn fetch(&self, fetches: &[SiteFetch]) -> Result<(), StoreError> {
        if fetches.is_empty() {
            return Ok(());
        }
        let sql: Vec<String> = fetches.iter().map(|fetch| fetch.sql(self.site)).collect();
        let mut sets = self.session.borrow_mut().run(&sql.join("; "))?;
        let mut known = self.known.borrow_mut();
        fetches.iter().enumerate().try_for_each(|(nth, fetch)| known.absorb(fetch, &sets.take(nth)))
    }

    /// The rows of a statement.
    pub(super) fn rows(&self, sql: &str) -> Result<Vec<SimpleQueryRow>, StoreError> {
        Ok(self.session.borrow_mut().run(sql)?.take(0))
    }

    /// Reads jobs in the order of a statement, and returns their numbers.
    pub(super) fn listed(&self, sql: &str) -> Result<Vec<JobId>, StoreError> {
        let rows = self.rows(sql)?;
        self.known.borrow_mut().absorb_jobs(&rows)
    }

    /// Reads jobs that are not known yet.
    pub(super) fn ensure_jobs(&self, ids: impl IntoIterator<Item = JobId>) -> Result<(), StoreError> {
        self.fetch(&self.missing_jobs(ids).map(SiteFetch::Jobs).into_iter().collect::<Vec<_>>())
    }

    fn missing_jobs(&self, ids: impl IntoIterator<Item = JobId>) -> Option<Vec<JobId>> {
        let known = self.known.borrow();
        // Nothing is stored of a new site.
        let missing: BTreeSet<JobId> = ids.into_iter().filter(|id| self.seq_before > 0 && !known.knows(*id)).collect();
        (!missing.is_empty()).then(|| missing.into_iter().collect())
    }

    /// Reads all jobs with a condition, unless they are known.
    pub(super) fn ensure_matching(&self, condition: String) -> Result<(), StoreError> {
        if self.known.borrow().has_condition(&condition) {
            return Ok(());
        }
        self.fetch(&[SiteFetch::Matching(condition)])
    }

    /// Reads the jobs that need these, and those of them that may change because of it.
    pub(super) fn ensure_dependents(&self, ids: impl IntoIterator<Item = JobId>) -> Result<(), StoreError> {
        let missing: Vec<JobId> = {
            let known = self.known.borrow();
            ids.into_iter().filter(|id| self.seq_before > 0 && !known.knows_dependents(*id)).collect()
        };
        if missing.is_empty() { Ok(()) } else { self.fetch(&[SiteFetch::Dependents(missing)]) }
    }

    /// Applies events and returns them. Reads what they change first.
    pub(super) fn apply(
        &mut self,
        events: Vec<Event>,
        now: DateTime<Utc>,
        changes: &mut RowChanges,
    ) -> Result<Vec<Event>, StoreError> {
        self.prepare(&events)?;
        let known = self.known.get_mut();
        for event in &events {
            let record = EventRecord { seq: known.state.seq() + 1, at: now, event: event.clone() };
            changes.record(&known.state, &record);
            known.apply(&record);
        }
        Ok(events)
    }

    /// Sets the last ids of a site of which nothing is stored.
    pub(super) fn set_counters(&mut self, counters: Counters) {
        self.known.get_mut().state.set_site_info([], [], (None, PoolSizes::default()), counters);
    }

    /// Reads what events change.
    fn prepare(&self, events: &[Event]) -> Result<(), StoreError> {
        let (mut jobs, mut needed, mut fetches) = (Vec::new(), Vec::new(), Vec::new());
        for event in events {
            jobs.extend(event.job());
            match event {
                Event::Added { job } => jobs.extend(job.needs.iter().map(|need| need.job)),
                Event::Restored { job } => {
                    jobs.push(job.id);
                    jobs.extend(job.needs.iter().map(|need| need.job));
                    needed.push(job.id);
                }
                Event::Redefined { needs, .. } => jobs.extend(needs.iter().map(|need| need.job)),
                Event::ModeChanged { queue, mode: QueueMode::Paused } if self.seq_before > 0 => {
                    let queue = json(queue);
                    let requested = format!("j.queue = {queue} AND j.flags & 1 != 0");
                    let is_known = self.known.borrow().has_condition(&requested);
                    fetches.extend((!is_known).then_some(SiteFetch::Matching(requested)));
                }
                Event::DueWithdrawn { target, after } if self.seq_before > 0 => {
                    let known = self.known.borrow().due_known_after(target);
                    let is_known = known.is_some_and(|known| known <= *after);
                    fetches.extend((!is_known).then(|| SiteFetch::DueAfter(target.clone(), *after)));
                }
                Event::Ended { job, after_run: AfterRun::Finish, .. }
                | Event::Requeued { job, .. }
                | Event::Approved { job, .. }
                | Event::Cancelled { job }
                | Event::Skipped { job, .. }
                | Event::Removed { job, .. } => needed.push(*job),
                _ => {}
            }
        }
        fetches.extend(self.missing_jobs(jobs).map(SiteFetch::Jobs));
        {
            let known = self.known.borrow();
            needed.retain(|id| self.seq_before > 0 && !known.knows_dependents(*id));
        }
        fetches.extend((!needed.is_empty()).then_some(SiteFetch::Dependents(needed)));
        self.fetch(&fetches)
    }

    /// Notes that all jobs that a worker runs are known.
    pub(super) fn note_worker(&self, worker: WorkerId) {
        self.known.borrow_mut().asked_workers.insert(worker);
    }

    /// Notes which jobs this one needs: when the first is asked for, others are soon.
    pub(super) fn note_needs(&self, job: Option<&Job>) {
        if let Some(job) = job.filter(|job| !job.needs.is_empty()) {
            self.known.borrow_mut().last_needs = job.needs.iter().map(|need| need.job).collect();
        }
    }

    /// Reads those of these dependents that are about to change.
    pub(super) fn ensure_changing(&self, needed: JobId) -> Result<(), StoreError> {
        let dependents = self.known.borrow().dependents_of(needed);
        let is_changing = |dependent: &&Dependent| match dependent.phase {
            Phase::Pending => {
                let must_wait = dependent.counts.status() != NeedStatus::Met;
                dependent.waits_for_needs != must_wait || dependent.counts.status() == NeedStatus::Failed
            }
            Phase::Finished => dependent.counts.status() == NeedStatus::Met,
            Phase::Running => false,
        };
        self.ensure_jobs(dependents.iter().filter(is_changing).map(|dependent| dependent.job))
    }

    /// What the connection keeps; `changes` were made to the tables.
    pub(super) fn into_frame(self, changed: [bool; 4]) -> SiteFrame {
        let (known, mut first_runs) = (self.known.into_inner(), self.first_runs);
        let mut totals = known.stored_totals.clone();
        totals.extend(known.changed_totals());
        for worker in &known.asked_workers {
            let running = StateReader::jobs_run_by(&known.state, *worker).unwrap_or_else(|never| match never {});
            let is_running = |job: &&Job| matches!(job.state, JobState::Running { .. });
            let runs = running.iter().filter(is_running).filter_map(|job| Some(job.last_run.as_ref()?.id));
            let next = RunId(known.state.counters().run + 1);
            first_runs.insert(*worker, runs.min().unwrap_or(next));
        }
        let mut state = known.state;
        state.clear_jobs();
        let mut versions = self.versions;
        for (version, _) in versions.iter_mut().zip(changed).filter(|(_, is_changed)| *is_changed) {
            *version = state.seq();
        }
        SiteFrame { state, versions, failovers: self.failovers, totals, first_runs }
    }

    /// A number in the first column of the only row of a statement; `None` if it is NULL.
    pub(super) fn one_number(&self, sql: &str) -> Result<Option<i64>, StoreError> {
        let rows = self.rows(sql)?;
        let Some(row) = rows.first() else { return Ok(None) };
        if text(row, 0)?.is_some() { number(row, 0).map(Some) } else { Ok(None) }
    }
}

/// Ends a transaction that has changed nothing.
pub(super) fn rollback(session: &mut ServerSession) {
    // If it fails, the connection is broken; then the transaction has ended as well.
    let _ = session.run("ROLLBACK");
}
