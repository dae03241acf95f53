//! What becomes of queues: processed, paused, wider or narrower; and everything stopped.

use std::num::NonZero;

use chrono::{DateTime, Utc};

use super::marked::{these, whereabouts};
use super::{Acted, Deed, ask, submit};
use crate::model::{Command, JobId, Mode, QueueId, Stop};
use crate::tui::action::Action;
use crate::tui::dialog::Dialog;
use crate::tui::state::Screen;
use crate::tui::wake::{Asked, Effect, Order, Why};

impl Screen {
    /// The queue in front.
    pub(super) fn with_queue(&self) -> Result<QueueId, String> {
        if !self.has_queue() {
            let edit = self.key(Action::Edit);
            return Err(format!("there is no queue yet; {edit} edits jobs.yaml"));
        }
        if self.lists.is_of_all() {
            let (next, nth) = (self.key(Action::NextQueue), self.key(Action::NthQueue(1)));
            return Err(format!("all queues are shown; {next} or {nth} shows one"));
        }
        Ok(self.queue.id().clone())
    }

    pub(super) fn process(&self, now: DateTime<Utc>) -> Acted {
        let queue = self.with_queue().map_err(|why| {
            if self.lists.is_of_all() {
                format!("{why}, {} processes all of them", self.key(Action::ProcessAll))
            } else {
                why
            }
        })?;
        match self.mode() {
            Mode::Processing if self.site.read(|ledger| self.is_unattended(&queue, ledger, now)) => {
                Ok(submit(Vec::new(), Asked::GoOn(vec![queue]), true))
            }
            Mode::Processing => {
                Ok(submit(vec![Command::Pause { queue: queue.clone() }], Asked::Pause(vec![queue]), false))
            }
            Mode::Idle | Mode::Paused | Mode::Stopped => Ok(self.process_these(vec![queue])),
        }
    }

    /// Processes queues, after the questions that their jobs ask.
    fn process_these(&self, queues: Vec<QueueId>) -> Deed {
        let (jobs, question) = self.site.read(|ledger| {
            let mut asking = queues.iter().flat_map(|queue| ledger.asking(queue));
            let first = asking.next();
            let rest: Vec<JobId> = asking.map(|job| job.id).collect();
            let question = first.map(|job| {
                let others = match rest.len() {
                    0 => String::new(),
                    1 => " (and 1 more asks)".to_owned(),
                    more => format!(" (and {more} more ask)"),
                };
                let text = job.definition.terms.confirm.as_deref().unwrap_or_default();
                format!("{}: {text}{others}", job.label())
            });
            (first.map(|job| job.id).into_iter().chain(rest).collect::<Vec<_>>(), question)
        });
        let process: Vec<_> = queues.iter().map(|queue| Command::Process { queue: queue.clone() }).collect();
        let order = Order { commands: process, asked: Asked::Process(queues), hire: true };
        let Some(question) = question else { return Deed::Do(vec![Effect::Submit(order)]) };
        let mut confirmed = order.clone();
        confirmed.commands.insert(0, Command::Confirm { jobs });
        Deed::Ask(Dialog::Ask { question, then: confirmed, otherwise: Some(order) })
    }

    pub(super) fn process_all(&self, now: DateTime<Utc>) -> Acted {
        let queues = |wanted: fn(Mode, bool) -> bool| -> Vec<QueueId> {
            self.site.read(|ledger| {
                let queues = ledger.queues();
                let wanted = queues.into_iter().filter(|(_, queue)| wanted(queue.mode, !queue.pending.is_empty()));
                wanted.map(|(id, _)| id.clone()).collect()
            })
        };
        let processing = queues(|mode, _| mode == Mode::Processing);
        let unattended: Vec<QueueId> = self.site.read(|ledger| {
            let mine = processing.iter().filter(|queue| self.is_unattended(queue, ledger, now));
            mine.cloned().collect()
        });
        if !unattended.is_empty() {
            return Ok(submit(Vec::new(), Asked::GoOn(unattended), true));
        }
        if !processing.is_empty() {
            let pause = processing.iter().map(|queue| Command::Pause { queue: queue.clone() }).collect();
            return Ok(submit(pause, Asked::Pause(processing), false));
        }
        let waiting = queues(|_, pending| pending);
        if waiting.is_empty() {
            return Err("nothing is pending in any queue".to_owned());
        }
        Ok(self.process_these(waiting))
    }

    pub(super) fn parallel(&self, more: bool) -> Acted {
        let queue = self.with_queue()?;
        let now = self.queue.read(|record, _| record.settings.parallel);
        let wanted = if more { now.checked_add(1) } else { now.checked_sub(1) };
        let parallel = wanted
            .and_then(NonZero::new)
            .ok_or_else(|| format!("{queue} runs {now} at once; {} pauses it", self.key(Action::Process)))?;
        let asked = Asked::Parallel(queue.clone(), parallel);
        let hire = more && self.mode() == Mode::Processing;
        Ok(submit(vec![Command::Parallel { queue, parallel }], asked, hire))
    }

    pub(super) fn stop_and_quit(&self) -> Deed {
        let running: Vec<(QueueId, Vec<JobId>, Mode)> = self.site.read(|ledger| {
            let queues = ledger.queues().into_iter().filter(|(_, queue)| !queue.running.is_empty());
            queues.map(|(id, queue)| (id.clone(), queue.running.iter().copied().collect(), queue.mode)).collect()
        });
        let jobs: Vec<JobId> = running.iter().flat_map(|(_, jobs, _)| jobs).copied().collect();
        if jobs.is_empty() {
            return Deed::Do(vec![Effect::Leave(Why::Asked)]);
        }
        let place = whereabouts(running.iter().map(|(queue, ..)| queue));
        let question = format!("Stop {} {place} and quit?", these(jobs.len(), "running job"));
        // Paused first: otherwise the next jobs would start in place of those that are stopped.
        let pauses = running.iter().filter(|(.., mode)| *mode == Mode::Processing);
        let pause = pauses.map(|(queue, ..)| Command::Pause { queue: queue.clone() });
        let stop = jobs.iter().map(|job| Command::Cancel { job: *job, stop: Stop::Terminate });
        let commands = pause.chain(stop).collect();
        ask(question, Order { commands, asked: Asked::StopAndLeave, hire: false })
    }
}
