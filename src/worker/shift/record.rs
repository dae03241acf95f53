//! What is recorded in one transaction, and what comes of it.

use std::mem;

use super::start::log_limit;
use super::{Running, Shift, Tell};
use crate::crash;
use crate::model::{Command, NothingTo, QueueId, Refusal, Stop};
use crate::store::{Store, StoreError, Transacted};
use crate::worker::recorder::{Batch, Tried};
use crate::worker::stock::AHEAD;

/// How many jobs are claimed in one transaction when it isn't known how many are ready.
const HANDFUL: usize = 16;

impl Shift {
    /// What there is to record and to ask for.
    pub(super) fn batch(&mut self) -> Option<Batch> {
        // What was reserved meanwhile comes before what can be claimed.
        self.fill();
        let now = self.now;
        let ripe = self.stock.is_empty() && self.urgency.is_none() && self.due.take_if(|due| *due <= now).is_some();
        self.hungry |= ripe;
        let claims = match self.urgency {
            Some(_) => 0,
            None if self.hungry => HANDFUL,
            None => self.freed.len(),
        };
        let idle = self.reports.is_empty() && claims == 0 && !ripe;
        let releases = self.stock.is_stale() || (self.wants_calm() && !self.stock.is_empty());
        if idle && !releases {
            return None;
        }
        let wanted = if releases { Vec::new() } else { self.wanted() };
        self.freed.clear();
        let mut commands = mem::take(&mut self.reports);
        if wanted.is_empty() && !self.stock.is_empty() {
            self.stock.give_up();
            commands.push((Command::Release { worker: self.id }, now));
        }
        commands.extend(ripe.then_some((Command::Ripen, now)));
        let claim = Command::Claim { worker: self.id, queues: self.queues.clone() };
        commands.extend((0..claims).map(|_| (claim.clone(), now)));
        if !wanted.is_empty() {
            commands.push((Command::Reserve { worker: self.id, queues: wanted }, now));
        }
        Some(Batch { commands, claims })
    }

    /// How many jobs of which queues it would like to have reserved.
    fn wanted(&mut self) -> Vec<(QueueId, usize)> {
        if self.running.is_empty() || self.wants_calm() || !self.stock.may_grow(&self.pace) {
            return Vec::new();
        }
        let mut wanted: Vec<(QueueId, usize)> = Vec::new();
        for Running { job, ended, .. } in self.running.values() {
            let at = wanted.iter().position(|(queue, _)| *queue == job.queue).unwrap_or_else(|| {
                wanted.push((job.queue.clone(), 0));
                wanted.len() - 1
            });
            wanted[at].1 += usize::from(!ended);
        }
        for (_, running) in &mut wanted {
            *running = AHEAD * (*running).max(1);
        }
        wanted
    }

    /// Whether something has to be done that is not for a worker that has jobs reserved.
    pub(super) fn wants_calm(&self) -> bool {
        let due = self.due.is_some_and(|due| due <= self.now);
        self.urgency.is_some() || due || self.alarm.is_some() || self.rests || self.reload.is_due()
    }

    /// A transaction is over, or has failed: then none of it has happened.
    pub(super) fn conclude(
        &mut self,
        store: &mut dyn Store,
        tried: Tried,
        tell: &mut impl Tell,
    ) -> Result<(), StoreError> {
        let Tried { batch: Batch { commands, claims }, result, took } = tried;
        let Transacted { before, answers, taken_up } = match result {
            Ok(transacted) => transacted,
            Err(error) => {
                let happened =
                    |(command, _): &(Command, _)| matches!(command, Command::Report { .. } | Command::Begin { .. });
                let later = mem::take(&mut self.reports);
                self.reports.extend(commands.into_iter().filter(happened).chain(later));
                self.hungry |= claims > 0;
                self.stock.give_up();
                return Err(error);
            }
        };
        self.pace.recorded(took);
        if commands.iter().any(|(command, _)| matches!(command, Command::Report { .. })) {
            crash::point("recorded");
        }
        let claimed =
            commands.iter().zip(&answers).filter(|((command, _), _)| matches!(command, Command::Claim { .. }));
        self.hungry &= claims > 0;
        for (_, answer) in claimed {
            self.hungry &= answer.is_ok();
            if let Err(Refusal::Nothing(NothingTo::Start { until })) = answer {
                self.due = *until;
            }
        }
        for ((command, _), answer) in commands.iter().zip(&answers) {
            if let (Command::Begin { run, .. }, Err(_)) = (command, answer) {
                // It was taken for dead: what it has started is no run of the job.
                self.runner.stop(*run, Stop::Kill);
                self.running.remove(run);
                self.stock.disown(*run);
            }
        }
        let events = answers.iter().flatten().flatten();
        self.stock.recorded(self.id, events, &taken_up, |job, run| store.log_writer(run, log_limit(job)));
        for job in taken_up {
            if job.running().is_some_and(|run| !self.running.contains_key(&run)) {
                self.start(store, job);
            }
        }
        self.news |= before != self.seen;
        if !self.news {
            let times = commands.iter().map(|(_, at)| *at);
            self.note(store, before, times.zip(answers), tell);
        }
        Ok(())
    }
}
