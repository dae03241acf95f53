//! What the reference makes of a `jobs.yaml`.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use setlist::model::{Definition, Ledger, OnFailure, Phase, Plan, Removal};

use super::{After, Card, Reference, Stage, name};

impl Reference {
    pub(super) fn read(&mut self, plan: &Plan, now: DateTime<Utc>) {
        if plan.stamp == self.stamp {
            return;
        }
        self.queues.iter_mut().for_each(|line| line.order = u32::MAX);
        for planned in &plan.queues {
            self.open(name(&planned.id));
            if let Ok(line) = self.line(&planned.id) {
                line.parallel = planned.settings.parallel;
                line.stop = planned.settings.on_failure == OnFailure::Stop;
                line.order = planned.settings.order;
                line.keep = planned.settings.keep.seconds.unwrap();
            }
        }
        self.queues.sort_by_key(|line| (line.order, line.name));
        let planned: Vec<(&'static str, &Arc<Definition>)> =
            plan.queues.iter().flat_map(|queue| queue.jobs.iter().map(|job| (name(&queue.id), job))).collect();
        let before = self.jobs.len();
        for (queue, definition) in &planned {
            if self.filed(queue, definition).is_none() {
                let id = self.jobs.len() as u64 + 1;
                self.jobs.push(Card::new(id, queue, Arc::clone(definition), now));
            }
        }
        let mut in_the_way = false;
        // They may have started by now.
        let reserved: Vec<u64> = self.reserved.iter().map(|reserved| reserved.job).collect();
        let running = |card: &Card| card.phase() == Phase::Running || reserved.contains(&card.id);
        for card in self.jobs.iter_mut().filter(|card| card.definition.digest.is_some()) {
            if planned.iter().any(|(queue, definition)| is_it(card, queue, definition)) {
                continue;
            }
            in_the_way |= running(card);
            if card.phase() == Phase::Pending && card.gone.is_none() && !running(card) {
                card.gone = Some(Removal::File);
            }
        }
        for (queue, definition) in &planned {
            let id = self.filed(queue, definition).unwrap();
            let is_new = usize::try_from(id).unwrap() > before;
            let needs = self.found(&definition.terms.needs).unwrap();
            let card = self.at(id);
            if is_new {
                card.needs = needs;
            } else if running(card) {
                in_the_way |= card.definition != **definition;
            } else if card.gone != Some(Removal::Hand) || card.definition.digest != definition.digest {
                card.revise(definition, needs, now);
            }
        }
        self.stamp = if in_the_way { String::new() } else { plan.stamp.clone() };
    }

    /// The job that a definition in the file is about.
    fn filed(&self, queue: &str, definition: &Definition) -> Option<u64> {
        self.jobs.iter().find(|card| is_it(card, queue, definition)).map(|card| card.id)
    }

    /// Takes over where the site has put the jobs after it has read a file: the jobs of the file are in the file's
    /// order, and the others in the order that they had. More is said in `reconcile.rs`.
    pub(in super::super) fn adopt_places_of(&mut self, plan: &Plan, site: &Ledger) {
        let places = self.places(site);
        for queue in &plan.queues {
            let in_file = queue.jobs.iter().filter_map(|definition| {
                let card = self.jobs.iter().find(|card| is_it(card, name(&queue.id), definition))?;
                let touched = card.phase() != Phase::Running && card.gone.is_none() && !self.is_reserved(card.id);
                touched.then(|| places[usize::try_from(card.id).unwrap() - 1])
            });
            assert!(in_file.is_sorted_by(|a, b| a < b), "the file's order in {}", queue.id);
        }
        let mut others: Vec<&Card> = self.jobs.iter().filter(|card| card.definition.digest.is_none()).collect();
        others.sort_by_key(|card| (card.queue, card.place, card.id));
        let in_order = |a: &&Card, b: &&Card| {
            // A job that was moved by hand may have got the place of one that had finished.
            let place = |card: &Card| (places[usize::try_from(card.id).unwrap() - 1], card.id);
            a.queue != b.queue || place(a) < place(b)
        };
        assert!(others.is_sorted_by(in_order), "jobs that are not in the file keep their order");
        self.jobs.iter_mut().zip(places).for_each(|(card, place)| card.place = place);
        // A job that runs may be in the way of the order, too.
        let running = |card: &Card| {
            let runs = card.phase() == Phase::Running || self.is_reserved(card.id);
            card.definition.digest.is_some() && runs
        };
        if site.stamp() == Some("") && self.jobs.iter().any(running) {
            self.stamp.clear();
        }
    }
}

impl Card {
    fn revise(&mut self, definition: &Arc<Definition>, needs: Vec<(u64, super::On)>, now: DateTime<Utc>) {
        // That somebody asked for it before it left is forgotten: reading a file starts nothing.
        let anew = self.gone.take().is_some() && self.phase() == Phase::Pending && self.asked();
        let rewritten = self.definition.digest != definition.digest;
        let before = std::mem::replace(&mut self.definition, Arc::clone(definition));
        if before != *definition {
            self.needs = needs;
        }
        if anew || (self.phase() == Phase::Finished && rewritten) {
            return self.renew(self.fresh(now), now);
        }
        let (enqueued, tried) = (self.enqueued, self.tries > 0);
        if let Stage::Pending { asked: false, until, confirm } = &mut self.stage {
            if before.terms.after != definition.terms.after {
                let early = match definition.terms.after {
                    Some(After::Delay(delay)) => Some(enqueued + delay),
                    Some(After::Time(time)) => Some(time),
                    None => None,
                };
                let early = early.filter(|until| *until > now);
                // It may be about to be tried again: then it waits for the later of the two times.
                *until = if tried { early.max(*until) } else { early };
            }
            if before.terms.confirm != definition.terms.confirm {
                *confirm = definition.terms.confirm.is_some();
            }
        }
    }
}

fn is_it(card: &Card, queue: &str, definition: &Definition) -> bool {
    card.queue == queue && card.definition.digest.is_some() && card.definition.name == definition.name
}
