//! The part of a site that a transaction knows: all but the jobs, the jobs that it has read or changed, and the totals of
//! the others.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use postgres::SimpleQueryRow;

use super::fetch::{NextKind, PendingKey, SiteFetch};
use super::job_columns::{self, condition, phase_of, rank};
use super::queue_totals::{END, PendingPlace, QueueTotals, TotalsByQueue};
use super::sql_text::{number, parsed, required, text};
use crate::model::{
    Dependent, DueRecord, Event, EventRecord, Job, JobId, JobState, NeedCounts, NeedStatus, NeededState,
    OutcomeCondition, Phase, QueueId, Readiness, RemovalReason, ScheduleTarget, SiteState, WaitConditions, WorkerId,
};
use crate::store::error::StoreError;

/// How far the next jobs of a queue are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KnownUntil {
    Key(PendingKey),
    End,
}

/// A job as far as those that it needs are concerned, as it is stored.
struct StoredDependent {
    dependent: Dependent,
    is_removed: bool,
}

/// The part of a site that is known.
pub(super) struct KnownPart {
    /// All but the jobs, and the known jobs with all changes.
    pub(super) state: SiteState,
    /// The known jobs that are stored, with the counts of their needs.
    stored: HashMap<JobId, NeedCounts>,
    /// Numbers that no job has.
    absent: HashSet<JobId>,
    /// The totals of the queues as they are stored.
    pub(super) stored_totals: TotalsByQueue,
    /// The totals of the jobs that are not known.
    rest: TotalsByQueue,
    next: HashMap<NextKind, KnownUntil>,
    /// The conditions of which all jobs are known.
    conditions: HashSet<String>,
    keys: HashSet<String>,
    names: HashSet<(QueueId, String)>,
    last_of: HashMap<QueueId, Option<(i64, JobId)>>,
    /// The stored needs for each of these jobs.
    needed_by: HashMap<JobId, Vec<(JobId, OutcomeCondition)>>,
    dependents: HashMap<JobId, StoredDependent>,
    /// The counts of jobs that were added, or whose needs have changed.
    counted: HashMap<JobId, NeedCounts>,
    /// By how much the counts of other jobs differ from those that are stored: the pending and the failed needs.
    count_changes: BTreeMap<JobId, (i64, i64)>,
    /// From when on all due times of a schedule are known.
    due_known_after: HashMap<ScheduleTarget, DateTime<Utc>>,
    /// The workers whose running jobs are known.
    pub(super) asked_workers: BTreeSet<WorkerId>,
    /// The needs of the job that was read last and has any.
    pub(super) last_needs: Vec<JobId>,
}

impl KnownPart {
    pub(super) fn new(state: SiteState, totals: TotalsByQueue) -> Self {
        Self {
            state,
            stored: HashMap::new(),
            absent: HashSet::new(),
            rest: totals.clone(),
            stored_totals: totals,
            next: HashMap::new(),
            conditions: HashSet::new(),
            keys: HashSet::new(),
            names: HashSet::new(),
            last_of: HashMap::new(),
            needed_by: HashMap::new(),
            dependents: HashMap::new(),
            counted: HashMap::new(),
            count_changes: BTreeMap::new(),
            due_known_after: HashMap::new(),
            asked_workers: BTreeSet::new(),
            last_needs: Vec::new(),
        }
    }

    /// Adds what was read.
    pub(super) fn absorb(&mut self, fetch: &SiteFetch, rows: &[SimpleQueryRow]) -> Result<(), StoreError> {
        match fetch {
            SiteFetch::Dependents(ids) => {
                for id in ids {
                    self.needed_by.entry(*id).or_default();
                }
                return rows.iter().try_for_each(|row| self.absorb_dependent(row));
            }
            SiteFetch::LastOf(queue) => {
                let last = match rows.first() {
                    Some(row) => Some((number(row, 0)?, JobId(number(row, 1)?))),
                    None => None,
                };
                self.last_of.insert(queue.clone(), last);
                return Ok(());
            }
            SiteFetch::DueAfter(target, after) => {
                let stored = rows.iter().map(|row| required(row, 0)).collect::<Result<Vec<DueRecord>, _>>()?;
                // Known ones may have changed since.
                let known_after = self.due_known_after(target);
                let is_changed = |due| self.state.due_records(target).any(|record| record.due == due);
                let is_new =
                    |record: &DueRecord| known_after.is_none_or(|known| record.due <= known) && !is_changed(record.due);
                let new: Vec<DueRecord> = stored.into_iter().filter(is_new).collect();
                self.state.add_due_records(target, new);
                self.due_known_after.insert(target.clone(), *after);
                return Ok(());
            }
            _ => {}
        }
        let ids = self.absorb_jobs(rows)?;
        match fetch {
            SiteFetch::Jobs(ids) => {
                let unknown: Vec<JobId> = ids.iter().copied().filter(|id| !self.stored.contains_key(id)).collect();
                self.absent.extend(unknown);
            }
            SiteFetch::Next { kind, limit, .. } => {
                let last = ids.last().filter(|_| ids.len() >= *limit).and_then(|id| self.state.job(*id));
                let until = last.map_or(KnownUntil::End, |job| KnownUntil::Key(pending_key(job)));
                self.next.insert(kind.clone(), until);
            }
            SiteFetch::Matching(condition) => _ = self.conditions.insert(condition.clone()),
            SiteFetch::UniqueKeys(keys) => self.keys.extend(keys.iter().cloned()),
            SiteFetch::Names(names) => self.names.extend(names.iter().cloned()),
            SiteFetch::Dependents(_) | SiteFetch::LastOf(_) | SiteFetch::DueAfter(..) => {}
        }
        Ok(())
    }

    /// Adds jobs; returns their numbers.
    pub(super) fn absorb_jobs(&mut self, rows: &[SimpleQueryRow]) -> Result<Vec<JobId>, StoreError> {
        rows.iter().map(|row| self.absorb_job(row)).collect()
    }

    fn absorb_job(&mut self, row: &SimpleQueryRow) -> Result<JobId, StoreError> {
        let id = JobId(number(row, 0)?);
        if self.stored.contains_key(&id) {
            return Ok(id);
        }
        let removed: Option<RemovalReason> = parsed(row, 1)?;
        let job: Job = required(row, 2)?;
        self.stored.insert(id, NeedCounts { pending: number(row, 3)?, failed: number(row, 4)? });
        if removed.is_none() {
            self.rest.entry(job.queue.clone()).or_default().remove(&job);
        }
        // The counters are those of the site.
        self.state.insert(job);
        self.state.set_removed_jobs(removed.map(|reason| (id, reason)));
        Ok(id)
    }

    fn absorb_dependent(&mut self, row: &SimpleQueryRow) -> Result<(), StoreError> {
        let (needed, on) = (JobId(number(row, 0)?), condition(number(row, 1)?));
        let (job, flags): (_, i64) = (JobId(number(row, 2)?), number(row, 5)?);
        self.needed_by.entry(needed).or_default().push((job, on));
        let phase = phase_of(number(row, 4)?);
        let is_pending = phase == Phase::Pending;
        let dependent = Dependent {
            job,
            queue: required(row, 3)?,
            phase,
            is_requested: is_pending && flags & job_columns::REQUESTED != 0,
            is_forced: is_pending && flags & job_columns::FORCED != 0,
            waits_for_needs: is_pending && flags & job_columns::WAITS_FOR_NEEDS != 0,
            counts: NeedCounts { pending: number(row, 6)?, failed: number(row, 7)? },
        };
        let is_removed = text(row, 8)? == Some("t");
        self.dependents.insert(job, StoredDependent { dependent, is_removed });
        Ok(())
    }

    /// Whether it is known whether there is a job with this number.
    pub(super) fn knows(&self, id: JobId) -> bool {
        self.is_stored(id) || self.absent.contains(&id) || self.has(id)
    }

    /// Whether the job is known and stored.
    pub(super) fn is_stored(&self, id: JobId) -> bool {
        self.stored.contains_key(&id)
    }

    fn has(&self, id: JobId) -> bool {
        self.state.job(id).is_some() || self.state.removed_with_reason(id).is_some()
    }

    /// The known jobs of a queue that are stored, including those that were removed or moved to another one.
    pub(super) fn stored_ids(&self) -> impl Iterator<Item = &JobId> {
        self.stored.keys()
    }

    /// The totals of the jobs of a queue that are not known.
    pub(super) fn rest(&self, queue: &QueueId) -> QueueTotals {
        self.rest.get(queue).copied().unwrap_or_default()
    }

    /// Whether a job that is not known waits for a time.
    pub(super) fn any_scheduled(&self) -> bool {
        self.rest.values().any(|totals| totals.scheduled > 0)
    }

    pub(super) fn has_condition(&self, condition: &str) -> bool {
        self.conditions.contains(condition)
    }

    pub(super) fn has_key(&self, key: &str) -> bool {
        self.keys.contains(key)
    }

    pub(super) fn has_name(&self, name: &(QueueId, String)) -> bool {
        self.names.contains(name)
    }

    /// How far the next jobs of a queue are known.
    pub(super) fn next_until(&self, kind: &NextKind, readiness: Readiness) -> Option<KnownUntil> {
        if self.rest(&kind.queue).with(readiness) == 0 { Some(KnownUntil::End) } else { self.next.get(kind).copied() }
    }

    /// The highest position in a queue; `None` if it is not known.
    pub(super) fn last_position(&self, queue: &QueueId) -> Option<i64> {
        let stored = (*self.last_of.get(queue)?).map(|(position, id)| (position, self.find(id)));
        let stored = match stored {
            // It is still there, or is one of several.
            Some((_, Some(job))) if job.queue != *queue => return None,
            Some((position, Some(job))) if job.position != position => return None,
            Some((position, _)) => Some(position),
            None => None,
        };
        Some(stored.max(self.state.highest_position(queue)).unwrap_or(0))
    }

    fn find(&self, id: JobId) -> Option<&Job> {
        self.state.job(id).or_else(|| Some(self.state.removed_with_reason(id)?.0))
    }

    /// From when on all due times of a schedule are known.
    pub(super) fn due_known_after(&self, target: &ScheduleTarget) -> Option<DateTime<Utc>> {
        self.due_known_after.get(target).copied()
    }

    /// Whether the jobs that need this one are known.
    pub(super) fn knows_dependents(&self, id: JobId) -> bool {
        self.needed_by.contains_key(&id)
    }

    /// The jobs that need this one, if they are known.
    pub(super) fn dependents_of(&self, needed: JobId) -> Vec<Dependent> {
        let stored = self.needed_by.get(&needed).into_iter().flatten().map(|(job, _)| *job);
        let stored = stored.filter(|job| !self.counted.contains_key(job));
        let changed = self.state.dependents_of(needed).map(|job| job.id).filter(|job| self.counted.contains_key(job));
        let mut jobs: Vec<JobId> = stored.chain(changed).collect();
        jobs.sort_unstable();
        jobs.into_iter().filter_map(|job| self.dependent(job)).collect()
    }

    fn dependent(&self, id: JobId) -> Option<Dependent> {
        let counts = self.counts(id)?;
        if let Some(job) = self.state.job(id) {
            let (is_requested, wait) = match job.state {
                JobState::Pending { requested, wait } => (requested, wait),
                _ => (false, WaitConditions::default()),
            };
            return Some(Dependent {
                job: id,
                queue: job.queue.clone(),
                phase: job.phase(),
                is_requested,
                is_forced: wait.forced,
                waits_for_needs: wait.needs,
                counts,
            });
        }
        if self.state.removed_with_reason(id).is_some() {
            return None;
        }
        let stored = self.dependents.get(&id).filter(|stored| !stored.is_removed)?;
        Some(Dependent { counts, ..stored.dependent.clone() })
    }

    /// How many needs of a job are not met, if that is known.
    pub(super) fn counts(&self, id: JobId) -> Option<NeedCounts> {
        if let Some(counted) = self.counted.get(&id) {
            return Some(*counted);
        }
        let stored = self.stored.get(&id).copied();
        let stored = stored.or_else(|| self.dependents.get(&id).map(|stored| stored.dependent.counts));
        let (pending, failed) = self.count_changes.get(&id).copied().unwrap_or_default();
        let change = |count: u32, by: i64| u32::try_from(i64::from(count) + by).unwrap_or_default();
        stored.map(|counts| NeedCounts {
            pending: change(counts.pending, pending),
            failed: change(counts.failed, failed),
        })
    }

    /// The jobs that are not known, and of which the counts of needs have changed by so many pending and failed ones.
    pub(super) fn count_changes(&self) -> impl Iterator<Item = (JobId, (i64, i64))> {
        self.count_changes.iter().map(|(job, change)| (*job, *change)).filter(|(_, change)| *change != (0, 0))
    }

    /// Applies an event. All that it changes is known.
    pub(super) fn apply(&mut self, record: &EventRecord) {
        let job = match &record.event {
            Event::Added { job } => {
                self.needed_by.entry(job.id).or_default();
                Some(job.id)
            }
            Event::Restored { job } => Some(job.id),
            event => event.job(),
        };
        let before = job.map(|id| self.needed_state(id));
        self.state.apply(record);
        let (Some(id), Some(before)) = (job, before) else { return };
        let after = self.needed_state(id);
        if before != after {
            self.change_counts(id, before, after);
        }
        let has_needs = || self.find(id).is_some_and(|job| !job.needs.is_empty());
        match &record.event {
            Event::Redefined { .. } | Event::Restored { .. } => self.count(id),
            Event::Added { .. } if has_needs() => self.count(id),
            _ => {}
        }
    }

    fn needed_state(&self, id: JobId) -> NeededState {
        let present = self.state.job(id).map(|job| NeededState::of(&job.state, false));
        let removed = || Some(NeededState::of(&self.state.removed_with_reason(id)?.0.state, true));
        present.or_else(removed).unwrap_or(NeededState::Missing)
    }

    /// Counts the needs of a job that are not met; the needed jobs are known.
    fn count(&mut self, id: JobId) {
        let Some(job) = self.find(id) else { return };
        let (mut counts, mut seen) = (NeedCounts::default(), HashSet::new());
        for need in job.needs.iter().filter(|need| seen.insert((need.job, need.on))) {
            counts.add(self.needed_state(need.job).status(need.on));
        }
        self.counted.insert(id, counts);
    }

    /// Updates the counts of the jobs that need one which has changed.
    fn change_counts(&mut self, needed: JobId, before: NeededState, after: NeededState) {
        for (job, on) in self.needed_by.get(&needed).into_iter().flatten() {
            if self.counted.contains_key(job) {
                continue;
            }
            let (pending, failed) = self.count_changes.entry(*job).or_default();
            for (status, by) in [(before.status(*on), -1), (after.status(*on), 1)] {
                match status {
                    NeedStatus::Met => {}
                    NeedStatus::Pending => *pending += by,
                    NeedStatus::Failed => *failed += by,
                }
            }
        }
        let of = |job: &Job| {
            let mut conditions: Vec<_> =
                job.needs.iter().filter(|need| need.job == needed).map(|need| need.on).collect();
            conditions.sort_by_key(|on| job_columns::condition_code(*on));
            conditions.dedup();
            (job.id, conditions)
        };
        let mut changed: Vec<_> = self.state.dependents_of(needed).map(of).collect();
        changed.dedup();
        for (job, conditions) in changed {
            let Some(counts) = self.counted.get_mut(&job) else { continue };
            for on in conditions {
                counts.remove(before.status(on));
                counts.add(after.status(on));
            }
        }
    }

    /// The totals of all queues that differ from those that are stored.
    pub(super) fn changed_totals(&self) -> TotalsByQueue {
        let mut totals = self.rest.clone();
        for job in self.state.jobs() {
            totals.entry(job.queue.clone()).or_default().add(job);
        }
        let mut firsts: HashMap<(&QueueId, Readiness), PendingPlace> = HashMap::new();
        for job in self.state.jobs() {
            if let Some(readiness @ (Readiness::Requested | Readiness::Ready)) = job.readiness() {
                let place = (rank(job), job.position);
                let first = firsts.entry((&job.queue, readiness)).or_insert(place);
                *first = place.min(*first);
            }
        }
        for (queue, totals) in &mut totals {
            let first = |readiness| {
                let known = firsts.get(&(queue, readiness)).copied();
                let code = job_columns::readiness_code(readiness);
                let kind = NextKind { queue: queue.clone(), code, excluded: Vec::new() };
                match self.next_until(&kind, readiness) {
                    Some(KnownUntil::End) => Some(known.unwrap_or(END)),
                    Some(KnownUntil::Key((rank, position, _))) => Some(known.unwrap_or(END).min((rank, position))),
                    // Unknown if it was unknown.
                    None => self.rest(queue).first_place(readiness).map(|place| place.min(known.unwrap_or(END))),
                }
            };
            (totals.requested_from, totals.ready_from) = (first(Readiness::Requested), first(Readiness::Ready));
        }
        totals.retain(|queue, totals| self.stored_totals.get(queue).copied().unwrap_or_default() != *totals);
        totals
    }
}

/// The place of a job among the pending ones.
pub(super) fn pending_key(job: &Job) -> PendingKey {
    (rank(job), job.position, job.id)
}
