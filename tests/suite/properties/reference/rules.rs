//! The rules of the reference: who waits for whom, what is next, when a queue is at its end, what is tried again.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use setlist::model::{Exit, Mode, On, Outcome, Phase, QueueId, Report, RetryOn};

use super::{Card, Line, Reference, Stage};

/// How one of a job's needs stands.
enum Need {
    Met,
    Open,
    Lost(String),
}

impl Reference {
    /// All jobs look at those that they need, then all change at once; until nobody changes. Then queues that are at
    /// their end fall idle.
    pub(super) fn settle(&mut self, by_file: bool, now: DateTime<Utc>) {
        loop {
            let before = self.clone();
            for card in self.jobs.iter_mut().filter(|card| card.gone.is_none()) {
                let processing = before.mode(card.queue) == Mode::Processing;
                match &card.stage {
                    Stage::Pending { asked: false, .. } if processing => {
                        if let Some(reason) = before.lost(card) {
                            card.stage = Stage::Finished { outcome: Outcome::Skipped { reason }, at: now };
                        }
                    }
                    Stage::Finished { outcome: Outcome::Skipped { .. }, .. } if before.all_met(card) => {
                        // It was wanted, so it runs; but what the file says starts nothing.
                        let (asked, confirm) = (!processing && !by_file, card.definition.terms.confirm.is_some());
                        card.renew(Stage::Pending { asked, until: None, confirm }, now);
                    }
                    _ => {}
                }
            }
            if *self == before {
                break;
            }
        }
        let alive = self.alive();
        for line in &mut self.queues {
            if line.mode == Mode::Processing && !alive.contains(line.name) {
                line.mode = Mode::Idle;
            }
        }
    }

    /// The queues that process and in which something ends or starts by itself, sooner or later.
    fn alive(&self) -> BTreeSet<&'static str> {
        let mut alive = BTreeSet::new();
        loop {
            let found = |line: &&Line| line.mode == Mode::Processing && self.lives(line.name, &alive);
            let now: BTreeSet<_> = self.queues.iter().filter(found).map(|line| line.name).collect();
            if now == alive {
                return alive;
            }
            alive = now;
        }
    }

    fn lives(&self, queue: &str, others: &BTreeSet<&str>) -> bool {
        let comes = |(id, _): &(u64, On)| {
            let needed = &self.jobs[usize::try_from(*id).unwrap() - 1];
            match needed.stage {
                _ if needed.gone.is_some() => false,
                Stage::Running { .. } | Stage::Pending { asked: true, confirm: false, .. } => true,
                Stage::Pending { .. } if needed.queue == queue => false,
                // A pause is over some time.
                Stage::Pending { .. } => others.contains(needed.queue) || self.mode(needed.queue) == Mode::Paused,
                Stage::Finished { .. } => false,
            }
        };
        let mut own = self.jobs.iter().filter(|card| card.queue == queue && card.gone.is_none());
        own.any(|card| match card.stage {
            Stage::Running { .. } => true,
            Stage::Pending { confirm: true, .. } | Stage::Finished { .. } => false,
            Stage::Pending { .. } => !self.waits_for_others(card) || card.needs.iter().any(comes),
        })
    }

    fn need(&self, id: u64, on: On) -> Need {
        let needed = &self.jobs[usize::try_from(id).unwrap() - 1];
        let Stage::Finished { outcome, .. } = &needed.stage else {
            let lost = || Need::Lost(format!("needs {}, which was removed", needed.path()));
            return needed.gone.map_or(Need::Open, |_| lost());
        };
        let became = match outcome {
            Outcome::Succeeded => "succeeded",
            Outcome::Failed(_) => "failed",
            Outcome::Cancelled => "was cancelled",
            Outcome::Interrupted => "was interrupted",
            Outcome::Skipped { .. } => "was skipped",
        };
        match on {
            On::Finish => Need::Met,
            On::Success if became == "succeeded" => Need::Met,
            On::Failure if ["failed", "was interrupted"].contains(&became) => Need::Met,
            On::Success => Need::Lost(format!("needs {}, which {became}", needed.path())),
            On::Failure => Need::Lost(format!("needs {} to fail, which {became}", needed.path())),
        }
    }

    fn all_met(&self, card: &Card) -> bool {
        card.needs.iter().all(|(id, on)| matches!(self.need(*id, *on), Need::Met))
    }

    /// Why it can't run any more.
    fn lost(&self, card: &Card) -> Option<String> {
        card.needs.iter().find_map(|(id, on)| if let Need::Lost(why) = self.need(*id, *on) { Some(why) } else { None })
    }

    pub(super) fn waits_for_others(&self, card: &Card) -> bool {
        !card.asked() && !self.all_met(card)
    }

    /// The time that a job waits for, if it waits for nothing else.
    pub(super) fn waits_for_time_only(&self, card: &Card) -> Option<DateTime<Utc>> {
        match card.stage {
            _ if card.gone.is_some() || self.waits_for_others(card) => None,
            Stage::Pending { until, confirm: false, .. } => until,
            _ => None,
        }
    }

    pub(super) fn is_ready(&self, card: &Card) -> bool {
        let waits = !matches!(card.stage, Stage::Pending { until: None, confirm: false, .. });
        !waits && card.gone.is_none() && !self.waits_for_others(card)
    }

    fn mode(&self, queue: &str) -> Mode {
        self.queues.iter().find(|line| line.name == queue).unwrap().mode
    }

    pub(in super::super) fn list(&self, queue: &str, phase: Phase) -> Vec<u64> {
        let own = |card: &&Card| card.queue == queue && card.gone.is_none() && card.phase() == phase;
        let mut cards: Vec<_> = self.jobs.iter().filter(own).collect();
        let finished = |card: &Card| if let Stage::Finished { at, .. } = card.stage { Some(at) } else { None };
        match phase {
            Phase::Pending => cards.sort_by_key(|card| (Reverse(card.definition.terms.priority), card.place)),
            Phase::Running => cards.sort_by_key(|card| (card.started, card.run)),
            Phase::Finished => cards.sort_by_key(|card| (finished(card), card.run)),
        }
        cards.into_iter().map(|card| card.id).collect()
    }

    pub(super) fn open_jobs(&self, queue: &str) -> usize {
        self.list(queue, Phase::Pending).len() + self.list(queue, Phase::Running).len()
    }

    /// How many slots of a queue are taken.
    pub(in super::super) fn taken(&self, queue: &str) -> u32 {
        let weight = |id: u64| self.jobs[usize::try_from(id).unwrap() - 1].definition.terms.weight;
        self.list(queue, Phase::Running).into_iter().map(weight).sum()
    }

    /// What starts next: what somebody asked for, else what its turn is. If it doesn't fit, its queue waits for room.
    pub(super) fn next(&self, queues: Option<&[QueueId]>) -> Option<u64> {
        let wanted = |line: &&Line| queues.is_none_or(|queues| queues.contains(&line.name.into()));
        self.queues.iter().filter(wanted).find_map(|line| {
            let (taken, mode) = (self.taken(line.name), line.mode);
            let pending = self.list(line.name, Phase::Pending);
            let pending = pending.into_iter().map(|id| &self.jobs[usize::try_from(id).unwrap() - 1]);
            let ready: Vec<_> = pending.filter(|card| self.is_ready(card) && !self.is_reserved(card.id)).collect();
            let asked = ready.iter().find(|card| card.asked());
            let next = asked.or(ready.first().filter(|_| mode == Mode::Processing))?;
            let fits = taken == 0 || taken + next.definition.terms.weight <= line.parallel;
            (fits && mode != Mode::Paused).then_some(next.id)
        })
    }

    /// When something starts that only waits for its time.
    pub(super) fn next_time(&self, queues: Option<&[QueueId]>) -> Option<DateTime<Utc>> {
        let wanted = |line: &&Line| queues.is_none_or(|queues| queues.contains(&line.name.into()));
        let times = self.queues.iter().filter(wanted).flat_map(|line| {
            let starts = move |card: &&Card| match line.mode {
                Mode::Paused => false,
                Mode::Processing => true,
                Mode::Idle | Mode::Stopped => card.asked(),
            };
            let own = self.jobs.iter().filter(|card| card.queue == line.name);
            own.filter(starts).filter_map(|card| self.waits_for_time_only(card))
        });
        times.min()
    }
}

/// When a job is tried again whose run has ended so; none if that was the last.
pub(super) fn tried_again(card: &Card, report: &Report, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let retry = &card.definition.terms.retry;
    // Who told it to stop doesn't want it to go on.
    let told_to_stop = matches!(card.stage, Stage::Running { stop: Some(_), .. });
    let covered = match &report.outcome {
        Outcome::Failed(failure) => {
            retry.on.is_empty()
                || retry.on.contains(&RetryOn::Failure(failure.kind))
                || matches!(report.exit, Some(Exit::Code(code)) if retry.on.contains(&RetryOn::Code(code)))
        }
        Outcome::Interrupted => retry.on.contains(&RetryOn::Interrupted),
        _ => false,
    };
    if told_to_stop || !covered || card.tries > retry.max {
        return None;
    }
    // In half milliseconds: the tests' factors are halves.
    let half = |duration: Duration| u64::try_from(duration.as_millis()).unwrap() * 2;
    let longest = half(retry.max_delay.max(retry.delay));
    let mut delay = half(retry.delay);
    for _ in 1..card.tries {
        delay = (delay * halves(retry.backoff) / 2).clamp(delay, longest);
    }
    Some(now + Duration::from_micros(delay * 500))
}

/// A factor as a number of halves.
fn halves(factor: f64) -> u64 {
    (1..20).find(|halves| f64::from(u32::try_from(*halves).unwrap()) / 2.0 >= factor).unwrap()
}
