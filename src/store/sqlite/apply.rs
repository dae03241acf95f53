//! Events become rows. What an event means for a job is said once, by [`Job::apply`].

use std::mem;

use chrono::{DateTime, Utc};
use rusqlite::{Result, params};

use super::codec::{Code, Flags, Json, Nanos};
use super::definition::Columns;
use super::known::Known;
use super::rows::Rows;
use crate::model::{
    Counters, Event, Exit, Job, JobId, Mode, Needed, QueueId, QueueView, Reservation, Run, Settings, State, Terms,
    View, WorkerId,
};
use crate::store::KEPT_EVENTS;

/// Old events are deleted when this many more have been counted: seldom, and never many at once.
const PRUNE_EVERY: u64 = 1_000;

impl Rows<'_> {
    /// Makes the changes that one command was decided to make, and records them.
    pub(super) fn apply(&mut self, events: &[Event], now: DateTime<Utc>) -> Result<()> {
        for event in events {
            self.make(event, now)?;
        }
        let Counters { seq: before, job, run, worker } = self.known.counters;
        let [job, run, worker] = [job, run, worker].map(u64::cast_signed);
        let last = before + events.len() as u64;
        for (seq, event) in (before + 1..).zip(events) {
            // The pruning at the end of the transaction would take the others away again.
            if seq + KEPT_EVENTS > last {
                let sql = "INSERT INTO events (seq, at, job, run, worker, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
                self.change(sql, (seq.cast_signed(), Nanos(now), job, run, worker, Json(event)))?;
            }
        }
        self.known.counters.seq = last;
        Ok(())
    }

    /// Ends the changes; returns what is known when they are made.
    pub(super) fn finish(self) -> Result<Known> {
        for worker in self.known.workers.iter().filter(|worker| self.reserving.contains(&worker.id)) {
            let reserved = (!worker.reserved.is_empty()).then_some(Json(&worker.reserved));
            self.change("UPDATE workers SET reserved = ?2 WHERE id = ?1", (worker.id, reserved))?;
        }
        let seq = self.known.counters.seq;
        if seq / PRUNE_EVERY != self.began / PRUNE_EVERY {
            self.change("DELETE FROM events WHERE seq <= ?1", [seq.saturating_sub(KEPT_EVENTS).cast_signed()])?;
        }
        Ok(self.known)
    }

    fn make(&mut self, event: &Event, now: DateTime<Utc>) -> Result<()> {
        match event {
            Event::QueueDefined { queue, settings } => self.define(queue, settings),
            Event::ModeChanged { queue, mode } => {
                self.known.queues.iter_mut().filter(|view| view.id == *queue).for_each(|view| view.mode = *mode);
                self.change("UPDATE queues SET mode = ?2 WHERE id = ?1", (queue, Json(mode)))
            }
            Event::Added { job } => self.add(job),
            Event::Restored { job } => {
                // It may be put into another queue than it was in.
                let sql = "UPDATE jobs SET removed = NULL, queue = ?2, position = ?3 WHERE id = ?1";
                self.change(sql, (job.id, &job.queue, job.position))
            }
            Event::Removed { job, by } => {
                self.forget();
                self.known.at_hand.remove(job);
                self.change("UPDATE jobs SET removed = ?2 WHERE id = ?1", (job, Json(by)))
            }
            Event::WorkerJoined { worker } => {
                self.known.counters.worker = self.known.counters.worker.max(worker.id.0);
                self.known.workers.push(worker.clone());
                let sql = "INSERT INTO workers (id, host, pid, queues) VALUES (?1, ?2, ?3, ?4)";
                self.change(sql, (worker.id, &worker.host, worker.pid, worker.queues.as_ref().map(Json)))
            }
            Event::Reserved { worker, jobs } => self.reserve(*worker, jobs),
            Event::WorkerLeft { worker } => {
                self.known.workers.retain(|known| known.id != *worker);
                self.change("DELETE FROM workers WHERE id = ?1", [worker])
            }
            Event::FileRead { stamp } => {
                self.known.stamp = Some(stamp.clone());
                self.change("UPDATE site SET stamp = ?1", [stamp])
            }
            about_a_job => match about_a_job.job() {
                Some(id) => self.alter(id, about_a_job, now),
                None => Ok(()),
            },
        }
    }

    /// What is reserved is written once, when the transaction ends: much of it has started by then.
    fn reserve(&mut self, id: WorkerId, jobs: &[Reservation]) -> Result<()> {
        let highest = jobs.iter().map(|reservation| reservation.run.0).max();
        self.known.counters.run = self.known.counters.run.max(highest.unwrap_or_default());
        let Some(worker) = self.known.workers.iter_mut().find(|worker| worker.id == id) else { return Ok(()) };
        let before = mem::replace(&mut worker.reserved, jobs.to_vec());
        self.reserving.insert(id);
        for new in jobs.iter().filter(|reservation| !before.contains(reservation)) {
            if let Some(job) = self.job(new.job)? {
                self.taken_up.push(job.clone());
                self.remember(job);
            }
        }
        Ok(())
    }

    fn define(&mut self, id: &QueueId, settings: &Settings) -> Result<()> {
        let sql = "INSERT INTO queues (id, settings, mode) VALUES (?1, ?2, ?3) \
                   ON CONFLICT (id) DO UPDATE SET settings = excluded.settings";
        self.change(sql, (id, Json(settings), Json(Mode::default())))?;
        let settings = settings.clone();
        if let Some(view) = self.known.queues.iter_mut().find(|view| view.id == *id) {
            view.settings = settings;
        } else {
            self.known.queues.push(QueueView { id: id.clone(), settings, mode: Mode::default() });
        }
        self.known.queues.sort_by(|a, b| (a.settings.order, &a.id).cmp(&(b.settings.order, &b.id)));
        Ok(())
    }

    fn add(&mut self, job: &Job) -> Result<()> {
        self.known.counters.job = self.known.counters.job.max(job.id.0);
        let sql = "INSERT INTO definitions (job, name, title, digest, run, command, rest) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        self.change(sql, Columns::of(&job.definition).with(&job.id))?;
        let sql = "INSERT INTO jobs (id, queue, position, state, outcome, finished, attempts, run, value, executed, \
                   enqueued, flags, until, earlier, worker, started, ended, ending, exit_code, exit_signal, \
                   rank, weight, needs) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, \
                   ?16, ?17, ?18, ?19, ?20, 0, 1, NULL)";
        self.write(sql, job)?;
        let terms = &job.definition.terms;
        if !terms.is_none() {
            self.keep_terms(job.id, terms, &job.needs)?;
        }
        Ok(())
    }

    fn alter(&mut self, id: JobId, event: &Event, now: DateTime<Utc>) -> Result<()> {
        let Some(mut job) = self.take(id)? else { return Ok(()) };
        if let Event::Redefined { definition, needs, .. } = event {
            for need in &job.needs {
                self.change("DELETE FROM needs WHERE needed = ?1 AND job = ?2", (need.job, id))?;
            }
            self.keep_terms(id, &definition.terms, needs)?;
            let sql = "UPDATE definitions SET name = ?2, title = ?3, digest = ?4, run = ?5, command = ?6, \
                           rest = ?7 WHERE job = ?1";
            self.change(sql, Columns::of(definition).with(&id))?;
        }
        if let Event::Started { run, .. } = event {
            self.known.counters.run = self.known.counters.run.max(run.id.0);
            if let Some(worker) = self.known.workers.iter_mut().find(|worker| worker.id == run.worker)
                && worker.redeem(id)
            {
                self.reserving.insert(worker.id);
            }
            job.last_run.as_ref().map_or(Ok(()), |earlier| self.keep_run(id, earlier))?;
        }
        job.apply(event, now);
        if let Event::Moved { position, .. } = event {
            self.change("UPDATE jobs SET position = ?2 WHERE id = ?1", (id, position))?;
            self.remember(job);
            return Ok(());
        }
        // Naming the place (?2, ?3) would write the index by position anew each time.
        let sql = "UPDATE jobs SET state = ?4, outcome = ?5, finished = ?6, attempts = ?7, run = ?8, value = ?9, \
                   executed = ?10, enqueued = ?11, flags = ?12, until = ?13, earlier = ?14, worker = ?15, \
                   started = ?16, ended = ?17, ending = ?18, exit_code = ?19, exit_signal = ?20 WHERE id = ?1";
        self.write(sql, &job)?;
        if let Event::Started { .. } = event {
            self.taken_up.push(job.clone());
        }
        // What follows from the event is likely to be asked of this job.
        self.remember(job);
        Ok(())
    }

    /// Keeps what decides when a job starts; for most jobs that is nothing.
    fn keep_terms(&self, id: JobId, terms: &Terms, needs: &[Needed]) -> Result<()> {
        let json = (!needs.is_empty()).then_some(Json(needs));
        let sql = "UPDATE jobs SET rank = ?2, weight = ?3, needs = ?4 WHERE id = ?1";
        self.change(sql, (id, -i64::from(terms.priority), terms.weight, json))?;
        for need in needs {
            self.change("INSERT OR IGNORE INTO needs (needed, job) VALUES (?1, ?2)", (need.job, id))?;
        }
        Ok(())
    }

    /// Runs a statement on all columns of a job but its definition.
    fn write(&self, sql: &str, job: &Job) -> Result<()> {
        let (outcome, finished) = match &job.state {
            State::Finished { outcome, at } => (Some(Json(outcome)), Some(Nanos(*at))),
            _ => (None, None),
        };
        let until = if let State::Pending { wait, .. } = &job.state { wait.until } else { None };
        let run = job.last_run.as_deref();
        let ending = run.and_then(|run| run.ending.as_ref());
        // Mostly the run's outcome is the job's.
        let own = ending.map(|ending| &ending.outcome).filter(|outcome| job.outcome() != Some(outcome));
        let exit = ending.and_then(|ending| ending.exit);
        let columns = params![
            job.id,
            job.queue,
            job.position,
            Code::from(job),
            outcome,
            finished,
            job.attempts,
            run.map(|run| run.id),
            job.value.as_ref().map(Json),
            job.executed.map(Nanos),
            Nanos(job.enqueued),
            Flags::from(&job.state),
            until.map(Nanos),
            job.earlier,
            run.map(|run| run.worker),
            run.map(|run| Nanos(run.started)),
            ending.map(|ending| Nanos(ending.at)),
            own.map(Json),
            exit.and_then(code),
            exit.and_then(signal),
        ];
        self.change(sql, columns)
    }

    /// Keeps a run that another one follows.
    fn keep_run(&self, job: JobId, run: &Run) -> Result<()> {
        let sql = "INSERT INTO runs (job, id, attempt, worker, started, ended, outcome, exit_code, exit_signal) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let ending = run.ending.as_ref();
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
        );
        self.change(sql, columns)
    }
}

fn code(exit: Exit) -> Option<i32> {
    if let Exit::Code(code) = exit { Some(code) } else { None }
}

fn signal(exit: Exit) -> Option<i32> {
    if let Exit::Signal(signal) = exit { Some(signal) } else { None }
}
