//! Plans of the actions on queues: process, pause, change the parallelism, stop everything.

use std::num::NonZero;

use chrono::{DateTime, Utc};

use super::plan::{ActionPlan, PlanResult};
use super::targets::location;
use crate::model::{Command, Job, JobId, QueueId, QueueMode, StopSignal};
use crate::site::user_name;
use crate::text::count_noun;
use crate::tui::action::Action;
use crate::tui::dialog::Dialog;
use crate::tui::effect::{Effect, ExitReason, Intent, Submission};
use crate::tui::job_label::title_or_name;
use crate::tui::state::Screen;

impl Screen {
    /// The current queue, or why there is none.
    pub(super) fn require_queue(&self) -> Result<QueueId, String> {
        if !self.has_queue() {
            let edit = self.key(Action::Edit);
            return Err(format!("There is no queue yet. Press {edit} to edit jobs.yaml."));
        }
        if self.lists.shows_all_queues() {
            let (next, nth) = (self.key(Action::NextQueue), self.key(Action::NthQueue(1)));
            return Err(format!("All queues are shown. Press {next} or {nth} to show one."));
        }
        Ok(self.queue.id().clone())
    }

    pub(super) fn plan_process(&self, now: DateTime<Utc>) -> PlanResult {
        let queue = self.require_queue().map_err(|why| {
            if self.lists.shows_all_queues() {
                format!("{why} Press {} to process all of them.", self.key(Action::ProcessAll))
            } else {
                why
            }
        })?;
        match self.mode() {
            QueueMode::Processing if self.site.read(|site_state| self.lacks_worker(&queue, site_state, now)) => {
                Ok(ActionPlan::submit(Vec::new(), Intent::StartWorker(vec![queue]), true))
            }
            QueueMode::Processing if let Some(job) = self.only_approval_left(&[&queue]) => Ok(self.plan_approve(&job)),
            QueueMode::Processing => {
                Ok(ActionPlan::submit(vec![Command::Pause { queue: queue.clone() }], Intent::Pause(vec![queue]), false))
            }
            QueueMode::Idle | QueueMode::Paused | QueueMode::Stopped => Ok(process_queues(&[queue])),
        }
    }

    /// The first job that needs approval, if nothing else is left to do in these processing queues.
    fn only_approval_left(&self, queues: &[&QueueId]) -> Option<Job> {
        self.site.read(|site| {
            let all_wait = queues.iter().all(|queue| site.waits_for_approval(queue));
            queues.iter().filter(|_| all_wait).find_map(|queue| site.approvals_due(queue).next().cloned())
        })
    }

    /// The next job that waits only for approval, after the selected one.
    pub(super) fn next_approval(&self) -> Result<JobId, String> {
        let due: Vec<JobId> = self.site.read(|site| {
            let queues = site.queues();
            queues.iter().flat_map(|(id, _)| site.approvals_due(id)).map(|job| job.id).collect()
        });
        let selected = self.selected_job().and_then(|job| due.iter().position(|id| *id == job.id));
        let next = selected.map_or(0, |selected| (selected + 1) % due.len());
        due.get(next).copied().ok_or_else(|| "No job needs approval now.".to_owned())
    }

    /// Asks the question of a job that needs approval; `y` runs it, `n` cancels it.
    pub(super) fn plan_approve(&self, job: &Job) -> ActionPlan {
        let question = job.definition.scheduling.confirm.as_deref().unwrap_or_default();
        let is_due = self.site.read(|site| site.is_approval_due(job));
        let (jobs, by) = (vec![job.id], user_name());
        let approve = Command::Approve { jobs: jobs.clone(), by: by.clone() };
        let on_yes = Submission::new(vec![approve], Intent::Approve(job.id), true);
        let refuse = Command::Refuse { jobs, by };
        let on_no = Submission::new(vec![refuse], Intent::Refuse(job.id), true);
        ActionPlan::open(Dialog::Confirm {
            question: format!("{}: {question}", title_or_name(job)),
            yes: if is_due { "approve and run it" } else { "approve it" },
            on_yes,
            on_no: Some(("refuse and cancel it", on_no)),
        })
    }

    /// The selected job, if it waits for nothing but approval and its queue.
    pub(in crate::tui) fn selected_approval(&self) -> Option<Job> {
        let job = self.selected_job().filter(|_| !self.lists.focus().output)?;
        Some(job).filter(Job::awaits_approval)
    }

    pub(super) fn plan_process_all(&self, now: DateTime<Utc>) -> PlanResult {
        let queues = |wanted: fn(QueueMode, bool) -> bool| -> Vec<QueueId> {
            self.site.read(|site_state| {
                let queues = site_state.queues();
                let wanted = queues.into_iter().filter(|(_, queue)| wanted(queue.mode, !queue.pending.is_empty()));
                wanted.map(|(id, _)| id.clone()).collect()
            })
        };
        let processing = queues(|mode, _| mode == QueueMode::Processing);
        let queues_without_worker: Vec<QueueId> = self.site.read(|site_state| {
            let mine = processing.iter().filter(|queue| self.lacks_worker(queue, site_state, now));
            mine.cloned().collect()
        });
        if !queues_without_worker.is_empty() {
            return Ok(ActionPlan::submit(Vec::new(), Intent::StartWorker(queues_without_worker), true));
        }
        if let Some(job) = self.only_approval_left(&processing.iter().collect::<Vec<_>>()) {
            return Ok(self.plan_approve(&job));
        }
        if !processing.is_empty() {
            let pause = processing.iter().map(|queue| Command::Pause { queue: queue.clone() }).collect();
            return Ok(ActionPlan::submit(pause, Intent::Pause(processing), false));
        }
        let waiting = queues(|_, pending| pending);
        if waiting.is_empty() {
            return Err("No queue has pending jobs.".to_owned());
        }
        Ok(process_queues(&waiting))
    }

    pub(super) fn plan_parallel(&self, more: bool) -> PlanResult {
        let queue = self.require_queue()?;
        let now = self.queue.read(|record, _| record.settings.max_parallel());
        let wanted = if more { now.checked_add(1) } else { now.checked_sub(1) };
        let parallel = wanted.and_then(NonZero::new).ok_or_else(|| {
            format!("{queue} already runs {now} at once. Press {} to pause it.", self.key(Action::Process))
        })?;
        let intent = Intent::SetParallel(queue.clone(), parallel);
        let needs_worker = more && self.mode() == QueueMode::Processing;
        Ok(ActionPlan::submit(vec![Command::SetParallel { queue, parallel }], intent, needs_worker))
    }

    pub(super) fn plan_stop_and_quit(&self) -> ActionPlan {
        let running: Vec<(QueueId, Vec<JobId>, QueueMode)> = self.site.read(|site_state| {
            let queues = site_state.queues().into_iter().filter(|(_, queue)| !queue.running.is_empty());
            queues.map(|(id, queue)| (id.clone(), queue.running.iter().copied().collect(), queue.mode)).collect()
        });
        let jobs: Vec<JobId> = running.iter().flat_map(|(_, jobs, _)| jobs).copied().collect();
        if jobs.is_empty() {
            return ActionPlan::Apply(vec![Effect::Exit(ExitReason::Quit)]);
        }
        let place = location(running.iter().map(|(queue, ..)| queue));
        let question = format!("Stop {} {place} and quit?", count_noun(jobs.len(), "running job"));
        // Pause first, so that no other jobs start instead.
        let pauses = running.iter().filter(|(.., mode)| *mode == QueueMode::Processing);
        let pause = pauses.map(|(queue, ..)| Command::Pause { queue: queue.clone() });
        let stop = jobs.iter().map(|job| Command::Cancel { job: *job, stop: StopSignal::Terminate });
        let commands = pause.chain(stop).collect();
        let submission = Submission::new(commands, Intent::StopAndQuit, false);
        ActionPlan::confirm(question, "stop them and quit", submission)
    }
}

fn process_queues(queues: &[QueueId]) -> ActionPlan {
    let process = queues.iter().map(|queue| Command::Process { queue: queue.clone() }).collect();
    ActionPlan::submit(process, Intent::Process(queues.to_vec()), true)
}
