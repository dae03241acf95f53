//! Reconciles a site with its `jobs.yaml`: new entries become pending jobs, changed ones are updated and pending again,
//! removed ones are removed, and all other jobs stay as they are. A change to a running job applies when its run ends.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use foldhash::fast::RandomState;

use super::position::assign_positions;
use super::{
    Definition, DesiredQueue, DesiredState, Event, FileJob, Job, JobId, JobRef, JobState, NeededState, Phase, QueueId,
    QueueSettings, RemovalReason, ResolvedNeed, StateReader, ValueRead, WaitConditions,
};

/// The events that bring the site in line with `desired`.
///
/// While a reserved job still has to change, or a running one to be removed, no version of the file is recorded as
/// applied, so that the next reconciliation finishes the work, whichever version it finds.
pub(super) fn reconcile<R: StateReader>(
    reader: &R,
    desired: &DesiredState,
    now: DateTime<Utc>,
) -> Result<Vec<Event>, R::Error> {
    let current = reader.file_version()?.unwrap_or_default();
    if current == desired.version {
        return Ok(Vec::new());
    }
    let in_file: HashSet<_> = desired.queues.iter().map(|queue| &queue.id).collect();
    let mut others = Vec::new();
    for queue in reader.queues()?.into_iter().filter(|queue| !in_file.contains(&queue.id)) {
        let settings = QueueSettings {
            is_in_file: false,
            order: u32::MAX,
            schedule: None,
            expect: None,
            on_overdue: None,
            inputs: Arc::default(),
            ..queue.settings
        };
        others.push(DesiredQueue { id: queue.id, settings, jobs: Vec::new() });
    }
    let first_new = reader.next_job_id()?;
    let mut next = first_new;
    let matched = others.iter().chain(&desired.queues).map(|queue| MatchedQueue::load(reader, queue, &mut next));
    let matched: Vec<MatchedQueue<'_>> = matched.collect::<Result<_, _>>()?;
    let mut changes = ChangeCollector {
        reader,
        now,
        first_new,
        names: index_names(&matched),
        reserved: reader.reserved_jobs()?,
        events: Vec::new(),
        deferred: false,
    };
    for queue in &matched {
        changes.reconcile_queue(queue)?;
    }
    changes.requeue_dependents(&matched)?;
    if reader.pools()? != desired.pools {
        changes.events.push(Event::PoolsDefined { pools: desired.pools.clone() });
    }
    let file_version = if changes.deferred { String::new() } else { desired.version.clone() };
    if file_version != current {
        changes.events.push(Event::FileApplied { file_version });
    }
    Ok(changes.events)
}

/// The first job whose value has changed since the file was read.
pub(super) fn changed_value<R: StateReader>(reader: &R, values: &[ValueRead]) -> Result<Option<JobRef>, R::Error> {
    for read in values {
        let job = match reader.resolve(&read.job)? {
            Some(id) => reader.job(id)?,
            None => None,
        };
        if *read != ValueRead::new(read.job.clone(), job.as_ref().and_then(|job| job.value.as_deref())) {
            return Ok(Some(read.job.clone()));
        }
    }
    Ok(None)
}

/// A queue of the file, with its entries matched to the jobs of the site.
struct MatchedQueue<'a> {
    desired: &'a DesiredQueue,
    /// The jobs of the queue that came from the file.
    file_jobs: Vec<FileJob>,
    /// For each entry of `desired`, the index of its job in `file_jobs`, if it has one.
    matches: Vec<Option<usize>>,
    /// For each entry of `desired`, the id of its job.
    ids: Vec<JobId>,
}

impl<'a> MatchedQueue<'a> {
    fn load<R: StateReader>(reader: &R, desired: &'a DesiredQueue, next: &mut JobId) -> Result<Self, R::Error> {
        let file_jobs = reader.file_jobs(&desired.id)?;
        let matches = match_entries(&desired.jobs, &file_jobs);
        let mut job_id = |index: &Option<usize>| {
            index.map_or_else(
                || {
                    let id = *next;
                    next.0 += 1;
                    id
                },
                |nth| file_jobs[nth].id,
            )
        };
        let ids = matches.iter().map(&mut job_id).collect();
        Ok(Self { desired, file_jobs, matches, ids })
    }
}

/// Finds the job of each entry, as its index.
///
/// A job is that of the entry with its name. But the job of an item is that of the same item first, so that it keeps its
/// history when a change of the patterns of files changes its name. Jobs that were added by a command and then written into
/// the file have the same digest.
fn match_entries(entries: &[Arc<Definition>], file_jobs: &[FileJob]) -> Vec<Option<usize>> {
    let name = |(nth, file_job): (usize, &'_ FileJob)| Some((file_job.definition.name.clone()?, nth));
    let by_name: HashMap<Arc<str>, usize, RandomState> = file_jobs.iter().enumerate().filter_map(name).collect();
    let named = |entry: &Definition| by_name.get(entry.name.as_deref()?).copied();
    let mut is_free = vec![true; file_jobs.len()];
    let mut take = |nth: usize| std::mem::replace(&mut is_free[nth], false).then_some(nth);
    let same = |entry: &Definition, nth: usize| match (entry.item(), file_jobs[nth].definition.item()) {
        (Some(item), Some(known)) => item == known,
        _ => true,
    };
    let take_named = |entry: &Arc<Definition>| named(entry).filter(|nth| same(entry, *nth)).and_then(&mut take);
    let mut matches: Vec<Option<usize>> = entries.iter().map(take_named).collect();
    let unmatched: Vec<usize> = (0..entries.len()).filter(|nth| matches[*nth].is_none()).collect();
    if unmatched.is_empty() || file_jobs.is_empty() {
        return matches;
    }
    let items = file_jobs.iter().enumerate().filter_map(|(nth, file_job)| Some((file_job.definition.item()?, nth)));
    let by_item: HashMap<(&str, &str), usize, RandomState> = items.collect();
    for nth in &unmatched {
        let found = entries[*nth].item().and_then(|item| by_item.get(&item));
        matches[*nth] = found.and_then(|found| take(*found));
    }
    let adopted = |(nth, file_job): (usize, &FileJob)| {
        let has_no_entry = file_job.definition.name.is_none() && file_job.removed.is_none();
        has_no_entry.then_some((file_job.definition.digest?, nth))
    };
    let mut adopted: Vec<(i64, usize)> = file_jobs.iter().enumerate().filter_map(adopted).collect();
    for nth in unmatched {
        let entry = &entries[nth];
        if matches[nth].is_none() && entry.name.is_some() {
            matches[nth] = named(entry).and_then(&mut take).or_else(|| {
                let at = adopted.iter().position(|(digest, _)| Some(*digest) == entry.digest)?;
                take(adopted.remove(at).1)
            });
        }
    }
    matches
}

/// Job ids by queue and name.
type NameIndex<'a> = HashMap<&'a QueueId, HashMap<&'a str, JobId, RandomState>, RandomState>;

/// Indexes the jobs of the file by name; empty if no job has needs.
fn index_names<'a>(queues: &[MatchedQueue<'a>]) -> NameIndex<'a> {
    let mut jobs = queues.iter().flat_map(|queue| &queue.desired.jobs);
    if jobs.all(|job| job.scheduling.needs.is_empty()) {
        return NameIndex::default();
    }
    let index = |MatchedQueue { desired, ids, .. }: &MatchedQueue<'a>| {
        let desired = *desired;
        let mut by_name = HashMap::with_capacity_and_hasher(ids.len(), RandomState::default());
        by_name.extend(desired.jobs.iter().zip(ids).filter_map(|(job, id)| Some((job.name.as_deref()?, *id))));
        (&desired.id, by_name)
    };
    queues.iter().map(index).collect()
}

/// Collects the events of a reconciliation.
struct ChangeCollector<'a, R> {
    reader: &'a R,
    now: DateTime<Utc>,
    /// The id of the first new job.
    first_new: JobId,
    names: NameIndex<'a>,
    /// The reserved jobs. Each of them may already be running.
    reserved: Vec<JobId>,
    events: Vec<Event>,
    /// Whether a job still has to change that is reserved, or has to be removed when its run ends.
    deferred: bool,
}

impl<R: StateReader> ChangeCollector<'_, R> {
    fn reconcile_queue(&mut self, matched: &MatchedQueue<'_>) -> Result<(), R::Error> {
        let MatchedQueue { desired, file_jobs, matches, ids } = matched;
        let current = self.reader.queue(&desired.id)?.map(|queue| queue.settings);
        // The file says nothing about the limit that a worker asked for.
        let parallel_override = current.as_ref().and_then(|settings| settings.parallel_override);
        let settings = QueueSettings { parallel_override, ..desired.settings.clone() };
        if current.as_ref() != Some(&settings) {
            self.events.push(Event::QueueDefined { queue: desired.id.clone(), settings });
        }
        self.remove_missing(file_jobs, matches)?;
        let jobs: Vec<Option<&FileJob>> = matches.iter().map(|index| index.map(|index| &file_jobs[index])).collect();
        let positions: Vec<_> = jobs.iter().map(|file_job| file_job.map(|file_job| file_job.position)).collect();
        let positions = assign_positions(&positions, self.reader.last_position(&desired.id)?);
        for (((definition, job), id), position) in desired.jobs.iter().zip(jobs).zip(ids).zip(positions) {
            match job {
                Some(file_job) => self.update(file_job, definition, position)?,
                None => self.add(*id, &desired.id, definition, position)?,
            }
        }
        Ok(())
    }

    /// Removes the pending jobs whose entry is no longer in the file.
    fn remove_missing(&mut self, file_jobs: &[FileJob], matches: &[Option<usize>]) -> Result<(), R::Error> {
        if file_jobs.is_empty() {
            return Ok(());
        }
        let mut is_in_file = vec![false; file_jobs.len()];
        matches.iter().flatten().for_each(|nth| is_in_file[*nth] = true);
        let jobs = file_jobs.iter().zip(is_in_file);
        let is_missing = |job: &FileJob| job.removed.is_none() && job.definition.name.is_some();
        for (job, _) in jobs.filter(|(job, is_in_file)| !is_in_file && is_missing(job)) {
            match job.phase {
                _ if self.reserved.contains(&job.id) => self.deferred = true,
                Phase::Pending => self.events.push(Event::Removed { job: job.id, reason: RemovalReason::NotInFile }),
                Phase::Running => self.deferred = true,
                Phase::Finished => self.mark_removed_from_file(job)?,
            }
        }
        Ok(())
    }

    /// Notes that a finished job has no entry any more, so that no schedule and no `process --again` runs it again, and no
    /// success is expected of it.
    fn mark_removed_from_file(&mut self, file_job: &FileJob) -> Result<(), R::Error> {
        if !file_job.definition.is_removed_from_file
            && let Some(job) = self.reader.job(file_job.id)?
        {
            let definition = Definition { is_removed_from_file: true, ..(*file_job.definition).clone() };
            self.events.push(Event::Redefined { job: file_job.id, definition: Arc::new(definition), needs: job.needs });
        }
        Ok(())
    }

    fn add(&mut self, id: JobId, queue: &QueueId, definition: &Arc<Definition>, position: i64) -> Result<(), R::Error> {
        let mut job = Job::from_definition(Arc::clone(definition));
        job.id = id;
        job.queue = queue.clone();
        job.position = position;
        job.enqueued = self.now;
        job.needs = self.resolve_needs(definition)?;
        // New jobs have not finished. The other needs are evaluated when the events are applied.
        let needs = job.needs.iter().any(|need| need.job >= self.first_new);
        job.state = JobState::Pending {
            requested: false,
            wait: WaitConditions { needs, ..WaitConditions::initial(&definition.scheduling, self.now) },
        };
        self.events.push(Event::Added { job: Box::new(job) });
        Ok(())
    }

    /// Resolves the needs of a definition. The file was checked, so that all of them exist.
    fn resolve_needs(&self, definition: &Definition) -> Result<Box<[ResolvedNeed]>, R::Error> {
        let mut needed = Vec::with_capacity(definition.scheduling.needs.len());
        for need in &definition.scheduling.needs {
            let job = match &need.job {
                JobRef::Named(queue, name) => self.names.get(queue).and_then(|jobs| jobs.get(&**name)).copied(),
                JobRef::Number(_) => None,
            };
            let job = job.map_or_else(|| self.reader.resolve(&need.job), |job| Ok(Some(job)))?;
            needed.extend(job.map(|job| ResolvedNeed { job, on: need.on }));
        }
        Ok(needed.into())
    }

    fn update(&mut self, file_job: &FileJob, definition: &Arc<Definition>, position: i64) -> Result<(), R::Error> {
        let rewritten = file_job.definition.digest != definition.digest;
        let redefined = file_job.definition != *definition;
        if self.reserved.contains(&file_job.id) {
            self.deferred |= redefined || file_job.position != position;
            return Ok(());
        }
        match file_job.removed {
            Some(RemovalReason::User) if !rewritten => return Ok(()),
            Some(_) => self.restore(file_job.id, definition)?,
            None => {}
        }
        if file_job.phase == Phase::Running {
            self.update_running(file_job, definition)?;
        } else if redefined {
            let needs = self.resolve_needs(definition)?;
            self.events.push(Event::Redefined { job: file_job.id, definition: Arc::clone(definition), needs });
            if file_job.phase == Phase::Pending {
                self.update_wait(file_job, definition)?;
            } else if !file_job.definition.runs_same_as(definition) {
                self.requeue(file_job.id, definition);
            }
        }
        if file_job.position != position {
            self.events.push(Event::Moved { job: file_job.id, position });
        }
        Ok(())
    }

    /// Records the definition that replaces that of a running job when its run ends.
    fn update_running(&mut self, file_job: &FileJob, definition: &Arc<Definition>) -> Result<(), R::Error> {
        let unchanged = Definition { replacement: None, ..(*file_job.definition).clone() };
        let replacement = (unchanged != **definition).then(|| Arc::clone(definition));
        if replacement != file_job.definition.replacement
            && let Some(job) = self.reader.job(file_job.id)?
        {
            let definition = Arc::new(Definition { replacement, ..unchanged });
            self.events.push(Event::Redefined { job: file_job.id, definition, needs: job.needs });
        }
        Ok(())
    }

    /// Updates the conditions of a pending job to its new scheduling options. Other conditions stay, such as the delay
    /// before a retry.
    fn update_wait(&mut self, file_job: &FileJob, definition: &Definition) -> Result<(), R::Error> {
        let (before, after) = (&file_job.definition.scheduling, &definition.scheduling);
        if before.after == after.after && before.confirm == after.confirm {
            return Ok(());
        }
        let job = if file_job.removed.is_some() {
            self.reader.removed_job(file_job.id)?
        } else {
            self.reader.job(file_job.id)?
        };
        let Some(job) = job else { return Ok(()) };
        let JobState::Pending { requested, wait: wait @ WaitConditions { forced: false, .. } } = job.state else {
            return Ok(());
        };
        // A requested job that was restored has been requeued.
        if requested && file_job.removed.is_some() {
            return Ok(());
        }
        let mut changed = wait;
        if before.after != after.after && !requested {
            let earliest = after.earliest_start(job.enqueued).filter(|until| *until > self.now);
            // A job that waits for a retry keeps waiting for that, too.
            changed.until = if job.current_attempt() > 0 { earliest.max(wait.until) } else { earliest };
        }
        if before.confirm != after.confirm {
            changed.confirm = after.confirm.is_some();
        }
        if changed != wait {
            self.events.push(Event::WaitChanged { job: file_job.id, wait: changed });
        }
        Ok(())
    }

    fn requeue(&mut self, job: JobId, definition: &Definition) {
        let wait = WaitConditions::initial(&definition.scheduling, self.now);
        self.events.push(Event::Requeued { job, requested: false, wait });
    }

    /// Makes finished jobs with sources or outputs pending if they need a job that this makes pending, such as that of a
    /// new item. Whether they run is decided by their files when their turn comes.
    fn requeue_dependents(&mut self, queues: &[MatchedQueue<'_>]) -> Result<(), R::Error> {
        let mut next: Vec<JobId> = self.events.iter().filter_map(Event::made_pending).collect();
        if next.is_empty() {
            return Ok(());
        }
        let mut dependents: HashMap<JobId, Vec<(JobId, &Arc<Definition>)>> = HashMap::new();
        for MatchedQueue { desired, file_jobs, matches, .. } in queues {
            for (definition, nth) in desired.jobs.iter().zip(matches) {
                let Some(job) = nth.map(|nth| &file_jobs[nth]) else { continue };
                let can_change = job.phase == Phase::Finished && job.removed.is_none() && definition.has_file_rules();
                if can_change && !definition.scheduling.needs.is_empty() {
                    for need in self.resolve_needs(definition)? {
                        dependents.entry(need.job).or_default().push((job.id, definition));
                    }
                }
            }
        }
        let mut visited: HashSet<JobId> = next.iter().copied().collect();
        while let Some(needed) = next.pop() {
            for (id, definition) in dependents.remove(&needed).unwrap_or_default() {
                let Some(job) = self.reader.job(id)? else { continue };
                if NeededState::of(&job.state, false) == NeededState::Succeeded && visited.insert(id) {
                    self.requeue(id, definition);
                    next.push(id);
                }
            }
        }
        Ok(())
    }

    /// Restores a removed job. A request made before its removal is dropped, because reconciliation starts nothing.
    fn restore(&mut self, id: JobId, definition: &Definition) -> Result<(), R::Error> {
        let Some(job) = self.reader.removed_job(id)? else { return Ok(()) };
        let was_requested = matches!(job.state, JobState::Pending { requested: true, .. });
        self.events.push(Event::Restored { job: Box::new(job) });
        if was_requested {
            self.requeue(id, definition);
        }
        Ok(())
    }
}
