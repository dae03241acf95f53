//! Writes events to the database. What an event means for a job is defined in one place, [`Job::apply`].

use std::mem;

use chrono::{DateTime, Utc};
use rusqlite::{Result, params};

use super::columns::{Json, Nanos, StateCode, StateFlags};
use super::definition_columns::DefinitionColumns;
use super::need_rows::{self, NeedList};
use super::tx_cache::TxCache;
use super::tx_state::TxState;
use super::worker_scope::WorkerScope;
use crate::model::{
    Counters, Definition, EnvironmentId, Event, Exit, Job, JobId, JobState, NeededState, Phase, QueueId, QueueInfo,
    QueueMode, QueueSettings, RemovalReason, Reservation, ResolvedNeed, Run, SchedulingOptions, StateReader, WorkerId,
};
use crate::store::backend::MIN_RETAINED_EVENTS;

/// How many events are recorded between two deletions of old ones.
const EVENTS_PER_PRUNE: u64 = 1_000;

impl TxState<'_> {
    /// Applies the events of one command and records them.
    pub(super) fn apply(&mut self, events: &[Event], now: DateTime<Utc>) -> Result<()> {
        let adds_finished = |event: &Event| matches!(event, Event::Added { job } if job.phase() == Phase::Finished);
        let first_added = if events.iter().any(adds_finished) { u64::MAX } else { self.cache.counters.job + 1 };
        self.first_added = JobId(first_added);
        for event in events {
            self.apply_event(event, now)?;
        }
        let Counters { seq: before, job, run, worker } = self.cache.counters;
        let [job, run, worker] = [job, run, worker].map(u64::cast_signed);
        let last = before + events.len() as u64;
        for (seq, event) in (before + 1..).zip(events) {
            // Older ones would be deleted at the end of the transaction anyway.
            if seq + MIN_RETAINED_EVENTS > last {
                let sql = "INSERT INTO events (seq, at, job, run, worker, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
                self.execute(sql, (seq.cast_signed(), Nanos(now), job, run, worker, Json(event)))?;
            }
        }
        self.cache.counters.seq = last;
        Ok(())
    }

    /// Finishes the transaction's changes; returns the cache for the next transaction.
    pub(super) fn finish(self) -> Result<TxCache> {
        for worker in self.cache.workers.iter().filter(|worker| self.changed_reservations.contains(&worker.id)) {
            let reserved = (!worker.reserved.is_empty()).then_some(Json(&worker.reserved));
            self.execute("UPDATE workers SET reserved = ?2 WHERE id = ?1", (worker.id, reserved))?;
        }
        let seq = self.cache.counters.seq;
        if seq / EVENTS_PER_PRUNE != self.seq_before / EVENTS_PER_PRUNE {
            self.execute(
                "DELETE FROM events WHERE seq <= ?1",
                [seq.saturating_sub(MIN_RETAINED_EVENTS).cast_signed()],
            )?;
        }
        if self.has_removed_secrets {
            // Earlier events have the values too. A follower that needs one of them loads the site again.
            self.execute("DELETE FROM events WHERE seq <= ?1", [self.seq_before.cast_signed()])?;
        }
        Ok(self.cache)
    }

    fn apply_event(&mut self, event: &Event, now: DateTime<Utc>) -> Result<()> {
        match event {
            Event::QueueDefined { queue, settings } => self.define_queue(queue, settings),
            Event::ModeChanged { queue, mode } => {
                for info in self.cache.queues.iter_mut().filter(|info| info.id == *queue) {
                    (info.mode, info.environment, info.inputs) = (*mode, None, None);
                }
                if *mode == QueueMode::Paused {
                    self.withdraw_requests(queue)?;
                }
                let sql = "UPDATE queues SET mode = ?2, environment = NULL, inputs = NULL WHERE id = ?1";
                self.execute(sql, (queue, Json(mode)))
            }
            Event::QueueRequested { queue, environment, inputs } => {
                for info in self.cache.queues.iter_mut().filter(|info| info.id == *queue) {
                    info.environment = Some(*environment);
                    info.inputs.clone_from(inputs);
                }
                let sql = "UPDATE queues SET environment = ?2, inputs = ?3 WHERE id = ?1";
                self.execute(sql, (queue, environment, inputs.as_ref().map(Json)))
            }
            Event::Added { job } => self.insert_job(job),
            Event::Restored { job } => {
                // The job may be restored into another queue.
                let before = need_rows::needed_state(self.db, job.id)?;
                let sql = "UPDATE jobs SET removed = NULL, queue = ?2, position = ?3 WHERE id = ?1";
                self.execute(sql, (job.id, &job.queue, job.position))?;
                need_rows::change_state(self.db, job.id, before, NeededState::of(&job.state, false))?;
                // Jobs that it needs may have been deleted while it was removed.
                let counts = need_rows::count(&job.needs, |needed| self.needed_state(needed))?;
                if job.needs.is_empty() { Ok(()) } else { need_rows::set_counts(self.db, job.id, counts) }
            }
            Event::Removed { job, reason } => {
                if *reason == RemovalReason::NotInFile
                    && let Some(mut removed) = self.take(*job)?
                    && removed.forget_env()
                {
                    self.has_removed_secrets = true;
                    self.write_definition(*job, &removed.definition)?;
                }
                if *reason == RemovalReason::NotInFile {
                    self.execute("UPDATE jobs SET environment = NULL WHERE id = ?1", [job])?;
                }
                self.forget_last_job();
                self.cache.active_jobs.remove(job);
                let before = need_rows::needed_state(self.db, *job)?;
                self.execute("UPDATE jobs SET removed = ?2 WHERE id = ?1", (job, Json(reason)))?;
                need_rows::change_state(self.db, *job, before, need_rows::needed_state(self.db, *job)?)
            }
            Event::WorkerJoined { worker } => {
                self.cache.counters.worker = self.cache.counters.worker.max(worker.id.0);
                self.cache.workers.push(worker.clone());
                let sql = "INSERT INTO workers (id, host, pid, queues) VALUES (?1, ?2, ?3, ?4)";
                self.execute(sql, (worker.id, &worker.host, worker.pid, WorkerScope::of(worker).map(Json)))
            }
            Event::Reserved { worker, jobs } => self.reserve(*worker, jobs),
            Event::WorkerDraining { worker: id } => {
                let Some(worker) = self.cache.workers.iter_mut().find(|worker| worker.id == *id) else { return Ok(()) };
                worker.draining = true;
                let scope = WorkerScope::of(worker).map(Json);
                self.execute("UPDATE workers SET queues = ?2 WHERE id = ?1", (id, scope))
            }
            Event::WorkerLeft { worker } => {
                self.cache.workers.retain(|known| known.id != *worker);
                self.execute("DELETE FROM workers WHERE id = ?1", [worker])
            }
            Event::ScheduleChanged { .. }
            | Event::ScheduleEnded { .. }
            | Event::DueRecorded { .. }
            | Event::DueWithdrawn { .. }
            | Event::ExpectationChanged { .. }
            | Event::ExpectationEnded { .. }
            | Event::Overdue { .. } => self.apply_to_schedules(event),
            Event::PoolsDefined { pools } => {
                self.cache.pools.clone_from(pools);
                self.execute("UPDATE site SET pools = ?1", [(!pools.is_empty()).then_some(Json(pools))])
            }
            Event::FileApplied { file_version } => {
                self.cache.file_version = Some(file_version.clone());
                self.execute("UPDATE site SET stamp = ?1", [file_version])
            }
            about_a_job => match about_a_job.job() {
                Some(id) => self.update_job(id, about_a_job, now),
                None => Ok(()),
            },
        }
    }

    /// Reservations are written once, when the transaction ends: many of them have started by then.
    fn reserve(&mut self, id: WorkerId, jobs: &[Reservation]) -> Result<()> {
        let highest = jobs.iter().map(|reservation| reservation.run.0).max();
        self.cache.counters.run = self.cache.counters.run.max(highest.unwrap_or_default());
        let Some(worker) = self.cache.workers.iter_mut().find(|worker| worker.id == id) else { return Ok(()) };
        let before = mem::replace(&mut worker.reserved, jobs.to_vec());
        self.changed_reservations.insert(id);
        for new in jobs.iter().filter(|reservation| !before.contains(reservation)) {
            if let Some(job) = self.job(new.job)? {
                let environment = job.environment.or_else(|| self.queue_environment(&job.queue));
                self.claimed.push(Job { environment, ..job.clone() });
                self.remember(job);
            }
        }
        Ok(())
    }

    fn define_queue(&mut self, id: &QueueId, settings: &QueueSettings) -> Result<()> {
        let sql = "INSERT INTO queues (id, settings, mode) VALUES (?1, ?2, ?3) \
                   ON CONFLICT (id) DO UPDATE SET settings = excluded.settings";
        self.execute(sql, (id, Json(settings), Json(QueueMode::default())))?;
        let settings = settings.clone();
        if let Some(info) = self.cache.queues.iter_mut().find(|info| info.id == *id) {
            let env = |settings: &QueueSettings| settings.on_overdue.as_ref().map(|hook| hook.env.clone());
            let before = env(&info.settings).filter(|env| !env.is_empty());
            self.has_removed_secrets |= before.is_some() && before != env(&settings);
            info.settings = settings;
        } else {
            self.cache.queues.push(QueueInfo {
                id: id.clone(),
                settings,
                mode: QueueMode::default(),
                environment: None,
                inputs: None,
            });
        }
        self.cache.queues.sort_by(|a, b| (a.settings.order, &a.id).cmp(&(b.settings.order, &b.id)));
        Ok(())
    }

    /// Same as in memory: the requests for the jobs of a queue that is paused are withdrawn.
    fn withdraw_requests(&mut self, queue: &QueueId) -> Result<()> {
        self.forget_last_job();
        self.cache.active_jobs.values_mut().filter(|job| job.queue == *queue).for_each(Job::withdraw_request);
        let sql = "UPDATE jobs SET flags = flags & ~1, state = CASE state WHEN 4 THEN 5 WHEN 6 THEN 7 ELSE state END \
                   WHERE queue = ?1 AND state > 0 AND flags & 1";
        self.execute(sql, [queue])
    }

    fn insert_job(&mut self, job: &Job) -> Result<()> {
        self.cache.counters.job = self.cache.counters.job.max(job.id.0);
        let sql = "INSERT INTO definitions (job, name, title, digest, run, command, rest) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        self.execute(sql, DefinitionColumns::of(&job.definition).with(&job.id))?;
        let sql = "INSERT INTO jobs (id, queue, position, state, outcome, finished, attempts, run, value, executed, \
                   enqueued, flags, until, earlier, worker, started, ended, ending, exit_code, exit_signal, \
                   environment, approval, run_approval, cause, usage, run_inputs, stalled, success, inputs, rank, \
                   weight) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, \
                   ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, 0, 1)";
        self.write_job(sql, job)?;
        let terms = &job.definition.scheduling;
        if !terms.is_default() {
            self.save_scheduling(job.id, terms, &job.needs)?;
        }
        // Jobs that were added before it count it as unfinished.
        need_rows::change_state(self.db, job.id, NeededState::Unfinished, NeededState::of(&job.state, false))
    }

    fn update_job(&mut self, id: JobId, event: &Event, now: DateTime<Utc>) -> Result<()> {
        let Some(mut job) = self.take(id)? else { return Ok(()) };
        if let Event::Redefined { definition, needs, .. } = event {
            need_rows::delete_edges(self.db, id, &job.needs)?;
            self.save_scheduling(id, &definition.scheduling, needs)?;
            self.has_removed_secrets |=
                job.definition.env().is_some_and(|env| !env.is_empty() && Some(env) != definition.env());
            self.write_definition(id, definition)?;
        }
        if let Event::Started { run, .. } = event {
            self.cache.counters.run = self.cache.counters.run.max(run.id.0);
            if let Some(worker) = self.cache.workers.iter_mut().find(|worker| worker.id == run.worker)
                && worker.take_reservation(id)
            {
                self.changed_reservations.insert(worker.id);
            }
            job.last_run_with_value().map_or(Ok(()), |earlier| self.archive_run(id, &earlier))?;
        }
        let before = NeededState::of(&job.state, false);
        job.apply(event, now);
        need_rows::change_state(self.db, id, before, NeededState::of(&job.state, false))?;
        if let Event::Started { .. } = event
            && let Some(queue) = self.cache.queues.iter().find(|info| info.id == job.queue)
        {
            job.take_queue_request(queue.environment, queue.inputs.as_ref());
        }
        if let Event::Moved { position, .. } = event {
            self.execute("UPDATE jobs SET position = ?2 WHERE id = ?1", (id, position))?;
            self.remember(job);
            return Ok(());
        }
        // Setting the queue and the position (?2, ?3) would rewrite the index by position.
        let sql = "UPDATE jobs SET state = ?4, outcome = ?5, finished = ?6, attempts = ?7, run = ?8, value = ?9, \
                   executed = ?10, enqueued = ?11, flags = ?12, until = ?13, earlier = ?14, worker = ?15, \
                   started = ?16, ended = ?17, ending = ?18, exit_code = ?19, exit_signal = ?20, environment = ?21, \
                   approval = ?22, run_approval = ?23, cause = ?24, usage = ?25, run_inputs = ?26, stalled = ?27, \
                   success = ?28, inputs = ?29 WHERE id = ?1";
        self.write_job(sql, &job)?;
        if let Event::Started { .. } = event {
            self.claimed.push(job.clone());
        }
        // The following decisions are likely to read this job.
        self.remember(job);
        Ok(())
    }

    fn write_definition(&self, id: JobId, definition: &Definition) -> Result<()> {
        let sql = "UPDATE definitions SET name = ?2, title = ?3, digest = ?4, run = ?5, command = ?6, rest = ?7 \
                   WHERE job = ?1";
        self.execute(sql, DefinitionColumns::of(definition).with(&id))
    }

    /// Saves what decides when a job starts. Most jobs have nothing to save.
    fn save_scheduling(&self, id: JobId, terms: &SchedulingOptions, needs: &[ResolvedNeed]) -> Result<()> {
        let sql = "UPDATE jobs SET rank = ?2, weight = ?3, unique_key = ?4 WHERE id = ?1";
        self.execute(sql, (id, -i64::from(terms.priority), terms.weight, &terms.unique))?;
        let list = (!needs.is_empty()).then(|| NeedList(needs.into()));
        self.execute("UPDATE definitions SET needs = ?2 WHERE job = ?1", (id, list))?;
        need_rows::insert_edges(self.db, id, needs)?;
        let counts = need_rows::count(needs, |needed| self.needed_state(needed))?;
        need_rows::set_counts(self.db, id, counts)
    }

    /// What the state of a job means for those that need it. A job that the same events will add is unfinished.
    fn needed_state(&self, id: JobId) -> Result<NeededState> {
        if id >= self.first_added || id.0 > self.cache.counters.job {
            return Ok(NeededState::Unfinished);
        }
        need_rows::needed_state(self.db, id)
    }

    /// Runs a statement with all columns of a job except its definition.
    fn write_job(&self, sql: &str, job: &Job) -> Result<()> {
        let (outcome, finished) = match &job.state {
            JobState::Finished { outcome, at } => (Some(Json(outcome)), Some(Nanos(*at))),
            _ => (None, None),
        };
        let until = if let JobState::Pending { wait, .. } = &job.state { wait.until } else { None };
        let run = job.last_run.as_deref();
        let ending = run.and_then(|run| run.end.as_ref());
        // Usually the outcome of the run is that of the job.
        let run_outcome = ending.map(|ending| &ending.outcome).filter(|outcome| job.outcome() != Some(outcome));
        let exit = ending.and_then(|ending| ending.exit);
        let columns = params![
            job.id,
            job.queue,
            job.position,
            StateCode::from(job),
            outcome,
            finished,
            job.attempts,
            run.map(|run| run.id),
            job.value.as_deref().map(Json),
            job.executed.map(Nanos),
            Nanos(job.enqueued),
            StateFlags::from(&job.state),
            until.map(Nanos),
            job.prior_attempts,
            run.map(|run| run.worker),
            run.map(|run| Nanos(run.started)),
            ending.map(|ending| Nanos(ending.at)),
            run_outcome.map(Json),
            exit.and_then(code),
            exit.and_then(signal),
            job.environment,
            job.approval.as_ref().map(Json),
            run.and_then(|run| run.approval.as_ref()).map(Json),
            ending.and_then(|ending| ending.cause.as_ref()).map(Json),
            ending.and_then(|ending| ending.usage.as_ref()).map(Json),
            run.and_then(|run| run.inputs.as_ref()).map(Json),
            run.and_then(|run| run.stalled).map(Nanos),
            job.success.as_ref().map(Json),
            job.inputs.as_ref().map(Json),
        ];
        self.execute(sql, columns)
    }

    fn queue_environment(&self, queue: &QueueId) -> Option<EnvironmentId> {
        self.cache.queues.iter().find(|info| info.id == *queue)?.environment
    }

    /// Archives a run that is followed by another one.
    pub(super) fn archive_run(&self, job: JobId, run: &Run) -> Result<()> {
        let sql = "INSERT INTO runs (job, id, attempt, worker, started, ended, outcome, exit_code, exit_signal, \
                   value, approval, cause, usage, inputs) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
        let ending = run.end.as_ref();
        let exit = ending.and_then(|ending| ending.exit);
        let columns = (
            job,
            run.id,
            run.attempt,
            run.worker,
            Nanos(run.started),
            ending.map(|ending| Nanos(ending.at)),
            ending.map(|ending| Json(&ending.outcome)),
            exit.and_then(code),
            exit.and_then(signal),
            ending.and_then(|ending| ending.value.as_ref()).map(Json),
            run.approval.as_ref().map(Json),
            ending.and_then(|ending| ending.cause.as_ref()).map(Json),
            ending.and_then(|ending| ending.usage.as_ref()).map(Json),
            run.inputs.as_ref().map(Json),
        );
        self.execute(sql, columns)
    }
}

fn code(exit: Exit) -> Option<i32> {
    if let Exit::Code(code) = exit { Some(code) } else { None }
}

fn signal(exit: Exit) -> Option<i32> {
    if let Exit::Signal(signal) = exit { Some(signal) } else { None }
}
