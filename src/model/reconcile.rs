//! What changes when `jobs.yaml` does: new jobs become pending, changed ones are changed and pending again, removed
//! ones leave, everything else is left alone. A running job is never touched.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use foldhash::fast::RandomState;

use super::place::places;
use super::{
    Definition, Event, Filed, Job, JobId, Needed, Phase, Plan, QueueId, QueuePlan, Removal, Settings, State, Target,
    View, Wait,
};

/// The events that make the site as `plan` says.
///
/// While a job that should change is running, no version of the file is recorded as being in force, so that the next
/// reading finishes the work, whichever version it finds.
pub(super) fn events<V: View>(view: &V, plan: &Plan, now: DateTime<Utc>) -> Result<Vec<Event>, V::Error> {
    let present = view.stamp()?.unwrap_or_default();
    if present == plan.stamp {
        return Ok(Vec::new());
    }
    let planned: HashSet<_> = plan.queues.iter().map(|queue| &queue.id).collect();
    let mut queues = Vec::new();
    for queue in view.queues()?.into_iter().filter(|queue| !planned.contains(&queue.id)) {
        let settings = Settings { declared: false, order: u32::MAX, ..queue.settings };
        queues.push(QueuePlan { id: queue.id, settings, jobs: Vec::new() });
    }
    let new = view.next_job()?;
    let mut next = new;
    let known = queues.iter().chain(&plan.queues).map(|queue| Known::of(view, queue, &mut next));
    let known: Vec<Known<'_>> = known.collect::<Result<_, _>>()?;
    let mut changes = Changes { view, now, new, names: names(&known), events: Vec::new(), deferred: false };
    for queue in &known {
        changes.queue(queue)?;
    }
    let stamp = if changes.deferred { String::new() } else { plan.stamp.clone() };
    if stamp != present {
        changes.events.push(Event::FileRead { stamp });
    }
    Ok(changes.events)
}

/// A queue of the file, and what is known of its jobs.
struct Known<'a> {
    plan: &'a QueuePlan,
    /// All jobs that came from the file at some time.
    filed: Vec<Filed>,
    /// For each job of the plan, which of `filed` it is, if it isn't new.
    which: Vec<Option<usize>>,
    /// For each job of the plan, its number.
    ids: Vec<JobId>,
}

impl<'a> Known<'a> {
    fn of<V: View>(view: &V, plan: &'a QueuePlan, next: &mut JobId) -> Result<Self, V::Error> {
        let mut filed = view.filed(&plan.id)?;
        let reserved = view.reserved()?;
        if !reserved.is_empty() {
            // It may have been started by now.
            filed.iter_mut().filter(|job| reserved.contains(&job.id)).for_each(|job| job.phase = Phase::Running);
        }
        let name = |(nth, filed): (usize, &'_ Filed)| Some((filed.definition.name.clone()?, nth));
        let known: HashMap<Arc<str>, usize, RandomState> = filed.iter().enumerate().filter_map(name).collect();
        // What was added by hand has been written into the file since.
        let announced = |(nth, filed): (usize, &Filed)| {
            let waits = filed.definition.name.is_none() && filed.removed.is_none();
            waits.then_some((filed.definition.digest?, nth))
        };
        let mut announced: Vec<(i64, usize)> = filed.iter().enumerate().filter_map(announced).collect();
        let mut which = |job: &Arc<Definition>| {
            let named = known.get(job.name.as_deref()?).copied();
            named.or_else(|| {
                let at = announced.iter().position(|(digest, _)| Some(*digest) == job.digest)?;
                Some(announced.remove(at).1)
            })
        };
        let which: Vec<_> = plan.jobs.iter().map(&mut which).collect();
        let mut number = |which: &Option<usize>| {
            which.map_or_else(
                || {
                    let id = *next;
                    next.0 += 1;
                    id
                },
                |nth| filed[nth].id,
            )
        };
        let ids = which.iter().map(&mut number).collect();
        Ok(Self { plan, filed, which, ids })
    }
}

/// Jobs by queue and name.
type Names<'a> = HashMap<&'a QueueId, HashMap<&'a str, JobId, RandomState>, RandomState>;

/// The numbers of the jobs that others may need; none where no job needs any.
fn names<'a>(queues: &[Known<'a>]) -> Names<'a> {
    let mut jobs = queues.iter().flat_map(|queue| &queue.plan.jobs);
    if jobs.all(|job| job.terms.needs.is_empty()) {
        return Names::default();
    }
    let of = |Known { plan, ids, .. }: &Known<'a>| {
        let plan = *plan;
        let mut named = HashMap::with_capacity_and_hasher(ids.len(), RandomState::default());
        named.extend(plan.jobs.iter().zip(ids).filter_map(|(job, id)| Some((job.name.as_deref()?, *id))));
        (&plan.id, named)
    };
    queues.iter().map(of).collect()
}

struct Changes<'a, V> {
    view: &'a V,
    now: DateTime<Utc>,
    /// The number of the first job that is new.
    new: JobId,
    names: Names<'a>,
    events: Vec<Event>,
    /// A running job is in the way of a change.
    deferred: bool,
}

impl<V: View> Changes<'_, V> {
    fn queue(&mut self, known: &Known<'_>) -> Result<(), V::Error> {
        let Known { plan, filed, which, ids } = known;
        if self.view.queue(&plan.id)?.is_none_or(|queue| queue.settings != plan.settings) {
            self.events.push(Event::QueueDefined { queue: plan.id.clone(), settings: plan.settings.clone() });
        }
        self.gone(plan, filed);
        let known: Vec<Option<&Filed>> = which.iter().map(|nth| nth.map(|nth| &filed[nth])).collect();
        let positions: Vec<_> = known.iter().map(|filed| filed.map(|filed| filed.position)).collect();
        let places = places(&positions, self.view.last_position(&plan.id)?);
        for (((definition, known), id), place) in plan.jobs.iter().zip(known).zip(ids).zip(places) {
            match known {
                Some(filed) => self.revise(filed, definition, place)?,
                None => self.add(*id, &plan.id, definition, place)?,
            }
        }
        Ok(())
    }

    /// Takes out the pending jobs that the file no longer has.
    fn gone(&mut self, plan: &QueuePlan, filed: &[Filed]) {
        if filed.is_empty() {
            return;
        }
        let planned: HashSet<_, RandomState> = plan.jobs.iter().map(|definition| &definition.name).collect();
        let gone = |job: &&Filed| job.definition.name.is_some() && !planned.contains(&job.definition.name);
        for job in filed.iter().filter(|job| job.removed.is_none()).filter(gone) {
            match job.phase {
                Phase::Pending => self.events.push(Event::Removed { job: job.id, by: Removal::File }),
                Phase::Running => self.deferred = true,
                Phase::Finished => {}
            }
        }
    }

    fn add(&mut self, id: JobId, queue: &QueueId, definition: &Arc<Definition>, position: i64) -> Result<(), V::Error> {
        let mut job = Job::of(Arc::clone(definition));
        job.id = id;
        job.queue = queue.clone();
        job.position = position;
        job.enqueued = self.now;
        job.needs = self.needed(definition)?;
        // What is new has not finished. For all others the needs are looked at when the changes are made.
        let needs = job.needs.iter().any(|need| need.job >= self.new);
        job.state = State::Pending { asked: false, wait: Wait { needs, ..Wait::fresh(&definition.terms, self.now) } };
        self.events.push(Event::Added { job: Box::new(job) });
        Ok(())
    }

    /// The jobs that a definition needs. The file was checked: all of them are in it.
    fn needed(&self, definition: &Definition) -> Result<Box<[Needed]>, V::Error> {
        let mut needed = Vec::with_capacity(definition.terms.needs.len());
        for need in &definition.terms.needs {
            let job = match &need.job {
                Target::Named(queue, name) => self.names.get(queue).and_then(|jobs| jobs.get(&**name)).copied(),
                Target::Number(_) => None,
            };
            let job = job.map_or_else(|| self.view.target(&need.job), |job| Ok(Some(job)))?;
            needed.extend(job.map(|job| Needed { job, on: need.on }));
        }
        Ok(needed.into())
    }

    fn revise(&mut self, filed: &Filed, definition: &Arc<Definition>, position: i64) -> Result<(), V::Error> {
        let rewritten = filed.definition.digest != definition.digest;
        let redefined = filed.definition != *definition;
        if filed.phase == Phase::Running {
            self.deferred |= redefined || filed.position != position;
            return Ok(());
        }
        match filed.removed {
            Some(Removal::Hand) if !rewritten => return Ok(()),
            Some(_) => self.bring_back(filed.id, definition)?,
            None => {}
        }
        if redefined {
            let needs = self.needed(definition)?;
            self.events.push(Event::Redefined { job: filed.id, definition: Arc::clone(definition), needs });
            if filed.phase == Phase::Pending {
                self.on_other_terms(filed, definition)?;
            } else if rewritten {
                self.reopen(filed.id, definition);
            }
        }
        if filed.position != position {
            self.events.push(Event::Moved { job: filed.id, position });
        }
        Ok(())
    }

    /// A pending job waits for what its new terms say; what they don't change stays as it is, a delay before a retry,
    /// say.
    fn on_other_terms(&mut self, filed: &Filed, definition: &Definition) -> Result<(), V::Error> {
        let (before, after) = (&filed.definition.terms, &definition.terms);
        if before.after == after.after && before.confirm == after.confirm {
            return Ok(());
        }
        let job = if filed.removed.is_some() { self.view.removed(filed.id)? } else { self.view.job(filed.id)? };
        let Some(job) = job else { return Ok(()) };
        let State::Pending { asked: false, wait } = job.state else { return Ok(()) };
        let mut changed = wait;
        if before.after != after.after {
            let early = after.start_after(job.enqueued).filter(|until| *until > self.now);
            // One that is about to be tried again waits for that time, too.
            changed.until = if job.attempt() > 0 { early.max(wait.until) } else { early };
        }
        if before.confirm != after.confirm {
            changed.confirm = after.confirm.is_some();
        }
        if changed != wait {
            self.events.push(Event::Waits { job: filed.id, wait: changed });
        }
        Ok(())
    }

    fn reopen(&mut self, job: JobId, definition: &Definition) {
        let wait = Wait::fresh(&definition.terms, self.now);
        self.events.push(Event::Reopened { job, asked: false, wait });
    }

    /// Puts a job back. That somebody asked for it before it left is forgotten: reading a file starts nothing.
    fn bring_back(&mut self, id: JobId, definition: &Definition) -> Result<(), V::Error> {
        let Some(job) = self.view.removed(id)? else { return Ok(()) };
        let asked = matches!(job.state, State::Pending { asked: true, .. });
        self.events.push(Event::Restored { job: Box::new(job) });
        if asked {
            self.reopen(id, definition);
        }
        Ok(())
    }
}
